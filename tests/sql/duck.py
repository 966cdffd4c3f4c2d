"""Executes the SQL of `pearlift sql --dialect duckdb` and compares every table with the files at the destination.

    duck.py DATABASE SCRIPT DESTINATION [--name PATTERN] [--s3 http://HOST:PORT] [--page FILE]

DATABASE is a file, or `:memory:`. PATTERN is the name of a table's view, with `{}` for the table. Each table below the destination must be
there with the same columns, types and rows: those of the files that are not marked as deleted, and without the folder of a date. Every
column has a comment, and so has every table. The first query of a page is executed too, and must give rows. Prints a JSON object: rows by
table.

Needs the package duckdb; for s3 also fsspec and pyarrow, and the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
"""

import argparse
import json
import os

import duckdb

DATED = ("_month", "_quarter", "_year", "_bucket")


def connect(database, endpoint):
    connection = duckdb.connect(database)
    connection.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'")
    if endpoint:
        from fsspec.implementations.arrow import ArrowFSWrapper
        from pyarrow.fs import S3FileSystem

        class Bucket(ArrowFSWrapper):
            protocol = "s3"

        keys = {"access_key": os.environ["AWS_ACCESS_KEY_ID"], "secret_key": os.environ["AWS_SECRET_ACCESS_KEY"]}
        scheme, host = endpoint.split("://")
        connection.register_filesystem(Bucket(S3FileSystem(endpoint_override=host, scheme=scheme, region="us-east-1", **keys)))
    return connection


def tables(connection, destination):
    found = connection.execute(f"SELECT DISTINCT file FROM glob('{destination}/**/*.parquet')").fetchall()
    names = {path[0].removeprefix("s3://").split(destination.removeprefix("s3://") + "/")[1].split("/")[0] for path in found}
    return sorted(name for name in names if not name.startswith("_"))


def compare(connection, destination, table, view):
    files = f"read_parquet('{destination}/{table}/**/*.parquet', hive_partitioning = true)"
    described = connection.execute(f"DESCRIBE SELECT * FROM {files}").fetchall()
    wanted = [(name, kind) for name, kind, *_ in described if not name.endswith(DATED) or name.count("_") > 1]
    wanted = [column for column in wanted if column[0] != "_deleted_at"]
    found = [(name, kind) for name, kind, *_ in connection.execute(f"DESCRIBE {view}").fetchall()]
    assert found == wanted, (table, [pair for pair in zip(found, wanted) if pair[0] != pair[1]], len(found), len(wanted))
    columns = ", ".join(f'"{name}"' for name, _ in wanted)
    current = "WHERE _deleted_at IS NULL" if any(name == "_deleted_at" for name, *_ in described) else ""
    one, other = f"SELECT {columns} FROM {files} {current}", f"SELECT {columns} FROM {view}"
    for left, right in ((one, other), (other, one)):
        more = connection.execute(f"({left}) EXCEPT ALL ({right})").fetchall()
        assert not more, (table, len(more), "in the files" if left == one else "in the engine", more[:2])
    return connection.execute(f"SELECT count(*) FROM {view}").fetchone()[0]


def commented(connection, table, name):
    found = connection.execute(
        "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = ? AND comment IS NULL", [name]
    ).fetchall()
    assert not found, (table, "columns without a comment", found[:3])
    whole = connection.execute(
        "SELECT comment FROM duckdb_views() WHERE view_name = ? UNION ALL SELECT comment FROM duckdb_tables() WHERE table_name = ?",
        [name, name],
    ).fetchall()
    assert whole and all("Key: " in (comment or "") for (comment,) in whole), (table, whole)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("database")
    parser.add_argument("script")
    parser.add_argument("destination")
    parser.add_argument("--name", default='"{}"')
    parser.add_argument("--s3")
    parser.add_argument("--page")
    options = parser.parse_args()
    connection = connect(options.database, options.s3)
    with open(options.script) as script:
        connection.execute(script.read())
    rows = {}
    for table in tables(connection, options.destination):
        view = options.name.format(table)
        rows[table] = compare(connection, options.destination, table, view)
        commented(connection, table, view.split(".")[-1].strip('"'))
    for (name,) in connection.execute("SELECT view_name FROM duckdb_views() WHERE view_name LIKE '%\\_latest' ESCAPE '\\'").fetchall():
        schema = connection.execute("SELECT schema_name FROM duckdb_views() WHERE view_name = ?", [name]).fetchone()[0]
        rows[name] = connection.execute(f'SELECT count(*) FROM "{schema}"."{name}"').fetchone()[0]
    if options.page:
        with open(options.page) as page:
            query = page.read().split("```sql\n")[1].split("```")[0]
        assert connection.execute(query).fetchall(), query
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
