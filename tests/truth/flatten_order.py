"""Orders: one order, its rows, parties, invoices and custom fields."""

from table import Kind, Table, custom_fields
from values import at


def order(record):
    yield {
        "id": record["id"],
        "order_type_code": record.get("orderTypeCode"),
        "reference": record.get("reference"),
        "external_ref": record.get("externalRef"),
        "parent_order_id": record.get("parentOrderId"),
        "order_status_id": at(record, "orderStatus", "orderStatusId"),
        "order_status_name": at(record, "orderStatus", "name"),
        "order_payment_status": record.get("orderPaymentStatus"),
        "stock_status_code": record.get("stockStatusCode"),
        "allocation_status_code": record.get("allocationStatusCode"),
        "shipping_status_code": record.get("shippingStatusCode"),
        "created_on": record.get("createdOn"),
        "updated_on": record.get("updatedOn"),
        "placed_on": record.get("placedOn"),
        "closed_on": record.get("closedOn"),
        "created_by_id": record.get("createdById"),
        "original_invoice_date": record.get("originalInvoiceDate"),
        "original_invoice_date_local": record.get("originalInvoiceDate"),
        "delivery_date": at(record, "delivery", "deliveryDate"),
        "delivery_date_local": at(record, "delivery", "deliveryDate"),
        "shipping_method_id": at(record, "delivery", "shippingMethodId"),
        "warehouse_id": record.get("warehouseId"),
        "staff_owner_contact_id": at(record, "assignment", "current", "staffOwnerContactId"),
        "project_id": at(record, "assignment", "current", "projectId"),
        "channel_id": at(record, "assignment", "current", "channelId"),
        "lead_source_id": at(record, "assignment", "current", "leadSourceId"),
        "team_id": at(record, "assignment", "current", "teamId"),
        "price_list_id": record.get("priceListId"),
        "cost_price_list_id": record.get("costPriceListId"),
        "price_mode_code": record.get("priceModeCode"),
        "accounting_currency_code": at(record, "currency", "accountingCurrencyCode"),
        "order_currency_code": at(record, "currency", "orderCurrencyCode"),
        "exchange_rate": at(record, "currency", "exchangeRate"),
        "fixed_exchange_rate": at(record, "currency", "fixedExchangeRate"),
        "net": at(record, "totalValue", "net"),
        "tax_amount": at(record, "totalValue", "taxAmount"),
        "total": at(record, "totalValue", "total"),
        "base_net": at(record, "totalValue", "baseNet"),
        "base_tax_amount": at(record, "totalValue", "baseTaxAmount"),
        "base_total": at(record, "totalValue", "baseTotal"),
        "state_tax": at(record, "state", "tax"),
        "tax_errors": at(record, "tax", "errors"),
        "acknowledged": record.get("acknowledged"),
        "historical_order": record.get("historicalOrder"),
        "is_dropship": record.get("isDropship"),
        "order_weighting": record.get("orderWeighting"),
        "installed_integration_instance_id": record.get("installedIntegrationInstanceId"),
        "version": record.get("version"),
        "null_custom_fields": record.get("nullCustomFields"),
    }


def rows(record):
    for row_id, row in (record.get("orderRows") or {}).items():
        yield {
            "order_id": record["id"],
            "id": row_id,
            "order_row_sequence": row.get("orderRowSequence"),
            "product_id": row.get("productId"),
            "product_sku": row.get("productSku"),
            "product_name": row.get("productName"),
            "product_options": row.get("productOptions"),
            "external_ref": row.get("externalRef"),
            "quantity": at(row, "quantity", "magnitude"),
            "item_cost": at(row, "itemCost", "value"),
            "item_cost_currency_code": at(row, "itemCost", "currencyCode"),
            "product_price": at(row, "productPrice", "value"),
            "product_price_currency_code": at(row, "productPrice", "currencyCode"),
            "discount_percentage": row.get("discountPercentage"),
            "row_net": at(row, "rowValue", "rowNet", "value"),
            "row_net_currency_code": at(row, "rowValue", "rowNet", "currencyCode"),
            "row_tax": at(row, "rowValue", "rowTax", "value"),
            "row_tax_currency_code": at(row, "rowValue", "rowTax", "currencyCode"),
            "tax_rate": at(row, "rowValue", "taxRate"),
            "tax_code": at(row, "rowValue", "taxCode"),
            "tax_class_id": at(row, "rowValue", "taxClassId"),
            "tax_calculator": at(row, "rowValue", "taxCalculator"),
            "nominal_code": row.get("nominalCode"),
            "bundle_parent": at(row, "composition", "bundleParent"),
            "bundle_child": at(row, "composition", "bundleChild"),
            "parent_order_row_id": at(row, "composition", "parentOrderRowId"),
            "cloned_from_id": row.get("clonedFromId"),
        }


def parties(record):
    for role, party in (record.get("parties") or {}).items():
        yield {
            "order_id": record["id"],
            "role": role,
            "contact_id": party.get("contactId"),
            "address_full_name": party.get("addressFullName"),
            "company_name": party.get("companyName"),
            "address_line1": party.get("addressLine1"),
            "address_line2": party.get("addressLine2"),
            "address_line3": party.get("addressLine3"),
            "address_line4": party.get("addressLine4"),
            "postal_code": party.get("postalCode"),
            "country": party.get("country"),
            "country_id": party.get("countryId"),
            "country_iso_code": party.get("countryIsoCode"),
            "country_iso_code3": party.get("countryIsoCode3"),
            "telephone": party.get("telephone"),
            "mobile_telephone": party.get("mobileTelephone"),
            "fax": party.get("fax"),
            "email": party.get("email"),
        }


def invoices(record):
    for position, invoice in enumerate(record.get("invoices") or []):
        yield {
            "order_id": record["id"],
            "position": position,
            "invoice_reference": invoice.get("invoiceReference"),
            "tax_date": invoice.get("taxDate"),
            "tax_date_local": invoice.get("taxDate"),
            "due_date": invoice.get("dueDate"),
            "due_date_local": invoice.get("dueDate"),
        }


def order_custom_fields(record):
    return custom_fields("order_id", record["id"], record.get("customFields"))


KINDS = [
    Kind("order", owner=lambda record: record["id"], created_on=lambda record: record.get("createdOn"), tables=[
        Table(
            "order", order, key="id", partition="created_month",
            whole="id parent_order_id order_status_id created_by_id shipping_method_id warehouse_id staff_owner_contact_id"
            " project_id channel_id lead_source_id team_id price_list_id cost_price_list_id order_weighting"
            " installed_integration_instance_id version",
            small="acknowledged",
            text="order_type_code reference external_ref order_status_name order_payment_status stock_status_code"
            " allocation_status_code shipping_status_code price_mode_code accounting_currency_code order_currency_code state_tax",
            instant="created_on updated_on placed_on closed_on original_invoice_date delivery_date",
            day="original_invoice_date_local delivery_date_local",
            money="net tax_amount total base_net base_tax_amount base_total",
            rate="exchange_rate",
            flag="fixed_exchange_rate historical_order is_dropship",
            json="tax_errors null_custom_fields",
        ),
        Table(
            "order_row", rows, key="order_id id", partition="created_month",
            whole="order_id id order_row_sequence product_id tax_class_id parent_order_row_id cloned_from_id",
            text="product_sku product_name external_ref item_cost_currency_code product_price_currency_code"
            " row_net_currency_code row_tax_currency_code tax_code tax_calculator nominal_code",
            money="quantity item_cost product_price discount_percentage row_net row_tax tax_rate",
            flag="bundle_parent bundle_child",
            json="product_options",
        ),
        Table(
            "order_party", parties, key="order_id role", partition="created_month",
            whole="order_id contact_id country_id",
            text="role address_full_name company_name address_line1 address_line2 address_line3 address_line4 postal_code country"
            " country_iso_code country_iso_code3 telephone mobile_telephone fax email",
        ),
        Table(
            "order_invoice", invoices, key="order_id position", partition="created_month",
            whole="order_id", small="position", text="invoice_reference",
            instant="tax_date due_date", day="tax_date_local due_date_local",
        ),
        Table(
            "order_custom_field", order_custom_fields, key="order_id code", partition="created_month",
            whole="order_id value_id", text="code value_text", json="value_json",
        ),
    ]),
]
