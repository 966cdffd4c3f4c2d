"""The short lists of the order and product services: statuses, types, channels, brands, price lists."""

from table import Kind, Table
from values import at, first


def order_status(record):
    yield {
        "id": record["statusId"],
        "name": record.get("name"),
        "order_type_code": record.get("orderTypeCode"),
        "sort_order": first(record, "sortOrder", "sort"),
        "state": record.get("state"),
        "disabled": record.get("disabled"),
        "visible": record.get("visible"),
        "color": record.get("color"),
        "remind_after_days": record.get("remindAfterDays"),
        "batch_process": record.get("batchProcess"),
        "alert_emails": record.get("alertEmails"),
        "email_content": record.get("emailContent"),
    }


def order_type(record):
    yield {"id": record["id"], "code": record.get("code"), "description": record.get("description")}


def channel(record):
    integration = record.get("integrationDetail") or {}
    yield {
        "id": record["id"],
        "name": record.get("name"),
        "channel_type_id": record.get("channelTypeId"),
        "channel_brand_id": record.get("channelBrandId"),
        "default_warehouse_id": record.get("defaultWarehouseId"),
        "default_price_list_id": record.get("defaultPriceListId"),
        "contact_group_id": record.get("contactGroupId"),
        "show_in_channel_menu": record.get("showInChannelMenu"),
        "installed_integration_id": integration.get("installedIntegrationId"),
        "config_set_id": integration.get("configSetId"),
        "provider_code": integration.get("providerCode"),
        "integration_type_code": integration.get("integrationTypeCode"),
        "integration_active": integration.get("active"),
    }


def channel_warehouses(record):
    for warehouse_id in record.get("warehouseIds") or []:
        yield {"channel_id": record["id"], "warehouse_id": warehouse_id}


def brand(record):
    yield {
        "id": record["id"],
        "name": record.get("name"),
        "description": record.get("description"),
        "created_on": record.get("createdOn"),
        "updated_on": record.get("updatedOn"),
    }


def price_list(record):
    yield {
        "id": record["id"],
        "code": record.get("code"),
        "name": at(record, "name", "text"),
        "name_language_code": at(record, "name", "languageCode"),
        "name_format": at(record, "name", "format"),
        "price_list_type_code": record.get("priceListTypeCode"),
        "currency_id": record.get("currencyId"),
        "currency_code": record.get("currencyCode"),
        "currency_symbol": record.get("currencySymbol"),
        "gross": record.get("gross"),
    }


def by_id(record):
    return record["id"]


KINDS = [
    Kind("order_status", owner=lambda record: record["statusId"], created_on=None, tables=[
        Table(
            "order_status", order_status, key="id",
            whole="id sort_order remind_after_days", text="name order_type_code state color email_content",
            flag="disabled visible batch_process", json="alert_emails",
        ),
    ]),
    Kind("order_type", owner=by_id, created_on=None, tables=[
        Table("order_type", order_type, key="id", whole="id", text="code description"),
    ]),
    Kind("channel", owner=by_id, created_on=None, tables=[
        Table(
            "channel", channel, key="id",
            whole="id channel_type_id channel_brand_id default_warehouse_id default_price_list_id contact_group_id"
            " installed_integration_id config_set_id",
            text="name provider_code integration_type_code", flag="show_in_channel_menu integration_active",
        ),
        Table("channel_warehouse", channel_warehouses, key="channel_id warehouse_id", whole="channel_id warehouse_id"),
    ]),
    Kind("brand", owner=by_id, created_on=None, tables=[
        Table("brand", brand, key="id", whole="id", text="name description", instant="created_on updated_on"),
    ]),
    Kind("price_list", owner=by_id, created_on=None, tables=[
        Table(
            "price_list", price_list, key="id",
            whole="id currency_id",
            text="code name name_language_code name_format price_list_type_code currency_code currency_symbol", flag="gross",
        ),
    ]),
]
