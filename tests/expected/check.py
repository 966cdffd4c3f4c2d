"""Compares exported tables with the rows that the fixtures of the sandbox state for each record.

    check.py --truth http://HOST:PORT/sandbox/TOKEN --tables FOLDER [--marked] RESOURCE…

Nothing is read from schema files. Compared are the columns of each table, every value of every row, and the number of times that
a row is there; `_extra` is null unless a row states it, `_extracted_at` and `_run_id` are set. With --marked rows of deleted
records, with `_deleted_at`, do not count. Needs the package duckdb. Exits with 1 on any difference.
"""

import argparse
import glob
import json
import os
import sys
import urllib.request
from collections import Counter
from datetime import date, datetime, timezone
from decimal import Decimal

import duckdb

OWN = ["_extra", "_extracted_at", "_run_id"]
SHOWN = 5


def parse(text):
    return json.loads(text, parse_float=Decimal)


def tree(value):
    """A value that compares by content: objects without order, numbers by value."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{tree(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(tree(entry) for entry in value) + "]"
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return str(Decimal(value).normalize())
    return json.dumps(value, ensure_ascii=False)


def stated(value, kind):
    """A value of a fixture as the column of this type has it."""
    if value is None:
        return None
    if kind.startswith("DECIMAL"):
        return Decimal(str(value))
    if kind.startswith("TIMESTAMP"):
        return datetime.fromisoformat(value).astimezone(timezone.utc)
    if kind == "DATE":
        return date.fromisoformat(value)
    return tree(value) if isinstance(value, (dict, list)) else value


def found(value, wants_tree):
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc)
    return tree(parse(value)) if wants_tree and isinstance(value, str) else value


def records(truth, resource):
    asked = urllib.request.Request(f"{truth.rstrip('/')}/expected/{resource}", method="POST")
    with urllib.request.urlopen(asked) as answer:
        return [parse(line) for line in answer if line.strip()]


def differences(database, folder, table, rows, marked):
    files = sorted(glob.glob(f"{glob.escape(os.path.join(folder, table))}/**/*.parquet", recursive=True))
    if not files:
        return ["no Parquet file"]
    names = ", ".join("'" + name.replace("'", "''") + "'" for name in files)
    source = f"read_parquet([{names}], hive_partitioning = false)" + (" where _deleted_at is null" if marked else "")
    kinds = {name: kind for name, kind, *_ in database.execute(f"describe select * from {source}").fetchall()}
    columns = [name for name in kinds if name not in OWN and name != "_deleted_at"]
    if missing := [name for name in OWN if name not in kinds]:
        return [f"no column {name}" for name in missing]
    expected = Counter()
    trees = {name for row in rows for name, value in row.items() if isinstance(value, (dict, list))}
    # A JSON column may hold a plain text in one row and an object in another.
    as_tree = {name: name in trees for name in columns}
    for row in rows:
        if unlike := (row.keys() - {"_extra"}) ^ set(columns):
            return [f"the fixture and the table differ in the columns {' '.join(sorted(unlike))}"]
        cells = [tree(row[name]) if as_tree[name] and row[name] is not None else stated(row[name], kinds[name]) for name in columns]
        extra = row.get("_extra")
        expected[(*cells, None if extra is None else tree(extra))] += 1
    wanted = ", ".join(f'"{name}"' for name in columns)
    query = f"select {wanted}, _extra, _extracted_at is not null and _run_id is not null from {source}"
    there = Counter()
    for *cells, extra, is_dated in database.execute(query).fetchall():
        if not is_dated:
            return ["a row without _extracted_at or _run_id"]
        values = [found(cell, as_tree[name]) for name, cell in zip(columns, cells)]
        there[(*values, None if extra is None else tree(parse(extra)))] += 1
    wrong = [f"expected {row}" for row in (expected - there).elements()]
    return wrong + [f"found    {row}" for row in (there - expected).elements()]


def check(truth, folder, resources, marked):
    """Compares the tables of these resources, prints what it finds; whether all are as stated."""
    database = duckdb.connect()
    database.execute("set TimeZone = 'UTC'")
    is_right = True
    for resource in resources:
        lines = records(truth, resource)
        if not lines:
            print(f"DIFFERENT {resource}: the account has no record")
            is_right = False
        for table in sorted({name for line in lines for name in line["tables"]}):
            rows = [row for line in lines for row in line["tables"].get(table, [])]
            if wrong := differences(database, folder, table, rows, marked):
                print(f"DIFFERENT {table}: {len(wrong):,} differences in {len(rows):,} rows")
                print("\n".join(f"  {line[:400]}" for line in sorted(wrong)[: 2 * SHOWN]))
                is_right = False
            else:
                print(f"ok {table} {len(rows):,} rows")
    return is_right


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--truth", required=True)
    parser.add_argument("--tables", required=True)
    parser.add_argument("--marked", action="store_true")
    parser.add_argument("resources", nargs="+")
    options = parser.parse_args()
    return 0 if check(options.truth, options.tables, options.resources, options.marked) else 1


if __name__ == "__main__":
    sys.exit(main())
