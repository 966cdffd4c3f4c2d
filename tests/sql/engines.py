"""Executes the SQL of `pearlift sql` in Spark or ClickHouse and compares every table with the files, as DuckDB reads them.

    engines.py spark|clickhouse SCRIPT DESTINATION [--s3]

The views are in the schema `shop`, and their names begin with `bp_`. Compared by table: the columns in their order, the rows, of each column
how many are not null, the sum of each decimal, the least and the greatest of each instant and day; and that columns have comments. The query
with which the engine's page begins is executed, and must give rows. With
--s3 the destination is a folder with a copy of the bucket that the script reads. Prints a JSON object: rows by table.

Needs the packages chdb, duckdb and pyspark, and for Spark Java.
"""

import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../readers"))
from agree import back, double, one_line, plain  # noqa: E402

import duckdb  # noqa: E402


def statements(path):
    """The statements of a script: each ends at the end of a line, and no text contains `;` there."""
    with open(path) as script:
        lines = [line for line in script.read().splitlines() if not line.startswith("--")]
    return [text for text in "\n".join(lines).split(";\n") if text.strip()]


class Spark:
    instant, text = "unix_micros({})", "CAST({} AS STRING)"

    def __init__(self, folder):
        from pyspark.sql import SparkSession

        session = SparkSession.builder.master("local[1]").config("spark.driver.memory", "1g")
        session = session.config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "1")
        session = session.config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
        session = session.config("spark.sql.warehouse.dir", folder).config("spark.ui.showConsoleProgress", "false")
        self.session = session.getOrCreate()
        self.session.sparkContext.setLogLevel("ERROR")

    def execute(self, statement):
        self.session.sql(statement.rstrip().rstrip(";"))

    def rows(self, query):
        return self.session.sql(query.rstrip().rstrip(";")).collect()

    def columns(self, view):
        described = self.session.sql(f"DESCRIBE {view}").collect()
        return [(row.col_name, row.comment) for row in described]

    def line(self, view, asked):
        return list(self.session.sql(f"SELECT {asked} FROM {view}").first())


class ClickHouse:
    instant, text = "toUnixTimestamp64Micro({})", "toString({})"

    def __init__(self, folder):
        from chdb import session

        self.session = session.Session(os.path.join(folder, "clickhouse"))

    def execute(self, statement):
        self.session.query(statement.rstrip().rstrip(";"))

    def rows(self, query):
        return str(self.session.query(query.rstrip().rstrip(";"), "JSONCompactEachRow")).splitlines()

    def columns(self, view):
        described = json.loads(str(self.session.query(f"DESCRIBE {view}", "JSON")))["data"]
        return [(row["name"], row["comment"]) for row in described]

    def line(self, view, asked):
        chosen = f"SELECT {asked} FROM {view} SETTINGS output_format_json_quote_decimals = 1"
        return json.loads(str(self.session.query(chosen, "JSONCompactEachRow")))


def main():
    which, script, destination = sys.argv[1:4]
    folder = tempfile.mkdtemp()
    engine = {"spark": Spark, "clickhouse": ClickHouse}[which](folder)
    for statement in statements(script):
        engine.execute(statement)
    rows = {}
    for table in sorted(name for name in os.listdir(destination) if not name.startswith("_")):
        source = f"read_parquet('{destination}/{table}/**/*.parquet', hive_partitioning = true)"
        described = duckdb.sql(f"DESCRIBE SELECT * FROM {source}").fetchall()
        in_path = {part.split("=")[0] for part in os.listdir(os.path.join(destination, table)) if "=" in part}
        columns = [(name, kind) for name, kind, *_ in described if name not in in_path or name == "snapshot_date"]
        view = f"`shop`.`bp_{table}`"
        found = engine.columns(view)
        assert [name for name, _ in found] == [name for name, _ in columns], (table, found, columns)
        assert all(comment for _, comment in found), (table, found)
        asked = one_line(columns, double, "epoch_us({})".format, "CAST({} AS VARCHAR)".format)
        wanted = duckdb.sql(f"SELECT {asked} FROM {source}").fetchall()[0]
        # Of no rows ClickHouse gives least and greatest values, where the others give null.
        theirs = engine.line(view, one_line(columns if wanted[0] else [], back, engine.instant.format, engine.text.format))
        assert plain(theirs) == plain(wanted[: len(theirs)]), (table, list(zip(theirs, wanted)))
        rows[table] = wanted[0]
    for table in ("product_availability", "product_availability_warehouse"):
        if table in rows:
            rows[f"{table}_latest"] = engine.line(f"`shop`.`bp_{table}_latest`", "count(*)")[0]
    with open(os.path.join(os.path.dirname(__file__), f"../../docs/engines/{which}.md")) as page:
        query = page.read().split("```sql\n")[1].split("```")[0]
    lines = [line for line in query.splitlines() if not line.startswith("--")]
    assert engine.rows("\n".join(lines)), query
    print()
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
