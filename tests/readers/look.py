"""What readers see in local destinations: by a glob over each table's folder, and by the head at final or staged path.

    look.py RESOURCE,… FOLDER…

Prints a JSON list, one object a folder: for each resource its head's version, and for each of its tables the rows and a digest
of the head's rows (without `_extracted_at` and `_run_id`, in no order), keys that the head's rows have twice, keys that a glob
sees twice within a partition's folder, and across folders; files that are staged, named by the head or not; files in the
tables' folders that are no Parquet. A file that cannot be read whole ends it with an error.

Needs the package duckdb.
"""

import glob
import json
import os
import sys

import duckdb

# of every table
OURS = "_extracted_at, _run_id"


def quoted(names):
    return ", ".join(f'"{name}"' for name in names)


def parquet(paths):
    listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    return f"read_parquet([{listed}], hive_partitioning = false, filename = true)"


def look_at_table(database, folder, name, table):
    live = []
    staged = 0
    for file in table["files"]:
        final, waiting = os.path.join(folder, file["path"]), os.path.join(folder, file["staged"])
        staged += os.path.exists(waiting)
        live.append(final if os.path.exists(final) else waiting)
    key = quoted(table["key"])
    rows, digest = database.execute(
        f"SELECT count(*), coalesce(sum(hash(t)::HUGEINT), 0)::VARCHAR"
        f" FROM (SELECT * EXCLUDE ({OURS}, filename) FROM {parquet(live)}) t"
    ).fetchone()
    twice = database.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM {parquet(live)} GROUP BY {key} HAVING count(*) > 1)"
    ).fetchone()[0]
    seen = sorted(glob.glob(f"{glob.escape(os.path.join(folder, name))}/**/*.parquet", recursive=True))
    inside = across = seen_rows = 0
    if seen:
        place = "parse_dirpath(filename)"
        # every column, so that every page of every file is read
        seen_rows = database.execute(
            f"SELECT count(*) + 0 * coalesce(sum(hash(t)::HUGEINT), 0) FROM (SELECT * FROM {parquet(seen)}) t"
        ).fetchone()[0]
        inside, across = database.execute(
            f"SELECT count(*) FILTER (most > 1), count(*) FILTER (most = 1) FROM (SELECT max(n) AS most, {key} FROM"
            f" (SELECT count(*) AS n, {key} FROM {parquet(seen)} GROUP BY {place}, {key})"
            f" GROUP BY {key} HAVING sum(n) > 1)"
        ).fetchone()
    return {
        "rows": rows,
        "digest": digest,
        "twice": twice,
        "glob_rows": int(seen_rows),
        "glob_twice": inside,
        "glob_across": across,
        "staged": staged,
    }


def read_head(path):
    """A version with its tables: those of its checkpoint with what changed since, where it refers to one."""
    with open(path) as file:
        head = json.load(file)
    since = head.get("changed_since")
    if since:
        with open(os.path.join(os.path.dirname(path), f"{since['version']:020}.json")) as file:
            before = json.load(file)
        assert before["nonce"] == since["nonce"], path
        head["tables"] = before["tables"]
        for name, changes in since.get("tables", {}).items():
            table, dropped = head["tables"][name], set(changes.get("dropped", []))
            table["files"] = [file for file in table["files"] if file["path"] not in dropped] + changes.get("added", [])
    return head


def look(database, folder, resources):
    found = {"resources": {}, "staged": 0, "strays": []}
    staging = os.path.join(folder, "_pearlift", "staging")
    found["staged"] = sum(len(files) for _, _, files in os.walk(staging))
    for entry in sorted(os.listdir(folder)):
        if entry == "_pearlift":
            continue
        for path, _, files in os.walk(os.path.join(folder, entry)):
            found["strays"] += [os.path.join(path, name) for name in files if not name.endswith(".parquet")]
    for resource in resources:
        heads = sorted(glob.glob(os.path.join(glob.escape(folder), "_pearlift/manifests", resource, "*.json")))
        if not heads:
            found["resources"][resource] = None
            continue
        head = read_head(heads[-1])
        tables = {name: look_at_table(database, folder, name, table) for name, table in head["tables"].items()}
        found["resources"][resource] = {
            "version": head["version"],
            "loaded": head["state"]["completed_at"] is not None,
            "tables": tables,
        }
    return found


def main():
    resources = sys.argv[1].split(",")
    database = duckdb.connect()
    print(json.dumps([look(database, folder, resources) for folder in sys.argv[2:]]))


if __name__ == "__main__":
    main()
