"""Granularities of partitions: `python3 benches/partitions.py [--orders N] [--granularity WORD …] [--old SHARE]`.

Loads orders divided by the first granularity and divides copies anew by the others. Prints for each one the files, their
bytes and the medians of three DuckDB queries; then, for a night in which one of 200 orders was created or edited, the
written bytes and the CPU time. A share `--old` of the edited orders is of any age, the rest is of the last fiftieth. Needs
`cargo build --release` and, for DuckDB, the tests' environment (`make .venv/ready`).
"""

import argparse
import json
import pathlib
import random
import shutil
import subprocess
import tempfile

from export import PROGRAM, ROOT, run, settings
from night import post, serve

QUERIES = {
    "join": "SELECT date_trunc('month', o.created_on) AS m, count(*), sum(r.row_net) FROM orders o JOIN lines r ON r.order_id = o.id GROUP BY m",
    "last month": "SELECT count(*), sum(net) FROM orders WHERE created_on >= (SELECT max(created_on) - INTERVAL 30 DAY FROM orders)",
    "one order": "SELECT * FROM lines WHERE order_id = (SELECT max(order_id) - 100 FROM lines)",
}
TIMED = """
import duckdb, json, sys, time
lake, queries = sys.argv[1], json.loads(sys.argv[2])
duckdb.sql(f"CREATE VIEW orders AS FROM read_parquet('{lake}/order/**/*.parquet')")
duckdb.sql(f"CREATE VIEW lines AS FROM read_parquet('{lake}/order_row/**/*.parquet')")
found = {}
for name, query in queries.items():
    times = []
    for _ in range(6):
        began = time.monotonic()
        duckdb.sql(query).fetchall()
        times.append(time.monotonic() - began)
    found[name] = sorted(times[1:])[2]
print(json.dumps(found))
"""


def queries(lake):
    python = ROOT / ".venv/bin/python"
    asked = subprocess.run([python, "-c", TIMED, lake, json.dumps(QUERIES)], check=True, capture_output=True, text=True)
    return ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in json.loads(asked.stdout).items())


def live(lake):
    files = [path for path in pathlib.Path(lake).rglob("*.parquet") if "_pearlift" not in path.parts]
    return f"{len(files)} files, {sum(path.stat().st_size for path in files) / 2**20:.1f} MiB"


def edit(control, count, old):
    """Creates and edits so many orders, two of three edited."""
    dice = random.Random(1)
    known = post(control, "ids/order")
    post(control, f"insert/order?count={count // 3}")
    edited = set()
    while len(edited) < count - count // 3:
        part = 1.0 if dice.random() < old else 0.02
        edited.add(known[-1 - int(dice.random() * part * len(known))])
    edited = sorted(edited)
    for at in range(0, len(edited), 500):
        post(control, f"edit/order?ids={','.join(map(str, edited[at:at + 500]))}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=250_000)
    parser.add_argument("--granularity", nargs="*", default=["month", "quarter", "year", "none"])
    parser.add_argument("--old", type=float, default=0.0)
    options = parser.parse_args()
    options.products = options.contacts = options.journals = None
    options.nights = 1
    sandbox, url, control = serve(options)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pearlift-bench-"))
    try:
        lakes = {}
        for word in options.granularity:
            lake = str(folder / word)
            lakes[word] = (lake, {**settings(url, lake), "PEARLIFT_RESOURCES_PARTITION": word})
            if len(lakes) == 1:
                _, _, cpu, _ = run(["run", "--log-format", "json", "order"], lakes[word][1])
                print(f"first load by {word}: {cpu:.1f} s of CPU", flush=True)
            else:
                shutil.copytree(folder / options.granularity[0], lake)
                subprocess.run([PROGRAM, "clean", "--repartition"], env=lakes[word][1], check=True, capture_output=True)
            print(f"{word}: {live(lake)}; {queries(lake)}", flush=True)
        post(control, "age?seconds=86400")
        edit(control, options.orders // 200, options.old)
        post(control, "age?seconds=600")
        for word, (lake, environment) in lakes.items():
            _, _, cpu, report = run(["run", "--log-format", "json", "order"], environment)
            written = report["resources"][0]
            print(f"a night by {word}: {cpu:.1f} s of CPU, {written['bytes_written'] / 2**20:.1f} MiB in "
                  f"{written['files_written']} files", flush=True)
    finally:
        sandbox.kill()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
