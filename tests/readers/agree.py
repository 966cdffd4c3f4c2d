"""Whether Spark, DataFusion and ClickHouse see in each table's folder what DuckDB sees there.

    agree.py FOLDER…

Each reads every table of local destinations as users do, with no option but hive partitioning, under the table's own name.
Compared with DuckDB: the columns, in their order, and their types; rows; of each column how many are not null; the sum of each
decimal; the least and the greatest of each instant and day. The first difference ends it with an error. Prints a JSON list,
one object a folder: tables, rows, tables without rows, tables with a partition 1970-01-01 in which rows lie, the greatest
precision of each decimal column by table and name, and how each reader types the columns that are in the path only.

Needs the packages chdb, datafusion, duckdb and pyspark, and Java.
"""

import decimal
import glob
import json
import os
import re
import sys

import chdb
import datafusion
import duckdb
from pyspark.sql import SparkSession

# Types by the names of DuckDB, Spark, DataFusion, ClickHouse; `{}` stands for the digits of a decimal.
TYPES = [
    ("BIGINT", "bigint", "Int64", "Int64"),
    ("INTEGER", "int", "Int32", "Int32"),
    ("BOOLEAN", "boolean", "Boolean", "Bool"),
    ("VARCHAR", "string", "Utf8View", "String"),
    ("DECIMAL({})", "decimal({})", "Decimal128({})", "Decimal({})"),
    ("DATE", "date", "Date32", "Date32"),
    ("TIMESTAMP WITH TIME ZONE", "timestamp", 'Timestamp(µs, "UTC")', "DateTime64(6, 'UTC')"),
]
# A column that is in the path only is a date to DuckDB, and its own to each.
IN_PATH = {"spark": "date", "datafusion": "Dictionary(UInt16, Utf8)", "clickhouse": "Date"}


def digits(kind):
    found = re.search(r"(\d+), ?(\d+)\)$", kind)
    return f"{found[1]}, {found[2]}" if found and kind.lower().startswith("decimal") else None


def same_type(kind, place):
    """DuckDB's type by the name of another reader; `place` is its column in TYPES."""
    general = "DECIMAL({})" if digits(kind) else kind
    known = {names[0]: names for names in TYPES}
    assert general in known, f"{kind} is a type of no column"
    return known[general][place].format(digits(kind))


def one_line(columns, quote, instant, text):
    """A SELECT list that tells a table by one row; the three functions write a name, an instant's microseconds, a text."""
    asked = ["count(*)"]
    for name, kind in columns:
        cell = quote(name)
        asked.append(f"count({cell})")
        if digits(kind):
            asked.append(f"sum({cell})")
        elif kind.startswith("TIMESTAMP"):
            asked += [instant(f"min({cell})"), instant(f"max({cell})")]
        elif kind == "DATE":
            asked += [text(f"min({cell})"), text(f"max({cell})")]
    return ", ".join(asked)


def plain(row):
    """Numbers as numbers, whatever a reader makes of them; texts as they are."""
    return [cell if cell is None or "-" in str(cell)[1:] else decimal.Decimal(str(cell)) for cell in row]


def double(name):
    return f'"{name}"'


def back(name):
    return f"`{name}`"


class DuckDb:
    def __init__(self, pattern):
        self.source = f"read_parquet('{pattern}', hive_partitioning = true)"
        described = duckdb.sql(f"DESCRIBE SELECT * FROM {self.source}").fetchall()
        self.columns = [(name, kind) for name, kind, *_ in described]

    def line(self):
        asked = one_line(self.columns, double, "epoch_us({})".format, "CAST({} AS VARCHAR)".format)
        return duckdb.sql(f"SELECT {asked} FROM {self.source}").fetchall()[0]


class Spark:
    place = 1

    def __init__(self, session):
        self.session = session

    def open(self, table, folder):
        frame = self.session.read.parquet(folder)
        frame.createOrReplaceTempView(table)
        return frame.dtypes

    def line(self, table, columns):
        asked = one_line(columns, back, "unix_micros({})".format, "CAST({} AS STRING)".format)
        return self.session.sql(f"SELECT {asked} FROM {back(table)}").first()


class DataFusion:
    place = 2

    def __init__(self):
        self.session = datafusion.SessionContext()

    def open(self, table, folder):
        self.session.sql(f"DROP TABLE IF EXISTS {double(table)}")
        self.session.sql(f"CREATE EXTERNAL TABLE {double(table)} STORED AS PARQUET LOCATION '{folder}/'")
        described = self.session.sql(f"DESCRIBE {double(table)}").to_pydict()
        return list(zip(described["column_name"], described["data_type"]))

    def line(self, table, columns):
        asked = one_line(columns, double, "CAST({} AS BIGINT)".format, "CAST({} AS VARCHAR)".format)
        cells = self.session.sql(f"SELECT {asked} FROM {double(table)}").collect()[0].columns
        return [cell[0].as_py() for cell in cells]


class ClickHouse:
    place = 3

    def open(self, table, folder):
        self.source = f"file('{folder}/**/*.parquet')"
        described = json.loads(str(chdb.query(f"DESCRIBE {self.source}", "JSON")))["data"]
        return [(column["name"], re.sub(r"^Nullable\((.*)\)$", r"\1", column["type"])) for column in described]

    def line(self, table, columns):
        asked = one_line(columns, back, "toUnixTimestamp64Micro({})".format, "toString({})".format)
        chosen = f"SELECT {asked} FROM {self.source} SETTINGS output_format_json_quote_decimals = 1"
        return json.loads(str(chdb.query(chosen, "JSONCompactEachRow")))


def look(lake, readers):
    tables = sorted(name for name in os.listdir(lake) if not name.startswith("_"))
    found = {"tables": len(tables), "rows": 0, "empty": [], "undated": [], "decimals": {}, "in_path": {}}
    for table in tables:
        folder = os.path.join(lake, table)
        duck = DuckDb(f"{folder}/**/*.parquet")
        seen = duck.line()
        in_path = {part.split("=")[0] for part in os.listdir(folder) if "=" in part}
        for name, reader in readers.items():
            types = [(column, re.sub(", ?", ", ", kind)) for column, kind in reader.open(table, folder)]
            wanted = [(column, same_type(kind, reader.place)) for column, kind in duck.columns]
            wanted = [(column, IN_PATH[name] if column in in_path else kind) for column, kind in wanted]
            assert types == wanted, (lake, table, name, [pair for pair in zip(types, wanted) if pair[0] != pair[1]])
            # Of no rows ClickHouse gives least and greatest values, where the others give null.
            line = reader.line(table, duck.columns if seen[0] else [])
            assert plain(line) == plain(seen[: len(line)]), (lake, table, name, list(zip(line, seen)))
        found["rows"] += seen[0]
        found["in_path"].update({column: kind for column, kind in duck.columns if column in in_path})
        found["decimals"].update({f"{table}.{column}": digits(kind) for column, kind in duck.columns if digits(kind)})
        if not seen[0]:
            found["empty"].append(table)
        undated = glob.glob(f"{glob.escape(folder)}/*=1970-01-01")
        if undated and duckdb.sql(f"SELECT count(*) FROM read_parquet('{undated[0]}/*.parquet')").fetchall()[0][0]:
            found["undated"].append(table)
    return found


def main():
    # A small Spark that listens to this machine only; nothing here changes how it reads.
    session = SparkSession.builder.master("local[1]").config("spark.driver.memory", "1g")
    session = session.config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "1")
    session = session.config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
    session = session.config("spark.ui.showConsoleProgress", "false").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    readers = {"spark": Spark(session), "datafusion": DataFusion(), "clickhouse": ClickHouse()}
    found = [look(lake, readers) for lake in sys.argv[1:]]
    session.stop()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
