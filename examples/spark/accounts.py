"""Adds up the sales of several accounts, whose lakes are folders that name them: `<lake>/account=acme/order/…`.

    spark-submit examples/spark/accounts.py LAKE OUT

Writes two tables of Parquet to OUT: `sales` by account, month and channel, `skus` by SKU and currency over all accounts. Money
is in the base currency of each account, and only amounts of one currency are added. Refuses to write over either table.
"""

import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as f


def accounts(spark, lake):
    """The folders of the accounts, in any file system that Spark can read."""
    pattern = spark._jvm.org.apache.hadoop.fs.Path(f"{lake}/account=*")
    found = pattern.getFileSystem(spark._jsc.hadoopConfiguration()).globStatus(pattern)
    folders = sorted(one.getPath().toString() for one in found or [])
    if not folders:
        sys.exit(f"there is no folder account=… in {lake}")
    return folders


def table(spark, folders, name, columns):
    """The columns of a table in all accounts, and `account`. Spark does not see `account=…` above a folder of months, so it is
    taken from the folder's name. Each account is read for itself, because its files may be divided by another period than those
    of the others, and its schema may have more columns."""
    whole = None
    for folder in folders:
        account = f.lit(folder.rsplit("account=", 1)[1]).alias("account")
        frame = spark.read.parquet(f"{folder}/{name}").select(account, *columns)
        whole = frame if whole is None else whole.unionByName(frame)
    return whole


def signed(amount):
    """Credits are negative, whichever sign the source has."""
    return f.when(f.col("order_type_code") == "SC", -f.abs(f.col(amount))).otherwise(f.col(amount))


def sales(orders, channels):
    named = channels.select("account", f.col("id").alias("channel_id"), f.col("name").alias("channel"))
    return (
        orders.join(named, ["account", "channel_id"], "left")
        .groupBy(
            "account",
            f.trunc("original_invoice_date_local", "month").alias("month"),
            "channel",
            f.col("accounting_currency_code").alias("currency"),
        )
        .agg(
            f.count(f.when(f.col("order_type_code") == "SO", True)).alias("sales"),
            f.count(f.when(f.col("order_type_code") == "SC", True)).alias("credits"),
            f.sum(signed("base_net")).alias("net"),
        )
    )


def skus(orders, rows):
    """Pieces and cost by SKU; the same SKU is taken to be the same product in every account."""
    sold = rows.join(orders, (rows.order_id == orders.id) & (rows.account == orders.account)).select(
        orders.account, "product_sku", "item_cost_currency_code", signed("quantity").alias("quantity"), "item_cost"
    )
    return (
        sold.where("product_sku <> ''")
        .groupBy(f.col("product_sku").alias("sku"), f.col("item_cost_currency_code").alias("currency"))
        .agg(
            f.countDistinct("account").alias("accounts"),
            f.sum("quantity").alias("quantity"),
            f.sum(f.col("quantity") * f.col("item_cost")).alias("cost"),
        )
    )


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: spark-submit accounts.py LAKE OUT")
    lake, out = (path.rstrip("/") for path in sys.argv[1:])
    spark = SparkSession.builder.appName("accounts").getOrCreate()
    folders = accounts(spark, lake)

    columns = ["id", "order_type_code", "channel_id", "original_invoice_date_local", "accounting_currency_code", "base_net"]
    orders = table(spark, folders, "order", columns)
    orders = orders.where("order_type_code in ('SO', 'SC') and original_invoice_date_local is not null").cache()
    channels = table(spark, folders, "channel", ["id", "name"])
    columns = ["order_id", "product_sku", "quantity", "item_cost", "item_cost_currency_code"]
    rows = table(spark, folders, "order_row", columns)

    sales(orders, channels).orderBy("account", "month", "channel").write.parquet(f"{out}/sales")
    skus(orders, rows).orderBy("sku", "currency").write.parquet(f"{out}/skus")
    spark.stop()


if __name__ == "__main__":
    main()
