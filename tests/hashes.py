"""Compares tables whose columns hold hashes with plain ones: `hashes.py PLAIN HASHED KEY TABLE.COLUMN ...`.

Each named column must hold HMAC-SHA-256 of its values, hexadecimal, and every other column the same values. No value of the named
columns, of which a person could be known, may be in any cell of the hashed tables. Prints the number of values that were compared.
"""

import glob
import hashlib
import hmac
import json
import pathlib
import re
import sys

import pyarrow.parquet as parquet

OWN = {"_extracted_at", "_run_id"}
# Names of brands, which the simulated account takes from the list of names of companies, and numbers of the shop itself.
NOT_OF_PEOPLE = {"brand.name", "channel_brand.vat_number"}
# Shorter values are words or numbers that other columns have too.
TELLING = 7
# An instant tells of nobody, and other fields have the same.
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT")


def rows(folder, table):
    files = sorted(glob.glob(f"{folder}/{table}/**/*.parquet", recursive=True))
    found = [row for file in files for row in parquet.ParquetFile(file).read().to_pylist()]
    return [{name: value for name, value in row.items() if name not in OWN} for row in found]


def text(value):
    return value if isinstance(value, str) else str(value)


def unescaped(value):
    """The text that a column of JSON holds; any other value as it is written."""
    if value.startswith('"') and value.endswith('"') and len(value) > 1:
        return json.loads(value)
    return value


def main():
    plain, hashed, key, *columns = sys.argv[1:]
    key = key.encode()
    tables = {path.name for path in pathlib.Path(plain).iterdir() if path.is_dir() and not path.name.startswith("_")}
    named = {}
    for column in columns:
        table, name = column.split(".")
        named.setdefault(table, set()).add(name)
    compared, secrets, wrong = 0, set(), []
    cells = set()
    for table in sorted(tables):
        before, after = rows(plain, table), rows(hashed, table)
        if len(before) != len(after):
            wrong.append(f"{table}: {len(before)} and {len(after)} rows")
        for one, other in zip(before, after):
            for name, value in one.items():
                if name not in other:
                    # A column that shows the text of another column as a different type is left out.
                    continue
                got = other[name]
                if name not in named.get(table, ()) or value is None or value == "":
                    if got != value:
                        wrong.append(f"{table}.{name}: {value!r} and {got!r}")
                elif isinstance(value, str):
                    value = unescaped(value) if name.endswith("_json") else value
                    want = hmac.new(key, value.encode(), hashlib.sha256).hexdigest() if value else ""
                    compared += 1
                    if len(value) >= TELLING and not INSTANT.match(value):
                        secrets.add(value)
                    if got != want:
                        wrong.append(f"{table}.{name}: {got!r} for {value!r}")
                elif not (isinstance(got, str) and len(got) == 64):
                    wrong.append(f"{table}.{name}: {got!r} for {value!r}")
            cells.update((text(value), f"{table}.{name}") for name, value in other.items() if value is not None)
    everything = "\n".join(cell for cell, _ in cells)
    for value in (value for value in secrets if value in everything):
        wrong += [f"{value!r} is in {place}" for cell, place in cells if value in cell and place not in NOT_OF_PEOPLE]
    print(f"{compared} values compared, {len(secrets)} searched")
    if wrong:
        print("\n".join(wrong[:40]))
        sys.exit(1)


main()
