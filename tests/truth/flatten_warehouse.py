"""Goods-out and goods-in notes, goods movements, stock on hand and warehouses.

The source answers notes and stock as maps by id: the truth gives `{"id": …, "document": …}`.
"""

from table import Kind, Table
from values import at, first


def note(record):
    document = record["document"]
    status = document.get("status") or {}
    shipping = document.get("shipping") or {}
    yield {
        "id": record["id"],
        "order_id": document.get("orderId"),
        "sequence": document.get("sequence"),
        "warehouse_id": document.get("warehouseId"),
        "transfer": document.get("transfer"),
        "target_warehouse_id": document.get("targetWarehouseId"),
        "stock_transfer_id": document.get("stockTransferId"),
        "priority": document.get("priority"),
        "external_ref": document.get("externalRef"),
        "created_on": document.get("createdOn"),
        "created_by": document.get("createdBy"),
        "release_date": document.get("releaseDate"),
        "printed": status.get("printed"),
        "printed_on": status.get("printedOn"),
        "printed_by_id": status.get("printedById"),
        "picked": status.get("picked"),
        "picked_on": status.get("pickedOn"),
        "picked_by_id": status.get("pickedById"),
        "packed": status.get("packed"),
        "packed_on": status.get("packedOn"),
        "packed_by_id": status.get("packedById"),
        "shipped": status.get("shipped"),
        "shipped_on": status.get("shippedOn"),
        "shipped_by_id": status.get("shippedById"),
        "shipping_method_id": shipping.get("shippingMethodId"),
        "shipping_reference": shipping.get("reference"),
        "shipping_boxes": shipping.get("boxes"),
        "shipping_weight": shipping.get("weight"),
        "label_uri": document.get("labelUri"),
        "last_event_version": document.get("lastEventVersion"),
    }


def note_rows(record):
    for order_row_id, allocations in (record["document"].get("orderRows") or {}).items():
        for position, allocation in enumerate(allocations):
            yield {
                "goods_out_note_id": record["id"],
                "order_row_id": order_row_id,
                "position": position,
                "product_id": allocation.get("productId"),
                "quantity": allocation.get("quantity"),
                "location_id": allocation.get("locationId"),
                "user_batch_reference": first(allocation, "userBatchReference", "externalRef"),
            }


def transfer_rows(record):
    for position, row in enumerate(record["document"].get("transferRows") or []):
        yield {
            "goods_out_note_id": record["id"],
            "position": position,
            "product_id": row.get("productId"),
            "quantity": row.get("quantity"),
            "location_id": row.get("locationId"),
        }


def events(record):
    for position, event in enumerate(record["document"].get("events") or []):
        yield {
            "goods_out_note_id": record["id"],
            "position": position,
            "occured": event.get("occured"),
            "event_code": event.get("eventCode"),
            "event_owner_id": event.get("eventOwnerId"),
        }


def received(record):
    document = record["document"]
    yield {
        "id": record["id"],
        "goods_note_id": document.get("goodsNoteId"),
        "order_id": document.get("orderId"),
        "transfer": document.get("transfer"),
        "goods_note_status": document.get("goodsNoteStatus"),
        "user_batch_reference": document.get("userBatchReference"),
        "received_on": document.get("receivedOn"),
        "created_by": document.get("createdBy"),
    }


def received_rows(record):
    for position, row in enumerate(record["document"].get("goodsMoved") or []):
        yield {
            "goods_in_note_id": record["id"],
            "position": position,
            "goods_note_id": row.get("goodsNoteId"),
            "product_id": row.get("productId"),
            "purchase_order_row_id": row.get("purchaseOrderRowId"),
            "quantity": row.get("quantity"),
            "warehouse_id": row.get("warehouseId"),
            "destination_location_id": row.get("destinationLocationId"),
            "batch_goods_note_id": row.get("batchGoodsNoteId"),
            "product_value": at(row, "productValue", "value"),
            "product_value_currency": at(row, "productValue", "currency"),
            "cleared": row.get("cleared"),
            "value_confirmed": row.get("valueConfirmed"),
            "allocated": row.get("allocated"),
            "quarantine": row.get("quarantine"),
            "created_on": row.get("createdOn"),
            "created_by": row.get("createdBy"),
            "updated_on": row.get("updatedOn"),
            "updated_by": row.get("updatedBy"),
        }


def movement(record):
    yield {
        "id": record["goodsMovementId"],
        "product_id": record.get("productId"),
        "sales_order_row_id": record.get("salesOrderRowId"),
        "purchase_order_row_id": record.get("purchaseOrderRowId"),
        "quantity": record.get("quantity"),
        "destination_location_id": record.get("destinationLocationId"),
        "warehouse_id": record.get("warehouseId"),
        "goods_note_id": record.get("goodsNoteId"),
        "product_value": record.get("productValue"),
        "currency_code": record.get("currencyCode"),
        "order_id": record.get("orderId"),
        "is_cleared": record.get("isCleared"),
        "is_quarantine": record.get("isQuarantine"),
        "batch_id": record.get("batchId"),
        "goods_note_type_code": record.get("goodsNoteTypeCode"),
        "updated_on": record.get("updatedOn"),
    }


def stock(figures):
    return {
        "in_stock": at(figures, "inStock"),
        "on_hand": at(figures, "onHand"),
        "allocated": at(figures, "allocated"),
        "in_transit": at(figures, "inTransit"),
    }


def availability(record):
    yield {"product_id": record["id"], **stock(record["document"].get("total"))}


def availability_by_warehouse(record):
    for warehouse_id, figures in (record["document"].get("warehouses") or {}).items():
        yield {"product_id": record["id"], "warehouse_id": warehouse_id, **stock(figures)}


def availability_by_location(record):
    for warehouse_id, warehouse in (record["document"].get("warehouses") or {}).items():
        for location_id, figures in (warehouse.get("byLocation") or {}).items():
            yield {"product_id": record["id"], "warehouse_id": warehouse_id, "location_id": location_id, **stock(figures)}


def warehouse(record):
    yield {
        "id": record["id"],
        "name": record.get("name"),
        "type_code": record.get("typeCode"),
        "type_description": record.get("typeDescription"),
        "logistics_name": record.get("logisticsName"),
        "address_id": at(record, "address", "addressId"),
        "address_country_id": at(record, "address", "countryId"),
        "address_country_iso_code2": at(record, "address", "countryIsoCode2"),
        "address_customer_id": at(record, "address", "customerId"),
        "click_and_collect_enabled": record.get("clickAndCollectEnabled"),
        "weekly_operating_periods_time_zone": at(record, "weeklyOperatingPeriods", "timeZone"),
        "collection_sla_value": at(record, "collectionSla", "value"),
        "collection_sla_time_units": at(record, "collectionSla", "timeUnits"),
    }


def operating_periods(record):
    for position, period in enumerate(at(record, "weeklyOperatingPeriods", "periods") or []):
        yield {
            "warehouse_id": record["id"],
            "position": position,
            "day_of_week": period.get("dayOfWeek"),
            "opening_hours": period.get("openingHours"),
            "closing_hours": period.get("closingHours"),
        }


def transfer_slas(record):
    for sla in record.get("externalTransferSlas") or []:
        yield {
            "warehouse_id": record["id"],
            "target_warehouse_id": sla["warehouseId"],
            "value": sla.get("value"),
            "time_units": sla.get("timeUnits"),
        }


def by_id(record):
    return record["id"]


KINDS = [
    Kind("goods_out_note", owner=by_id, created_on=lambda record: record["document"].get("createdOn"), tables=[
        Table(
            "goods_out_note", note, key="id", partition="created_month",
            whole="id order_id sequence warehouse_id target_warehouse_id stock_transfer_id created_by printed_by_id picked_by_id"
            " packed_by_id shipped_by_id shipping_method_id shipping_boxes last_event_version",
            text="external_ref shipping_reference label_uri",
            instant="created_on release_date printed_on picked_on packed_on shipped_on",
            money="shipping_weight",
            flag="transfer priority printed picked packed shipped",
        ),
        Table(
            "goods_out_note_row", note_rows, key="goods_out_note_id order_row_id position", partition="created_month",
            whole="goods_out_note_id order_row_id product_id location_id", small="position", money="quantity",
            text="user_batch_reference",
        ),
        Table(
            "goods_out_note_transfer_row", transfer_rows, key="goods_out_note_id position", partition="created_month",
            whole="goods_out_note_id product_id location_id", small="position", money="quantity",
        ),
        Table(
            "goods_out_note_event", events, key="goods_out_note_id position", partition="created_month",
            whole="goods_out_note_id event_owner_id", small="position", instant="occured", text="event_code",
        ),
    ]),
    Kind("goods_in_note", owner=by_id, created_on=lambda record: record["document"].get("receivedOn"), tables=[
        Table(
            "goods_in_note", received, key="id", partition="received_month",
            whole="id goods_note_id order_id created_by", text="goods_note_status user_batch_reference", instant="received_on", flag="transfer",
        ),
        Table(
            "goods_in_note_movement", received_rows, key="goods_in_note_id position", partition="received_month",
            whole="goods_in_note_id goods_note_id product_id purchase_order_row_id warehouse_id destination_location_id batch_goods_note_id"
            " created_by updated_by",
            small="position", money="quantity product_value", text="product_value_currency",
            flag="cleared value_confirmed allocated quarantine", instant="created_on updated_on",
        ),
    ]),
    Kind("goods_movement", owner=lambda record: record["goodsMovementId"], created_on=lambda record: record["updatedOn"], tables=[
        Table(
            "goods_movement", movement, key="id", partition="updated_month",
            whole="id product_id sales_order_row_id purchase_order_row_id destination_location_id warehouse_id goods_note_id"
            " order_id batch_id",
            money="quantity product_value", text="currency_code goods_note_type_code", flag="is_cleared is_quarantine",
            instant="updated_on",
        ),
    ]),
    Kind("product_availability", owner=by_id, created_on=None, tables=[
        Table(
            "product_availability", availability, key="product_id", partition="snapshot_date",
            whole="product_id", money="in_stock on_hand allocated in_transit",
        ),
        Table(
            "product_availability_warehouse", availability_by_warehouse, key="product_id warehouse_id",
            partition="snapshot_date",
            whole="product_id warehouse_id", money="in_stock on_hand allocated in_transit",
        ),
        Table(
            "product_availability_location", availability_by_location, key="product_id warehouse_id location_id",
            partition="snapshot_date",
            whole="product_id warehouse_id location_id", money="in_stock on_hand allocated in_transit",
        ),
    ]),
    Kind("warehouse", owner=by_id, created_on=None, tables=[
        Table(
            "warehouse", warehouse, key="id",
            whole="id address_id address_country_id address_customer_id collection_sla_value",
            text="name type_code type_description logistics_name address_country_iso_code2 weekly_operating_periods_time_zone"
            " collection_sla_time_units",
            flag="click_and_collect_enabled",
        ),
        Table(
            "warehouse_operating_period", operating_periods, key="warehouse_id position",
            whole="warehouse_id day_of_week", small="position", text="opening_hours closing_hours",
        ),
        Table(
            "warehouse_external_transfer_sla", transfer_slas, key="warehouse_id target_warehouse_id",
            whole="warehouse_id target_warehouse_id value", text="time_units",
        ),
    ]),
]
