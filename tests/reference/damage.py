"""Damages copies of a lake, each in another way, and demands that the comparison with the truth reports each damage.

    damage.py --truth http://HOST:PORT/sandbox/TOKEN --tables FOLDER --day 2026-11-24

A damage is a query that makes other rows of a table, or a change of its files. A table that is only rewritten must equal the
truth: else every damage would be found because of the rewriting. Exits with 1 where a damage is not found in its table.
"""

import argparse
import contextlib
import io
import os
import shutil
import sys
import tempfile
from datetime import date

import check
from lake import connect
from schema import load

# A table, and the query that makes other rows of its rows `t`. `pick` is one of them.
QUERIES = {
    "nothing": ("order", "select * from t"),
    "a row is missing": ("order_row", "select * from t where rid <> pick"),
    "a row is there twice": ("order_row", "select * from t union all select * from t where rid = pick"),
    "a row is there twice, once with another value": (
        "order",
        "select * from t union all select * replace ('x' as reference) from t where rid = pick",
    ),
    "a row of a record that does not exist": (
        "order",
        "select * from t union all select * replace (id + 900000000 as id) from t where rid = pick",
    ),
    "all rows of a record are missing": (
        "order_party",
        "select * from t where order_id <> (select order_id from t where rid = pick)",
    ),
    "all rows are missing": ("order_row", "select * from t where false"),
    "the last digit of a decimal": ("order", "select * replace (total + if(rid = pick, 0.000001, 0) as total) from t"),
    "the sign of a decimal": ("journal_line", "select * replace (if(rid = pick, -change, change) as change) from t"),
    "the tenth digit of a rate": (
        "currency",
        "select * replace (exchange_rate + if(rid = pick, 0.0000000001, 0) as exchange_rate) from t",
    ),
    "an instant off by an hour": (
        "order",
        "select * replace (created_on + if(rid = pick, interval 1 hour, interval 0 hour) as created_on) from t",
    ),
    "an instant off by a microsecond": (
        "order",
        "select * replace (created_on + if(rid = pick, interval 1 microsecond, interval 0 hour) as created_on) from t",
    ),
    "a day off by one": (
        "order_invoice",
        "select * replace ((tax_date_local + 1)::date as tax_date_local) from t",
    ),
    "null in the place of a number": ("order_row", "select * replace (if(rid = pick, null, quantity) as quantity) from t"),
    "null in the place of a text": ("order_row", "select * replace (if(rid = pick, null, product_sku) as product_sku) from t"),
    "null in the place of an instant": ("order", "select * replace (if(rid = pick, null, placed_on) as placed_on) from t"),
    "null in the place of false": (
        "nominal_code",
        "select * replace (nullif(discount, false) as discount) from t",
    ),
    "a number in the place of null": (
        "goods_out_note",
        "select * replace (coalesce(target_warehouse_id, 7) as target_warehouse_id) from t",
    ),
    "an instant in the place of null": ("order", "select * replace (coalesce(closed_on, created_on) as closed_on) from t"),
    "an empty text in the place of null": ("brand", "select * replace (coalesce(name, '') as name, '' as description) from t"),
    "zero in the place of null": (
        "goods_out_note",
        "select * replace (coalesce(shipped_by_id, 0) as shipped_by_id) from t",
    ),
    "a number off by one": ("order", "select * replace (if(rid = pick, version + 1, version) as version) from t"),
    "a flag turned over": ("channel", "select * replace (not show_in_channel_menu as show_in_channel_menu) from t"),
    "a space behind a text": ("contact", "select * replace (if(rid = pick, last_name || ' ', last_name) as last_name) from t"),
    "a text in capitals": ("contact", "select * replace (upper(last_name) as last_name) from t"),
    "two columns exchanged": (
        "order_party",
        "select * replace (address_line2 as address_line1, address_line1 as address_line2) from t",
    ),
    "an instant in the place of another": ("order", "select * replace (created_on as placed_on) from t"),
    "JSON with another value": (
        "order_custom_field",
        "select * replace (if(rid = pick, '\"x\"', value_json) as value_json) from t",
    ),
    "JSON with white space before its keys": (
        "order_custom_field",
        "select * replace (if(value_id is null, value_json, '{\"value\":\"' || value_text || '\",\"id\":' || value_id || '}')"
        " as value_json) from t",
    ),
    "a row of another record": (
        "order_row",
        "select * replace (if(rid = pick, order_id + 1, order_id) as order_id) from t",
    ),
    "rows with each other's positions": (
        "order_invoice",
        "select * replace (if(order_id in (select order_id from t where position = 1), 1 - position, position)::int as position)"
        " from t where position < 2",
    ),
    "the two sides of a journal exchanged": (
        "journal_line",
        "select * replace (if(side = 'debit', 'credit', 'debit') as side) from t",
    ),
    "a row of another order in a note": (
        "goods_out_note_row",
        "select * replace (if(rid = pick, order_row_id + 1, order_row_id) as order_row_id) from t",
    ),
    "something in `_extra`": ("product", "select * replace (if(rid = pick, '{\"a\":1}', _extra) as _extra) from t"),
    "no time of extraction": ("product", "select * replace (if(rid = pick, null, _extracted_at) as _extracted_at) from t"),
    "no run": ("product", "select * replace (if(rid = pick, null, _run_id) as _run_id) from t"),
    "a row in the folder of another month": (
        "order",
        "select * replace (if(rid = pick, created_month - interval 32 day, created_month)::date as created_month) from t",
    ),
    "rows of another day's snapshot": (
        "product_availability",
        "select * replace (snapshot_date - 1 as snapshot_date) from t",
    ),
    "a column is missing": ("supplier_payment", "select * exclude (transaction_ref) from t"),
    "a column too many": ("supplier_payment", "select *, 1 as surplus from t"),
    "a column of another name": ("tax_code", "select * rename (rate as rates) from t"),
    "a narrower whole number": ("tax_code", "select * replace (id::int as id) from t"),
    "a decimal with fewer digits": ("supplier_payment", "select * replace (amount_paid::decimal(18,4) as amount_paid) from t"),
    "a float in the place of a decimal": ("tax_code", "select * replace (rate::double as rate) from t"),
    "instants without a zone": ("brand", "select * replace (created_on::timestamp as created_on) from t"),
    "a day in the place of an instant": ("brand", "select * replace (created_on::date as created_on) from t"),
    "a number as text": ("warehouse", "select * replace (address_id::varchar as address_id) from t"),
}


def rewrite(database, lake, table, partition, query):
    """Writes the rows that a query makes in the place of a table's files."""
    folder = os.path.join(lake, table)
    source = f"read_parquet('{folder}/**/*.parquet', hive_partitioning = true)"
    database.execute(f"create or replace temp table t as select *, row_number() over () as rid from {source}")
    (pick,) = database.execute("select rid from t order by rid desc limit 1 offset 2").fetchone()
    made = query.replace("pick", str(pick))
    shutil.rmtree(folder)
    os.mkdir(folder)
    divided = f", partition_by ({partition})" if partition else ""
    target = folder if partition else os.path.join(folder, "part.parquet")
    database.execute(f"copy (select * exclude (rid) from ({made})) to '{target}' (format parquet{divided})")
    if not os.listdir(folder):
        database.execute(f"copy (select * exclude (rid) from t limit 0) to '{folder}/none.parquet' (format parquet)")


def lose_file(lake):
    folder = os.path.join(lake, "order_row")
    shutil.rmtree(os.path.join(folder, sorted(os.listdir(folder))[-1]))


def lose_table(lake):
    shutil.rmtree(os.path.join(lake, "order_party"))


def cut_file(lake):
    folder = os.path.join(lake, "brand")
    (name, *_) = os.listdir(folder)
    os.truncate(os.path.join(folder, name), 100)


def add_table(lake):
    shutil.copytree(os.path.join(lake, "brand"), os.path.join(lake, "brands"))


def add_copy(lake):
    folder = os.path.join(lake, "brand")
    (name, *_) = os.listdir(folder)
    shutil.copy(os.path.join(folder, name), os.path.join(folder, "again.parquet"))


FILES = {
    "a month's files are missing": ("order_row", lose_file),
    "a table is missing": ("order_party", lose_table),
    "a file is cut off": ("brand", cut_file),
    "an unknown table": ("brands", add_table),
    "a file is there twice": ("brand", add_copy),
}


def difference(options, resources, table, lake):
    """The output of a check, and its exit code."""
    options.tables = lake
    known = any(table == found.name for resource in resources.values() for found in resource.tables)
    options.only = [table] if known else []
    options.allow_extra = options.may_be_empty = []
    options.marked, options.partition = False, "month"
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = check.check(options, resources, lake)
    return code, output.getvalue()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--truth", required=True)
    parser.add_argument("--tables", required=True)
    parser.add_argument("--day", type=date.fromisoformat, required=True)
    options = parser.parse_args()
    whole = options.tables
    resources = load([check.BUILT_IN])
    partitions = {
        table.name: resource.partition and resource.partition.name
        for resource in resources.values()
        for table in resource.tables
    }
    database = connect()
    wrong = []
    for damage, (table, harm) in (QUERIES | FILES).items():
        with tempfile.TemporaryDirectory() as folder:
            lake = os.path.join(folder, "lake")
            copied = whole if table == "brands" else os.path.join(whole, table)
            shutil.copytree(copied, lake if table == "brands" else os.path.join(lake, table))
            if callable(harm):
                harm(lake)
            else:
                rewrite(database, lake, table, partitions[table], harm)
            code, output = difference(options, resources, table, lake)
            found = code == 1 and f"DIFFERENT {table}" in output
            if found == (damage == "nothing"):
                wrong.append(f"{damage} in {table}:\n{output}")
    if wrong:
        print("\n".join(wrong))
        return 1
    print(f"{len(QUERIES) - 1 + len(FILES)} kinds of damage are found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
