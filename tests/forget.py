"""The values of a person at a destination: `forget.py values LAKE ID`, or `forget.py search LAKE VALUES`.

`values` prints, as a JSON list, the texts of rows of the contact's own tables and of the contact's orders that no other row of any table
has. `search` reads such a list from a file and looks for each value in every file below a folder: in its bytes, in every cell of a Parquet
file, in the statistics of its columns, and in every page as it is once it is unpacked. It prints the findings.
"""

import hashlib
import json
import pathlib
import sys

import pyarrow
import pyarrow.parquet as parquet

# Shorter values are words or numbers that other columns have too.
TELLING = 7
MAGIC = b"\x28\xb5\x2f\xfd"


def texts(value):
    """Every text in a cell; those in JSON one by one."""
    if not isinstance(value, str):
        return
    yield value
    if value[:1] in "{[":
        try:
            inner = json.loads(value)
        except ValueError:
            return
        stack = [inner]
        while stack:
            item = stack.pop()
            if isinstance(item, dict):
                stack.extend(item.values())
            elif isinstance(item, list):
                stack.extend(item)
            elif isinstance(item, str):
                yield item


def tables(lake):
    for path in sorted(pathlib.Path(lake).rglob("*.parquet")):
        yield path, path.name.split("-")[0], parquet.ParquetFile(path).read().to_pylist()


def values(lake, person):
    everything = list(tables(lake))
    orders = {row["order_id"] for _, table, rows in everything if table == "order_party" for row in rows if row["contact_id"] == person}

    def is_theirs(table, row):
        if table == "contact":
            return row["id"] == person
        if table.startswith("contact_") and "contact_id" in row:
            return row["contact_id"] == person
        return table == "order_party" and row["order_id"] in orders

    theirs, others = set(), set()
    for _, table, rows in everything:
        for row in rows:
            found = theirs if is_theirs(table, row) else others
            for name, cell in row.items():
                if name != "_run_id":
                    found.update(texts(cell))
    rest = "\0".join(others)
    telling = (value for value in theirs if len(value) >= TELLING and value[:1] not in "{[" and value not in rest)
    print(json.dumps(sorted(telling), ensure_ascii=False))


def frame(data, at):
    """The end of the zstd frame at a place and the size of its content (RFC 8878); None where there is no frame."""
    descriptor = data[at + 4]
    single = descriptor >> 5 & 1
    window, dictionary = 1 - single, (0, 1, 2, 4)[descriptor & 3]
    width = (single, 2, 4, 8)[descriptor >> 6]
    start = at + 5 + window + dictionary
    size = int.from_bytes(data[start : start + width], "little") + (256 if width == 2 else 0)
    place, last = start + width, 0
    while not last:
        if place + 3 > len(data):
            return None
        header = int.from_bytes(data[place : place + 3], "little")
        last, kind, length = header & 1, header >> 1 & 3, header >> 3
        place += 3 + (1 if kind == 1 else length)
    place += 4 if descriptor >> 2 & 1 else 0
    return (place, size) if width and place <= len(data) else None


def unpacked(data):
    """Every zstd frame in some bytes, unpacked."""
    codec = pyarrow.Codec("zstd")
    at = data.find(MAGIC)
    while at >= 0:
        found = frame(data, at)
        if found and found[1] < 1 << 28:
            try:
                yield codec.decompress(data[at : found[0]], found[1], asbytes=True)
            except OSError:
                pass  # Bytes that only look like a frame.
        at = data.find(MAGIC, at + 1)


def shown(path, data):
    """The texts that a file shows: its bytes, and those of a Parquet file in every way."""
    yield "bytes", data
    if data[:4] != b"PAR1":
        return
    file = parquet.ParquetFile(path)
    cells = json.dumps(file.read().to_pylist(), ensure_ascii=False, default=str)
    yield "cells", cells.encode()
    metadata = file.metadata.to_dict()
    yield "statistics", json.dumps(metadata, ensure_ascii=False, default=str).encode()
    pages = 0
    for page in unpacked(data):
        pages += 1
        yield "pages", page
    assert pages > 0 or file.metadata.num_rows == 0, f"{path} has no page that can be unpacked"


def search(lake, wanted):
    wanted = json.loads(pathlib.Path(wanted).read_text())
    forms = {value: {value.encode(), json.dumps(value)[1:-1].encode(), json.dumps(json.dumps(value)[1:-1])[1:-1].encode()} for value in wanted}
    known = set()
    for path in sorted(path for path in pathlib.Path(lake).rglob("*") if path.is_file()):
        content = path.read_bytes()
        # Copies of a lake have most of their files in common.
        digest = hashlib.sha256(content).digest()
        if digest in known:
            continue
        known.add(digest)
        for where, data in shown(path, content):
            for value, spellings in forms.items():
                if any(form in data for form in spellings):
                    print(f"{path}: {value} ({where})")


def main():
    mode, lake, which = sys.argv[1:]
    if mode == "values":
        values(lake, int(which))
    else:
        search(lake, which)


main()
