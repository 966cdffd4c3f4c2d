"""Products with all that hangs on them, and their prices."""

from table import Kind, Table, custom_fields
from values import at, first


def product(record):
    reporting = record.get("reporting") or {}
    yield {
        "id": record["id"],
        "sku": at(record, "identity", "sku"),
        "ean": at(record, "identity", "ean"),
        "upc": at(record, "identity", "upc"),
        "isbn": at(record, "identity", "isbn"),
        "mpn": at(record, "identity", "mpn"),
        "barcode": at(record, "identity", "barcode"),
        "status": record.get("status"),
        "created_on": record.get("createdOn"),
        "updated_on": record.get("updatedOn"),
        "brand_id": record.get("brandId"),
        "collection_id": record.get("collectionId"),
        "product_type_id": record.get("productTypeId"),
        "product_group_id": record.get("productGroupId"),
        "primary_supplier_id": record.get("primarySupplierId"),
        "featured": record.get("featured"),
        "bundle": at(record, "composition", "bundle"),
        "stock_tracked": at(record, "stock", "stockTracked"),
        "weight": at(record, "stock", "weight", "magnitude"),
        "length": at(record, "stock", "dimensions", "length"),
        "height": at(record, "stock", "dimensions", "height"),
        "width": at(record, "stock", "dimensions", "width"),
        "volume": at(record, "stock", "dimensions", "volume"),
        "taxable": at(record, "financialDetails", "taxable"),
        "tax_code_id": at(record, "financialDetails", "taxCode", "id"),
        "tax_code": at(record, "financialDetails", "taxCode", "code"),
        "nominal_code_stock": record.get("nominalCodeStock"),
        "nominal_code_purchases": record.get("nominalCodePurchases"),
        "nominal_code_sales": record.get("nominalCodeSales"),
        "reporting_category_id": reporting.get("categoryId"),
        "reporting_subcategory_id": first(reporting, "subcategoryId", "subCategoryId"),
        "reporting_season_id": reporting.get("seasonId"),
        "sales_popup_message": record.get("salesPopupMessage"),
        "warehouse_popup_message": record.get("warehousePopupMessage"),
        "version": record.get("version"),
        "null_custom_fields": record.get("nullCustomFields"),
    }


def sales_channels(record):
    for position, channel in enumerate(record.get("salesChannels") or []):
        yield {
            "product_id": record["id"],
            "position": position,
            "sales_channel_name": channel.get("salesChannelName"),
            "product_name": channel.get("productName"),
            "product_condition": channel.get("productCondition"),
            "description": at(channel, "description", "text"),
            "description_language_code": at(channel, "description", "languageCode"),
            "description_format": at(channel, "description", "format"),
            "short_description": at(channel, "shortDescription", "text"),
            "short_description_language_code": at(channel, "shortDescription", "languageCode"),
            "short_description_format": at(channel, "shortDescription", "format"),
            "available_to_sell_on_channel": channel.get("availableToSellOnChannel"),
            "sell_when_no_stock": channel.get("sellWhenNoStock"),
        }


def categories(record):
    for position, channel in enumerate(record.get("salesChannels") or []):
        for category in channel.get("categories") or []:
            yield {
                "product_id": record["id"],
                "sales_channel_position": position,
                "category_id": category["categoryCode"],
            }


def variations(record):
    for variation in record.get("variations") or []:
        yield {
            "product_id": record["id"],
            "option_id": variation["optionId"],
            "option_name": variation.get("optionName"),
            "option_value_id": variation.get("optionValueId"),
            "option_value": variation.get("optionValue"),
        }


def warehouses(record):
    for warehouse_id, warehouse in (record.get("warehouses") or {}).items():
        yield {
            "product_id": record["id"],
            "warehouse_id": warehouse_id,
            "default_location_id": warehouse.get("defaultLocationId"),
            "reorder_level": warehouse.get("reorderLevel"),
            "reorder_quantity": warehouse.get("reorderQuantity"),
        }


def bundle_components(record):
    for position, component in enumerate(at(record, "composition", "bundleComponents") or []):
        yield {
            "product_id": record["id"],
            "position": position,
            "component_product_id": component.get("productId"),
            "product_quantity": component.get("productQuantity"),
            "composition": component.get("composition"),
        }


def seasons(record):
    for season_id in record.get("seasonIds") or []:
        yield {"product_id": record["id"], "season_id": season_id}


def product_custom_fields(record):
    return custom_fields("product_id", record["id"], record.get("customFields"))


def prices(record):
    for price_list in record.get("priceLists") or []:
        for quantity, price in (price_list.get("quantityPrice") or {}).items():
            yield {
                "product_id": record["productId"],
                "price_list_id": price_list["priceListId"],
                "quantity": quantity,
                "price": price,
                "currency_code": price_list.get("currencyCode"),
                "currency_id": price_list.get("currencyId"),
            }


def product_price_lists(record):
    for price_list in record.get("priceLists") or []:
        yield {
            "product_id": record["productId"],
            "price_list_id": price_list["priceListId"],
            "currency_code": price_list.get("currencyCode"),
            "currency_id": price_list.get("currencyId"),
            "sku": price_list.get("sku"),
        }


KINDS = [
    Kind("product", owner=lambda record: record["id"], created_on=None, tables=[
        Table(
            "product", product, key="id",
            whole="id brand_id collection_id product_type_id product_group_id primary_supplier_id tax_code_id"
            " reporting_category_id reporting_subcategory_id reporting_season_id version",
            text="sku ean upc isbn mpn barcode status tax_code nominal_code_stock nominal_code_purchases nominal_code_sales"
            " sales_popup_message warehouse_popup_message",
            instant="created_on updated_on",
            money="weight length height width volume",
            flag="featured bundle stock_tracked taxable",
            json="null_custom_fields",
        ),
        Table(
            "product_sales_channel", sales_channels, key="product_id position",
            whole="product_id", small="position",
            text="sales_channel_name product_name product_condition description description_language_code description_format"
            " short_description short_description_language_code short_description_format",
            flag="available_to_sell_on_channel sell_when_no_stock",
        ),
        Table(
            "product_category", categories, key="product_id sales_channel_position category_id",
            whole="product_id category_id", small="sales_channel_position",
        ),
        Table(
            "product_variation", variations, key="product_id option_id",
            whole="product_id option_id option_value_id", text="option_name option_value",
        ),
        Table(
            "product_warehouse", warehouses, key="product_id warehouse_id",
            whole="product_id warehouse_id default_location_id", money="reorder_level reorder_quantity",
        ),
        Table(
            "product_bundle_component", bundle_components, key="product_id position",
            whole="product_id component_product_id", small="position", money="product_quantity", json="composition",
        ),
        Table("product_season", seasons, key="product_id season_id", whole="product_id season_id"),
        Table(
            "product_custom_field", product_custom_fields, key="product_id code",
            whole="product_id value_id", text="code value_text", json="value_json",
        ),
    ]),
    Kind("product_price", owner=lambda record: record["productId"], created_on=None, tables=[
        Table(
            "product_price", prices, key="product_id price_list_id quantity",
            whole="product_id price_list_id currency_id", money="quantity price", text="currency_code",
        ),
        Table(
            "product_price_list", product_price_lists, key="product_id price_list_id",
            whole="product_id price_list_id currency_id", text="currency_code sku",
        ),
    ]),
]
