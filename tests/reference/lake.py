"""Tables of a lake, compared with the rows that they must have: keys, every value of every column, columns and types in every
file, partitions, and the columns that every table has.

Reads Parquet by DuckDB. A difference is counted, and the first few are kept for people.
"""

import glob
import os
from operator import itemgetter

import duckdb

from values import is_same_json, type_of

# Behind the columns of the schema file, in every table.
OWN_TYPES = {"_extra": "VARCHAR", "_extracted_at": "TIMESTAMP WITH TIME ZONE", "_run_id": "VARCHAR"}
DELETED_AT = {"_deleted_at": "TIMESTAMP WITH TIME ZONE"}
SHOWN = 5
ROWS_AT_ONCE = 20_000


def connect():
    database = duckdb.connect()
    database.execute("set TimeZone = 'UTC'")
    return database


class Comparison:
    """One table: its rows as found, taken away one by one as the expected rows account for them.

    A row here is a tuple: the cells of the schema's columns, `_extra`, whether `_extracted_at` and `_run_id` are set, and the
    partition."""

    def __init__(self, table, partition, folder, marked):
        self.table = table
        self.name = table.name
        self.partition = partition
        self.marked = marked
        self.columns = [column.name for column in table.columns]
        self.key_of = itemgetter(*map(table.place, table.key))
        self.is_short_key = len(table.key) == 1
        self.found = {}
        self.compared = 0
        self.tolerated = 0
        self.differences = 0
        self.shown = []
        self.unfilled = list(range(len(self.columns)))
        self.files = sorted(glob.glob(f"{glob.escape(os.path.join(folder, table.name))}/**/*.parquet", recursive=True))
        self.readable = False

    def differs(self, key, column, expected, found):
        self.differences += 1
        if len(self.shown) < SHOWN:
            self.shown.append(f"  key {key} column {column}: expected {shorten(expected)}, found {shorten(found)}")

    def read(self, database):
        """Takes in the whole table; when its columns are not those of the schema, no row is looked at."""
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
        expected = {column.name: column.type.duckdb for column in self.table.columns} | OWN_TYPES
        if self.marked:
            expected |= DELETED_AT
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
        if self.partition:
            expected[self.partition.name] = self.partition.type
        described = database.execute(f"describe select * from {self.source()}").fetchall()
        types = {name: kind for name, kind, *_ in described}
        for name in sorted(set(types) | set(expected)):
            if types.get(name) != expected.get(name):
                self.differs("-", name, expected.get(name), types.get(name))

    def source(self):
        files = ", ".join("'" + name.replace("'", "''") + "'" for name in self.files)
        return f"read_parquet([{files}], hive_partitioning = true)"

    def read_rows(self, database):
        wanted = [column.type.cell_sql(column.name) for column in self.table.columns]
        wanted += ['"_extra"', '"_extracted_at" is not null', '"_run_id" is not null']
        wanted.append(f'"{self.partition.name}"::{self.partition.cell_type}' if self.partition else "null")
        live = " where _deleted_at is null" if self.marked else ""
        answer = database.execute(f"select {', '.join(wanted)} from {self.source()}{live}")
        read = 0
        while rows := answer.fetchmany(ROWS_AT_ONCE):
            read += len(rows)
            keys = map(self.key_of, rows)
            self.found.update(zip(((key,) for key in keys) if self.is_short_key else keys, rows))
        if read > len(self.found):
            self.name_twins(database, live)

    def name_twins(self, database, live):
        key = ", ".join(f'"{name}"' for name in self.table.key)
        query = f"select {key}, count(*) from {self.source()}{live} group by all having count(*) > 1 order by all"
        for *twin, count in database.execute(query).fetchall():
            self.differs(tuple(twin), "-", "one row", count)

    def compare(self, rows, partition):
        """The rows that a record must have, by their keys."""
        if not self.readable:
            return
        found_rows = self.found
        for key, row in rows.items():
            found = found_rows.pop(key, None)
            if found is None:
                self.differs(key, "-", "a row", "none")
                continue
            self.compared += 1
            expected = row + (True, True, partition)
            if found != expected:
                self.compare_cells(key, expected, found)
            if self.unfilled:
                self.unfilled = [place for place in self.unfilled if row[place] is None]

    def compare_cells(self, key, expected, found):
        names = [*self.columns, "_extra", "_extracted_at", "_run_id", self.partition and self.partition.name]
        for place, name in enumerate(names):
            one, other = expected[place], found[place]
            is_json = name == "_extra" or place < len(self.columns) and self.table.columns[place].type is type_of("json")
            if one != other and not (is_json and one is not None and other is not None and is_same_json(one, other)):
                self.differs(key, name, one, other)

    def finish(self, records, allow_extra, may_be_empty):
        """Counts rows that no expected row accounted for, and a table in which nothing was compared."""
        for key in self.found:
            if allow_extra and key[0] not in records:
                self.tolerated += 1
            else:
                self.differs(key, "-", "no row", "one")
        if records and self.readable and not self.compared and not may_be_empty:
            self.differs("-", "-", "rows", f"none to compare though the truth has {len(records):,} records")

    def report(self):
        if self.differences:
            print(f"DIFFERENT {self.name}: {self.differences:,} differences in {self.compared:,} rows compared")
            print("\n".join(self.shown))
            return
        columns = len(self.columns) + len(OWN_TYPES) + bool(self.partition)
        notes = []
        if self.tolerated:
            notes.append(f"{self.tolerated:,} rows of records that the truth has no longer")
        if empty := [self.columns[place] for place in self.unfilled]:
            notes.append(f"always null: {' '.join(empty)}")
        print(f"ok {self.name} {self.compared:,} rows × {columns} columns" + (f" ({'; '.join(notes)})" if notes else ""))


def shorten(value):
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "…"
