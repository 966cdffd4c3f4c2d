"""Checks exported tables against the truth of the sandbox, value by value, by a second reading of the schema files.

    check.py --truth http://HOST:PORT/sandbox/TOKEN --tables FOLDER|s3://BUCKET/PREFIX [--s3-endpoint http://127.0.0.1:PORT]
             [--only TABLE,…] [--allow-extra TABLE,…] [--may-be-empty TABLE,…] [--day 2026-11-24] [--marked] [--schemas FOLDER]

The rows that a record must become are made by `flatten.py` from `schemas/*.toml`. Compared are the keys (none twice, missing or
extra), every value of every column and of `_extra`, the columns and their types in every file, the partitions, and that
`_extracted_at`, `_run_id` are set. A table without a single row compared is a difference where its truth has records. With
--marked every table has `_deleted_at`, and rows where it is set do not count.

Needs the packages duckdb and, for s3, pyarrow; the keys are then AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
Exits with 1 on any difference.
"""

import argparse
import json
import os
import sys
import tempfile
import urllib.request
from dataclasses import replace
from datetime import date, datetime, timezone

from answers import of_truth, together
from flatten import Flattener
from lake import Comparison, connect
from schema import load
from values import parse

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
BUILT_IN = os.path.join(ROOT, "schemas")


def truth_lines(truth, resource):
    asked = urllib.request.Request(f"{truth.rstrip('/')}/truth/{resource.name}", method="POST")
    with urllib.request.urlopen(asked) as answer:
        for line in answer:
            if line.strip():
                yield parse(line)


def truths(truth, resource, flattener):
    """Each record with its key, its rows, and its key in the map that holds it."""
    records = (record for line in truth_lines(truth, resource) for record in of_truth(resource, line))
    if resource.repeats:
        for key, rows in together(flattener, records).items():
            yield key, rows, None, None
        return
    for record, map_key, asked, label in records:
        yield *flattener.flatten(record, map_key, 0, asked, label), record, map_key


def check_resource(resource, tables, options, folder, database):
    if partition := resource.partition:
        of = os.path.join(folder, tables[0].name)
        partition = partition.divided(options.partition) if options.partition else partition.found_in(of)
        resource = replace(resource, partition=partition)
    comparisons = [Comparison(table, resource.partition, folder, options.marked) for table in tables]
    for comparison in comparisons:
        comparison.read(database)
    flattener = Flattener(resource, {table.name for table in tables})
    keys = set()
    for key, rows, record, map_key in truths(options.truth, resource, flattener):
        if rows is None or key in keys:
            sys.exit(f"the truth of {resource.name} has {key} twice, or as no record")
        keys.add(key)
        is_snapshot = resource.partition and resource.partition.by == "snapshot_date"
        partition = str(options.day) if is_snapshot else flattener.partition(record, map_key)
        for comparison in comparisons:
            comparison.compare(rows[comparison.name], partition)
    for comparison in comparisons:
        comparison.finish(keys, comparison.name in options.allow_extra, comparison.name in options.may_be_empty)
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


def check(options, resources, folder):
    database = connect()
    failed = False
    if not options.only:
        known = {table.name for resource in resources.values() for table in resource.tables}
        for name in sorted(os.listdir(folder)):
            if not name.startswith("_") and os.path.isdir(os.path.join(folder, name)) and name not in known:
                print(f"DIFFERENT {name}: a table that no schema file has")
                failed = True
    done = []
    for resource in resources.values():
        tables = [table for table in resource.tables if not options.only or table.name in options.only]
        # Such a resource is compared where it is named, or was read.
        is_read = resource.is_default or options.only or any(os.path.isdir(os.path.join(folder, table.name)) for table in tables)
        if tables and is_read:
            done += check_resource(resource, tables, options, folder, database)
    different = [comparison.name for comparison in done if comparison.differences]
    if not any(comparison.compared for comparison in done):
        print("nothing was compared")
        failed = True
    if different:
        print(f"{len(different)} of {len(done)} tables differ from the truth: {' '.join(different)}")
    if different or failed:
        return 1
    print(f"all {len(done)} tables equal the truth")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--truth", required=True, help="where the sandbox is controlled, http://HOST:PORT/sandbox/TOKEN")
    parser.add_argument("--tables", required=True, help="the destination: a folder or s3://BUCKET/PREFIX")
    parser.add_argument("--s3-endpoint", help="http://HOST:PORT of the object store")
    parser.add_argument("--only", type=names, default=[], help="tables to check, all when left out")
    parser.add_argument("--may-be-empty", type=names, default=[], help="tables of which a small account may have no row")
    parser.add_argument("--allow-extra", type=names, default=[], help="tables that may keep rows of deleted records")
    parser.add_argument(
        "--day", type=date.fromisoformat, default=datetime.now(timezone.utc).date(), help="of the snapshots, today when left out"
    )
    parser.add_argument("--marked", action="store_true", help="the tables keep rows of deleted records, with `_deleted_at`")
    parser.add_argument(
        "--partition", choices=["month", "quarter", "year", "none"], help="of tables that a date divides, as found when left out"
    )
    parser.add_argument("--schemas", help="a folder whose schema files add to the built-in ones or replace them")
    options = parser.parse_args()
    resources = load([BUILT_IN, *([options.schemas] if options.schemas else [])], options.only)
    known = {table.name for resource in resources.values() for table in resource.tables}
    named = options.only or options.may_be_empty + options.allow_extra
    if unknown := [name for name in named if name not in known]:
        parser.error(f"no such table: {' '.join(unknown)}")
    if not options.tables.startswith("s3://"):
        if not os.path.isdir(options.tables):
            parser.error(f"no folder {options.tables}")
        return check(options, resources, options.tables)
    with tempfile.TemporaryDirectory() as folder:
        download(options.tables, options.s3_endpoint, folder)
        return check(options, resources, folder)


def names(text):
    return text.split(",")


if __name__ == "__main__":
    sys.exit(main())
