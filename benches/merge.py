"""What a night costs beside requests: `python3 benches/merge.py [--orders N] [--changed N] [--old SHARE] [--runs N]`.

Starts the release binary's sandbox without a quota and exports its orders to a temporary folder. Then a night in which
nothing changed, though open orders are read again, and a night in which some changed; each several times, from the same
state. Edited orders have an exponentially distributed age of a mean of `--mean-age` days; with `--mean-age 0` five in six lie in the
last twentieth of all and the others in the last fifth. Prints the medians of CPU time, of bytes read and written by the program (all of
them, pages that the system holds in memory too) and of bytes published, and these divided by the bytes of the changed orders. Needs `cargo build --release`, and Linux. `--program` measures another
build.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.request

import export
from export import settings


def serve(program, orders):
    sandbox = subprocess.Popen(
        [program, "sandbox", "--port", "0", "--limit", "0", "--orders", str(orders)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    return sandbox, sandbox.stdout.readline().strip(), sandbox.stdout.readline().strip()


def post(control, path):
    with urllib.request.urlopen(urllib.request.Request(f"{control}/{path}", method="POST")) as answer:
        return json.load(answer)


def run(program, environment):
    """Runs once; gives what it cost. The counters of /proc are read until the program is gone."""
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen([program, "run", "--log-format", "json", "order"], env=environment, stderr=told)
        counters, began, status = {}, time.monotonic(), None
        while status is None:
            try:
                text = pathlib.Path(f"/proc/{process.pid}/io").read_text()
                counters = dict(line.split(": ") for line in text.splitlines()) or counters
            except OSError:
                pass
            gone, code, usage = os.wait4(process.pid, os.WNOHANG)
            status = code if gone else time.sleep(0.005)
        took = time.monotonic() - began
        told.seek(0)
        said = told.read()
    if status != 0:
        raise SystemExit(f"pearlift ended with {os.waitstatus_to_exitcode(status)}:\n{said}")
    report = json.loads(said.strip().splitlines()[-1])["resources"][0]
    return {
        "seconds": took,
        "cpu": usage.ru_utime + usage.ru_stime,
        "MiB resident": usage.ru_maxrss / 1024,
        "MiB read": int(counters.get("rchar", 0)) / 2**20,
        "MiB written": int(counters.get("wchar", 0)) / 2**20,
        "MiB published": report["bytes_written"] / 2**20,
        "files": report["files_written"],
        "rows changed": report["rows_changed"] + report["rows_added"],
    }


def tell(heading, costs):
    names = costs[0].keys()
    print(f"{heading}: " + ", ".join(f"{statistics.median(cost[name] for cost in costs):.1f} {name}" for name in names), flush=True)


def change(control, count, old, mean, dice):
    """Two of three changed orders are edited, the third is new; `old` of the edited ones are of any age. The age of the others is
    a share of all: exponentially distributed, or of two steps without a mean."""
    known, new = post(control, "ids/order"), count // 3
    post(control, f"insert/order?count={new}")
    edited = set()
    while len(edited) < count - new:
        if dice.random() < old:
            age = dice.random()
        elif mean:
            age = dice.expovariate(1 / mean)
        else:
            age = dice.random() * dice.choice([0.05] * 7 + [0.2] * 2)
        if age < 1:
            edited.add(known[-1 - int(age * len(known))])
    edited = sorted(edited)
    for at in range(0, len(edited), 500):
        post(control, f"edit/order?ids={','.join(map(str, edited[at:at + 500]))}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--changed", type=int, default=5_000)
    parser.add_argument("--old", type=float, default=0.0, help="share of edited orders that may be of any age")
    parser.add_argument("--mean-age", type=float, default=14, help="mean age of the other edited orders in days")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--program", default=export.PROGRAM)
    options = parser.parse_args()
    sandbox, url, control = serve(options.program, options.orders)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pearlift-bench-"))
    lake, kept, dice = folder / "lake", folder / "kept", random.Random(1)
    environment = {**settings(url, str(lake)), "PEARLIFT_RESOURCES_PARTITION": "month"}
    try:
        tell("first load", [run(options.program, environment)])
        live = sum(file.stat().st_size for file in lake.rglob("*.parquet"))
        months = len({file.parent.name for file in lake.glob("order/*/*.parquet")})
        mean, bytes_changed = options.mean_age / (months * 30.4), live / options.orders * options.changed
        print(f"  {live / 2**20:.1f} MiB live in {len(list(lake.rglob('*.parquet')))} files of {months} months")
        for heading, changed in (("nothing changed", 0), ("changed", options.changed)):
            post(control, "age?seconds=86400")
            if changed:
                change(control, changed, options.old, mean, dice)
            shutil.copytree(lake, kept)
            costs = []
            for _ in range(options.runs):
                shutil.rmtree(lake)
                shutil.copytree(kept, lake)
                costs.append(run(options.program, environment))
            shutil.rmtree(kept)
            tell(f"night, {heading}", costs)
            if changed:
                published = statistics.median(cost["MiB published"] for cost in costs) * 2**20
                print(f"  {published / bytes_changed:.1f} times the bytes of the changed orders, {bytes_changed / 2**20:.2f} MiB")
        tell("again at once", [run(options.program, environment)])
    finally:
        sandbox.kill()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
