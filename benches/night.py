"""A large account, its first load and a night: `python3 benches/night.py [--orders N] [--changed N] …`.

Starts the release binary's sandbox without a quota and exports it to a temporary folder; then some records change, most of
them recent, and a night follows. Prints for each resource the requests that `plan` foresaw and that `run` made, and for the
night the bytes rewritten and the wall time. Needs `cargo build --release`.
"""

import argparse
import datetime
import json
import pathlib
import random
import shutil
import subprocess
import tempfile
import time
import urllib.request

from export import PROGRAM, settings


def serve(options):
    # The account's clock stays behind this machine's during the nights that follow: copies that seem to be taken before
    # the last change are requested once more.
    began = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=options.nights + 1)
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as settings:
        json.dump({"now": began.strftime("%Y-%m-%dT%H:%M:%SZ")}, settings)
    sizes = [f"--{name}={getattr(options, name)}" for name in ("orders", "products", "contacts", "journals") if getattr(options, name)]
    sandbox = subprocess.Popen(
        [PROGRAM, "sandbox", "--port", "0", "--limit", "0", "--settings", settings.name, *sizes],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    return sandbox, sandbox.stdout.readline().strip(), sandbox.stdout.readline().strip()


def post(control, path):
    with urllib.request.urlopen(urllib.request.Request(f"{control}/{path}", method="POST")) as answer:
        return json.load(answer)


def ask(arguments, environment):
    began = time.monotonic()
    process = subprocess.Popen([PROGRAM, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, said = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"pearlift {' '.join(arguments)} ended with {process.returncode}:\n{out}{said}")
    return time.monotonic() - began, out, said


def scan(url, environment, resources, lake, heading):
    """Plans a run, makes it, and tells of both."""
    _, planned, _ = ask(["plan", "--json", *resources], environment)
    planned = json.loads(planned)
    took, _, said = ask(["run", "--log-format", "json", *resources], environment)
    report = json.loads(said.strip().splitlines()[-1])
    foreseen = {}
    for resource in planned["resources"]:
        scans = resource["scans"]
        exact = all(scan["requests_exact"] for scan in scans)
        foreseen[resource["resource"]] = (sum(scan["requests"] for scan in scans), exact)
    print(f"\n{heading}: {took:.1f} s, {report['requests']} requests made, {sum(value for value, _ in foreseen.values())} planned, "
          f"{planned['spent']} spent on planning")
    written = sum(resource["bytes_written"] for resource in report["resources"])
    total = sum(f.stat().st_size for f in pathlib.Path(lake).rglob("*.parquet") if "_pearlift" not in f.parts)
    print(f"  {written / 2**20:.1f} MiB written of {total / 2**20:.1f} MiB live, "
          f"{sum(resource['files_written'] for resource in report['resources'])} files, "
          f"{sum(resource['rows_changed'] for resource in report['resources'])} rows changed")
    for resource in report["resources"]:
        value, exact = foreseen.get(resource["resource"], (0, True))
        print(f"  {resource['resource']:<22}{'' if exact else 'about ':>6}{value:>6} planned {resource['requests']:>6} made "
              f"{resource['bytes_written'] / 2**20:>9.1f} MiB {resource['files_written']:>5} files", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=250_000)
    parser.add_argument("--products", type=int, default=60_000)
    parser.add_argument("--contacts", type=int, default=500_000)
    parser.add_argument("--journals", type=int, default=350_000)
    parser.add_argument("--changed", nargs="*", default=["order=3000", "product=1000", "contact=2000", "journal=5000",
                                                               "goods_movement=3000", "goods_in_note=60", "order_note=3000"],
                        help="KIND=N: so many records change; journals, goods-in notes and notes on orders are never edited, so that they come in anew")
    parser.add_argument("--resource", nargs="*", default=[], help="all when left out")
    parser.add_argument("--nights", type=int, default=1)
    parser.add_argument("--old", type=float, default=0.1, help="share of edited records that may be of any age")
    options = parser.parse_args()
    sandbox, url, control = serve(options)
    lake = tempfile.mkdtemp(prefix="pearlift-bench-")
    dice = random.Random(1)
    try:
        # The day's snapshot is taken again each night, though the machine's day stays.
        environment = {**settings(url, lake), "PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_EVERY": "1ms"}
        scan(url, environment, options.resource, lake, "first load")
        for night in range(options.nights):
            post(control, "age?seconds=86400")
            for kind, count in (wish.split("=") for wish in options.changed):
                known, count = post(control, f"ids/{kind}"), int(count)
                new = count if kind in ("journal", "goods_in_note", "order_note") else count // 3
                post(control, f"insert/{kind}?count={new}")
                # By default one of ten edited records is of any age; of the others most are of the last twentieth.
                edited = set()
                while len(edited) < count - new:
                    part = 1.0 if dice.random() < options.old else dice.choice([0.05] * 7 + [0.2] * 2)
                    edited.add(known[-1 - int(dice.random() * part * len(known))])
                edited = sorted(edited)
                for at in range(0, len(edited), 500):
                    post(control, f"edit/{kind}?ids={','.join(map(str, edited[at:at + 500]))}")
            post(control, "age?seconds=600")
            scan(url, environment, options.resource, lake, f"night {night + 1}")
        scan(url, environment, options.resource, lake, "quiet run")
    finally:
        sandbox.kill()
        shutil.rmtree(lake)


if __name__ == "__main__":
    main()
