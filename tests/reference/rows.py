"""Prints the rows that answers become: the second reading of the schema files, for comparison with the program's.

    rows.py [--schemas FOLDER] < ANSWERS

Each line of the input is `{"resource": NAME, "answer": {…}}` with a whole answer of the API; `asked` is the one id that was asked
for, `label` that of the GET, where there are such. Each line of the output is a JSON
object: `tables` has for each table of the resource its rows, each a list of a text or null a cell, `_extra` last; `partitions`
has the number of each record's partition by its key. Instants are microseconds and dates days since 1970, decimals have all
digits of their scale, floats are the 64 bits of their value.
"""

import argparse
import json
import struct
import sys

from answers import rows_of
from check import BUILT_IN
from schema import load
from values import days, parse


def shown(cell):
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return struct.pack(">d", cell).hex() if isinstance(cell, float) else str(cell)


def number(partition):
    """Days since 1970 of a month, or the bucket; 0 where there is none."""
    return days(*map(int, partition.split("-"))) if isinstance(partition, str) else partition or 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--schemas", help="a folder whose schema files add to the built-in ones or replace them")
    options = parser.parse_args()
    resources = load([BUILT_IN, *([options.schemas] if options.schemas else [])])
    for line in sys.stdin:
        wanted = parse(line)
        asked = (wanted.get("asked"), wanted.get("label"))
        tables, partitions = rows_of(resources[wanted["resource"]], wanted["answer"], *asked)
        tables = {name: [[shown(cell) for cell in row] for row in rows] for name, rows in tables.items()}
        partitions = {str(key): number(partition) for key, partition in partitions.items()}
        print(json.dumps({"tables": tables, "partitions": partitions}))


if __name__ == "__main__":
    main()
