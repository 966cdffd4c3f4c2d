"""Whether readers of Delta tables see in local destinations the rows of the manifest versions that the logs name.

    delta.py [--engines E,…] [--head] [--newest] [--at URL] RESOURCE,… FOLDER…

Reads every version of every table's log with each engine (deltalake, polars, duckdb, chdb; deltalake alone by default), and
compares the rows with those of the files that the manifest version of its `txn` lists. With --head the newest one must be the
head's; with --newest only that one is read. With --at the engines read below a URL, s3://…, and FOLDER is a copy of it. Ends
with an error at the first difference; prints a JSON list, one object a folder: by table the version, its `txn`, its rows, and how
many versions were read.

The package duckdb computes the sums; --engines duckdb needs its extension `delta` too.
"""

import argparse
import glob
import json
import os

import duckdb

from look import parquet, read_head

KEY, SECRET = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
ENDPOINT = os.environ.get("AWS_ENDPOINT_URL")
OPTIONS = {"AWS_ENDPOINT_URL": ENDPOINT, "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"} if ENDPOINT else None
# of every table
OURS = [
    {"name": "_extra", "type": "json"},
    {"name": "_extracted_at", "type": "timestamp"},
    {"name": "_run_id", "type": "string"},
]
TYPES = {"bool": "BOOLEAN", "int32": "INTEGER", "int64": "BIGINT", "float64": "DOUBLE", "date": "DATE"}


def with_deltalake(path, version):
    from deltalake import DeltaTable

    return DeltaTable(path, version=version, storage_options=OPTIONS).to_pyarrow_table()


def with_polars(path, version):
    import polars

    return polars.scan_delta(path, version=version, storage_options=OPTIONS).collect().to_arrow()


def extension(name):
    """The file of an extension of DuckDB, as its package has it."""
    import importlib
    import pathlib

    package = importlib.import_module(f"duckdb_extension_{name}")
    return next(pathlib.Path(package.__file__).parent.rglob(f"{name}.duckdb_extension"))


def with_duckdb(path, version):
    database = duckdb.connect(config={"allow_unsigned_extensions": True})
    database.execute(f"LOAD '{extension('delta')}'")
    if ENDPOINT:
        database.execute(f"LOAD '{extension('httpfs')}'")
        host = ENDPOINT.removeprefix("http://")
        database.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{KEY}', SECRET '{SECRET}', ENDPOINT '{host}', USE_SSL false, URL_STYLE 'path')"
        )
    return database.execute(f"SELECT * FROM delta_scan('{path}', version = {version})").to_arrow_table()


def with_chdb(path, version):
    import chdb

    table = f"deltaLakeLocal('{path}')"
    if ENDPOINT:
        table = f"deltaLake('{path.replace('s3://', ENDPOINT + '/')}', '{KEY}', '{SECRET}')"
    setting = f"SETTINGS delta_lake_snapshot_version = {version}"
    return chdb.to_arrowTable(chdb.query(f"SELECT * FROM {table} {setting}", "Arrow"))


ENGINES = {"deltalake": with_deltalake, "polars": with_polars, "duckdb": with_duckdb, "chdb": with_chdb}


def texts(columns):
    """Each column as text, in one form whatever the type that an engine chose."""
    forms = []
    for column in columns:
        name, kind = f'"{column["name"]}"', column["type"]
        if kind == "timestamp":
            forms.append(f"epoch_us({name})::VARCHAR")
        elif kind.startswith("decimal"):
            forms.append(f"{name}::{kind}::VARCHAR")
        else:
            forms.append(f"{name}::{TYPES.get(kind, 'VARCHAR')}::VARCHAR")
    return ", ".join(forms)


def digest(database, source, columns):
    return database.execute(
        f"SELECT count(*), coalesce(sum(hash([{texts(columns)}])::HUGEINT), 0)::VARCHAR FROM {source}"
    ).fetchall()[0]


def expected(database, folder, table):
    """The rows of a version's table, with the values of its partition."""
    rows, total = 0, 0
    columns = table["columns"] + OURS
    by_value = {}
    for file in table["files"]:
        final = os.path.join(folder, file["path"])
        path = final if os.path.exists(final) else os.path.join(folder, file["staged"])
        by_value.setdefault(file["partition"], []).append(path)
    for partition, paths in by_value.items():
        more, value = columns, ""
        if table["partition"]:
            name, value = partition.split("=")
            kind = "date" if "-" in value else "int32"
            more, value = columns + [{"name": name, "type": kind}], f""", '{value}' AS "{name}" """
        source = f"(SELECT * EXCLUDE (filename) {value} FROM {parquet(paths)})"
        count, part = digest(database, source, more)
        rows, total = rows + count, total + int(part)
    if table["partition"]:
        values = [value for value in by_value if value]
        kind = "date" if any("-" in value.split("=")[1] for value in values) else "int32"
        columns = columns + [{"name": table["partition"], "type": kind}]
    return columns, (rows, str(total))


def look_at_table(database, folder, resource, name, options):
    from deltalake import DeltaTable

    manifests = os.path.join(folder, "_pearlift/manifests", resource)
    path = os.path.join(options.at or os.path.abspath(folder), name)
    newest = DeltaTable(path, storage_options=OPTIONS)
    last = newest.version()
    found = {"version": last, "txn": newest.transaction_version(f"pearlift:{resource}"), "read": 0}
    first = last if options.newest else 0
    for version in range(first, last + 1):
        at = DeltaTable(path, version=version, storage_options=OPTIONS).transaction_version(f"pearlift:{resource}")
        manifest = read_head(os.path.join(manifests, f"{at:020}.json"))
        columns, wanted = expected(database, folder, manifest["tables"][name])
        for engine in options.engines.split(","):
            rows = ENGINES[engine](path, version)
            assert set(rows.column_names) == {column["name"] for column in columns}, (path, version, engine, rows.column_names)
            database.register("seen", rows)
            seen = digest(database, "seen", columns)
            assert seen == wanted, (path, version, engine, at, seen, wanted)
            found["read"] += 1
        found["rows"] = wanted[0]
    return found


def look(database, folder, options):
    found = {}
    for resource in options.resources.split(","):
        heads = sorted(glob.glob(os.path.join(glob.escape(folder), "_pearlift/manifests", resource, "*.json")))
        if not heads:
            continue
        head = read_head(heads[-1])
        for name, table in head["tables"].items():
            if not os.path.isdir(os.path.join(folder, name, "_delta_log")):
                assert not options.head, (folder, name, "has no log")
                continue
            found[name] = look_at_table(database, folder, resource, name, options)
            if options.head:
                _, wanted = expected(database, folder, table)
                manifest = read_head(os.path.join(os.path.dirname(heads[-1]), f"{found[name]['txn']:020}.json"))
                assert manifest["tables"][name]["files"] == table["files"], (folder, name, found[name])
                assert wanted[0] == found[name]["rows"], (folder, name, wanted, found[name])
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--engines", default="deltalake")
    parser.add_argument("--head", action="store_true")
    parser.add_argument("--newest", action="store_true")
    parser.add_argument("--at")
    parser.add_argument("resources")
    parser.add_argument("folders", nargs="+")
    options = parser.parse_args()
    database = duckdb.connect()
    database.execute("SET enable_progress_bar = false")
    print(json.dumps([look(database, folder, options) for folder in options.folders]))


if __name__ == "__main__":
    main()
