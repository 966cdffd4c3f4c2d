"""Checks exported tables against the truth of the sandbox, value by value: an opinion of its own, in Python and DuckDB.

    check.py --truth http://HOST:PORT/sandbox/TOKEN --tables FOLDER|s3://BUCKET/PREFIX [--s3-endpoint http://127.0.0.1:PORT]
             [--only TABLE,…] [--allow-extra TABLE,…] [--may-be-empty TABLE,…] [--day 2026-11-24] [--marked]

What a record must become is written out by hand in `flatten_*.py`, from the API's documentation; nothing is read from the schema
files. Compared are the keys (none twice, missing or extra), every value of every column, the columns and their types in every
file, the partitions, and that `_extra` is null and `_extracted_at`, `_run_id` are not. A table without a single row compared is
a difference where its truth has records. With --marked every table bears `_deleted_at`, and rows where it is set do not count.

Needs the packages duckdb and, for s3, pyarrow; the keys are then AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
Exits with 1 on any difference.
"""

import argparse
import glob
import importlib.util
import json
import os
import sys
import tempfile
import urllib.request
from datetime import date, datetime, timezone

import duckdb

import flatten_accounting
import flatten_contact
import flatten_list
import flatten_order
import flatten_product
import flatten_warehouse
from table import TYPES
from values import month, parse, tree

KINDS = [
    kind
    for module in (flatten_list, flatten_accounting, flatten_warehouse, flatten_product, flatten_contact, flatten_order)
    for kind in module.KINDS
]
TABLES = [table.name for kind in KINDS for table in kind.tables]

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def fixtures():
    """The resources of the sandbox that state the rows of their tables themselves, and those tables."""
    for path in sorted(glob.glob(os.path.join(glob.escape(ROOT), "crates/sandbox/fixtures/*.json"))):
        with open(path) as file:
            templates = json.load(file)["templates"]
        name = os.path.splitext(os.path.basename(path))[0]
        yield name, {table for template in templates for table in template["expected"]}


FIXTURES = dict(fixtures())

# of every table, behind its own columns
OWN_TYPES = {"_extra": "VARCHAR", "_extracted_at": "TIMESTAMP WITH TIME ZONE", "_run_id": "VARCHAR"}
SHOWN = 5
ROWS_AT_ONCE = 20_000


class Comparison:
    """One table: its rows as found, taken away one by one as the truth accounts for them."""

    def __init__(self, table, folder, marked):
        self.table = table
        self.marked = marked
        self.found = {}
        self.compared = 0
        self.tolerated = 0
        self.filled = set()
        self.differences = 0
        self.shown = []
        self.files = sorted(glob.glob(f"{glob.escape(os.path.join(folder, table.name))}/**/*.parquet", recursive=True))
        self.readable = False

    def differs(self, key, column, expected, found):
        self.differences += 1
        if len(self.shown) < SHOWN:
            self.shown.append(f"  key {key} column {column}: expected {shorten(expected)}, found {shorten(found)}")

    def read(self, database):
        """Takes in the whole table; when its columns are not those known, no row is looked at."""
        if not self.files:
            self.differs("-", "-", "a table", "no Parquet file")
            return
        try:
            self.check_columns(database)
            if not self.differences:
                self.read_rows(database)
                self.readable = True
        except duckdb.Error as refused:
            self.differs("-", "-", "readable files", refused)

    def check_columns(self, database):
        table = self.table
        expected = {column: TYPES[kind][1] for column, kind in table.types.items()} | OWN_TYPES
        if self.marked:
            expected["_deleted_at"] = "TIMESTAMP WITH TIME ZONE"
        seen = database.execute(
            "select file_name, list(name),"
            " list([name, type, logical_type::varchar, precision::varchar, scale::varchar] order by name)"
            " from parquet_schema(?) where num_children is null group by file_name order by file_name",
            [self.files],
        ).fetchall()
        for file_name, names, physical in seen:
            for name in sorted(set(names) ^ set(expected)):
                self.differs(file_name, name, *(("a column", "none") if name in expected else ("no column", "one")))
            if physical != seen[0][2]:
                self.differs(file_name, "-", f"the types of {seen[0][0]}", "other types")
        if self.differences:
            return
        if table.partition:
            expected[table.partition] = "DATE"
        described = database.execute(f"describe select * from {self.source()}").fetchall()
        types = {name: kind for name, kind, *_ in described}
        for name in sorted(set(types) | set(expected)):
            if types.get(name) != expected.get(name):
                self.differs("-", name, expected.get(name), types.get(name))

    def source(self):
        files = ", ".join("'" + name.replace("'", "''") + "'" for name in self.files)
        return f"read_parquet([{files}], hive_partitioning = true)"

    def live(self):
        return " where _deleted_at is null" if self.marked else ""

    def read_rows(self, database):
        table = self.table
        wanted = [
            f'epoch_us("{column}")' if TYPES[table.types[column]][1].startswith("TIMESTAMP") else f'"{column}"'
            for column in table.columns
        ]
        wanted += ['"_extra"', '"_extracted_at" is not null', '"_run_id" is not null']
        wanted.append(f'"{table.partition}"' if table.partition else "null")
        answer = database.execute(f"select {', '.join(wanted)} from {self.source()}{self.live()}")
        width = len(table.columns)
        while rows := answer.fetchmany(ROWS_AT_ONCE):
            for row in rows:
                key = table.key_of(row)
                if key in self.found:
                    self.differs(key, "-", "one row", "two")
                self.found[key] = row
                extra, extracted, run = row[width : width + 3]
                if extra is not None:
                    self.differs(key, "_extra", None, extra)
                if not extracted:
                    self.differs(key, "_extracted_at", "an instant", None)
                if not run:
                    self.differs(key, "_run_id", "a run", None)

    def compare(self, record, partition):
        """The rows of one record of the truth."""
        if not self.readable:
            return
        table = self.table
        try:
            rows = list(table.expected(record))
        except (AttributeError, KeyError, TypeError, ValueError) as unfit:
            self.differs(f"record {shorten(record)}", "-", "a truth that fits the table", repr(unfit))
            return
        for row in rows:
            key = table.key_of(row)
            found = self.found.pop(key, None)
            if found is None:
                self.differs(key, "-", "a row", "none")
                continue
            self.compared += 1
            for place, column in enumerate(table.columns):
                value = found[place]
                if value is not None and table.types[column] == "json":
                    value = tree(parse(value))
                if row[place] is not None:
                    self.filled.add(column)
                if row[place] != value:
                    self.differs(key, column, row[place], value)
            if table.partition and found[-1] != partition:
                self.differs(key, table.partition, partition, found[-1])

    def finish(self, owners, allow_extra, may_be_empty):
        """What the truth did not account for; a table that compared nothing though there was something."""
        for key in self.found:
            if allow_extra and key[0] not in owners:
                self.tolerated += 1
            else:
                self.differs(key, "-", "no row", "one")
        if owners and self.readable and not self.compared and not may_be_empty:
            self.differs("-", "-", "rows", f"none to compare though the truth has {len(owners):,} records")

    def report(self):
        table = self.table
        if self.differences:
            print(f"DIFFERENT {table.name}: {self.differences:,} differences in {self.compared:,} rows compared")
            print("\n".join(self.shown))
            return
        columns = len(table.columns) + len(OWN_TYPES) + bool(table.partition)
        notes = []
        if self.tolerated:
            notes.append(f"{self.tolerated:,} rows of owners that the truth has no longer")
        if empty := [column for column in table.columns if column not in self.filled]:
            notes.append(f"always null: {' '.join(empty)}")
        print(f"ok {table.name} {self.compared:,} rows × {columns} columns" + (f" ({'; '.join(notes)})" if notes else ""))


def shorten(value):
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "…"


def records(truth, kind):
    asked = urllib.request.Request(f"{truth.rstrip('/')}/truth/{kind}", method="POST")
    with urllib.request.urlopen(asked) as answer:
        for line in answer:
            if line.strip():
                yield parse(line)


def check_kind(kind, tables, options, folder, database):
    comparisons = [Comparison(table, folder, options.marked) for table in tables]
    for comparison in comparisons:
        comparison.read(database)
    owners = set()
    for record in records(options.truth, kind.name):
        owner = kind.owner(record)
        if owner in owners:
            sys.exit(f"the truth of {kind.name} has {owner} twice")
        owners.add(owner)
        created = month(kind.created_on(record)) if kind.created_on else None
        for comparison in comparisons:
            comparison.compare(record, options.day if comparison.table.partition == "snapshot_date" else created)
    for comparison in comparisons:
        comparison.finish(owners, comparison.table.name in options.allow_extra, comparison.table.name in options.may_be_empty)
        comparison.report()
    return comparisons


def download(url, endpoint, folder):
    """Copies the tables of a bucket into the folder; `_pearlift/` stays where it is."""
    from pyarrow import fs

    scheme, _, host = (endpoint or "").rpartition("://")
    bucket = fs.S3FileSystem(
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        region=os.environ.get("AWS_REGION", "us-east-1"),
        endpoint_override=host or None,
        scheme=scheme or "https",
    )
    prefix = url.removeprefix("s3://").strip("/")
    for entry in bucket.get_file_info(fs.FileSelector(prefix, recursive=True, allow_not_found=True)):
        name = entry.path[len(prefix) + 1 :]
        if entry.type != fs.FileType.File or name.startswith("_pearlift/"):
            continue
        local = os.path.join(folder, name)
        os.makedirs(os.path.dirname(local), exist_ok=True)
        with bucket.open_input_stream(entry.path) as source, open(local, "wb") as target:
            while block := source.read(1 << 20):
                target.write(block)


def expected():
    """The check of tables against the rows that fixtures state."""
    spec = importlib.util.spec_from_file_location("expected", os.path.join(ROOT, "tests/expected/check.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(options, folder):
    database = duckdb.connect()
    database.execute("set TimeZone = 'UTC'")
    failed = False
    if not options.only:
        for name in sorted(os.listdir(folder)):
            known = name in TABLES or any(name in tables for tables in FIXTURES.values())
            if not name.startswith("_") and os.path.isdir(os.path.join(folder, name)) and not known:
                print(f"DIFFERENT {name}: a table that this check does not know")
                failed = True
        failed |= not expected().check(options.truth, folder, FIXTURES, options.marked)
    done = []
    for kind in KINDS:
        tables = [table for table in kind.tables if not options.only or table.name in options.only]
        if tables:
            done += check_kind(kind, tables, options, folder, database)
    different = [comparison.table.name for comparison in done if comparison.differences]
    if not any(comparison.compared for comparison in done):
        print("nothing was compared")
        failed = True
    if different:
        print(f"{len(different)} of {len(done)} tables differ from the truth: {' '.join(different)}")
    if different or failed:
        return 1
    print(f"all {len(done)} tables equal the truth")
    return 0


def table_names(names):
    names = names.split(",")
    if unknown := [name for name in names if name not in TABLES]:
        raise argparse.ArgumentTypeError(f"no such table: {' '.join(unknown)}")
    return names


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--truth", required=True, help="where the sandbox is controlled, http://HOST:PORT/sandbox/TOKEN")
    parser.add_argument("--tables", required=True, help="the destination: a folder or s3://BUCKET/PREFIX")
    parser.add_argument("--s3-endpoint", help="http://HOST:PORT of the object store")
    parser.add_argument("--only", type=table_names, default=[], help="tables to check, all when left out")
    parser.add_argument("--may-be-empty", type=table_names, default=[], help="tables of which a small account may have no row")
    parser.add_argument("--allow-extra", type=table_names, default=[], help="tables that may keep rows of deleted owners")
    parser.add_argument(
        "--day", type=date.fromisoformat, default=datetime.now(timezone.utc).date(), help="of the snapshots, today when left out"
    )
    parser.add_argument("--marked", action="store_true", help="the tables keep rows of deleted records, with `_deleted_at`")
    options = parser.parse_args()
    if not options.tables.startswith("s3://"):
        if not os.path.isdir(options.tables):
            parser.error(f"no folder {options.tables}")
        return check(options, options.tables)
    with tempfile.TemporaryDirectory() as folder:
        download(options.tables, options.s3_endpoint, folder)
        return check(options, folder)


if __name__ == "__main__":
    sys.exit(main())
