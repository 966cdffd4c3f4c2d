"""Whether examples/spark adds up several accounts as DuckDB does.

    accounts.py LAKE OUT

LAKE has the destinations of accounts as folders `account=…`. Runs the example with the spark-submit of this environment and a
local master, then compares every row of its tables with DuckDB's. Prints a JSON object: accounts, and the rows of each table.

Needs the packages duckdb and pyspark, and Java.
"""

import json
import os
import subprocess
import sys
from decimal import Decimal

import duckdb

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")

VIEWS = {"o": "order", "r": "order_row", "c": "channel"}
SIGN = "if(o.order_type_code = 'SC', -1, 1)"
EXPECTED = {
    "sales": f"""
        SELECT o.account, date_trunc('month', o.original_invoice_date_local)::DATE, c.name, o.accounting_currency_code,
               count(*) FILTER (o.order_type_code = 'SO'), count(*) FILTER (o.order_type_code = 'SC'),
               sum(if(o.order_type_code = 'SC', -abs(o.base_net), o.base_net))
        FROM o LEFT JOIN c ON c.id = o.channel_id AND c.account = o.account
        WHERE o.order_type_code IN ('SO', 'SC') AND o.original_invoice_date_local IS NOT NULL GROUP BY ALL""",
    "skus": f"""
        SELECT r.product_sku, r.item_cost_currency_code, count(DISTINCT o.account), sum({SIGN} * abs(r.quantity)),
               sum({SIGN} * abs(r.quantity)::DECIMAL(38, 6) * r.item_cost)
        FROM o JOIN r ON r.order_id = o.id AND r.account = o.account
        WHERE o.order_type_code IN ('SO', 'SC') AND o.original_invoice_date_local IS NOT NULL AND r.product_sku <> ''
        GROUP BY ALL""",
}


def in_order(query):
    """Rows in the order of their texts; amounts may have another number of digits."""
    return sorted(duckdb.sql(query).fetchall(), key=lambda row: [str(cell) for cell in row if not isinstance(cell, Decimal)])


def main():
    lake, out = sys.argv[1:]
    submit = os.path.join(os.path.dirname(sys.executable), "spark-submit")
    small = ["--master", "local[1]", "--driver-memory", "1g"]
    for setting in ("ui.enabled=false", "driver.bindAddress=127.0.0.1", "driver.host=127.0.0.1", "sql.shuffle.partitions=1"):
        small += ["--conf", f"spark.{setting}"]
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable}
    example = os.path.join(ROOT, "examples/spark/accounts.py")
    ended = subprocess.run([submit, *small, example, lake, out], env=environment, capture_output=True, text=True)
    # Spark passes what Python says on to stdout.
    assert ended.returncode == 0, ended.stderr + ended.stdout

    accounts = sorted(name.removeprefix("account=") for name in os.listdir(lake))
    for view, table in VIEWS.items():
        each = [
            f"SELECT '{account}' AS account, * EXCLUDE (account) FROM read_parquet("
            f"'{lake}/account={account}/{table}/**/*.parquet', hive_partitioning = true, hive_types_autocast = false)"
            for account in accounts
        ]
        duckdb.execute(f"CREATE VIEW {view} AS {' UNION ALL BY NAME '.join(each)}")
    found = {"accounts": accounts}
    for table, query in EXPECTED.items():
        expected, seen = in_order(query), in_order(f"FROM read_parquet('{out}/{table}/*.parquet')")
        pairs = [pair for pair in zip(expected, seen) if pair[0] != pair[1]]
        assert expected and len(expected) == len(seen) and not pairs, (table, len(expected), len(seen), pairs[:3])
        found[table] = len(seen)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
