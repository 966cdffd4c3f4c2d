"""What many nights cost: `python3 benches/growth.py [--orders N] [--nights N] [--large N] …`.

Exports a small simulated account, lets so many nights go by, and exports a large one with one night, each to a folder and to
a bucket of SeaweedFS, which counts the requests to it. Prints files, bytes, what `_pearlift` takes, requests to the store by
kind, CPU, resident memory, the time of `status`, `plan`, `verify` and `clean`, and the price of a night's requests. Checks
that none of it grows with the nights; ends with 1 where it does. Needs `cargo build --release` and, for the bucket, `.venv`.
"""

import argparse
import collections
import datetime
import json
import os
import pathlib
import random
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request

from export import PROGRAM, ROOT, settings
from night import post

KEY, SECRET = "lake-key", "lake-secret"
# Dollars for a request, S3 Standard in us-east-1: PUT, COPY, POST and LIST at 0.005 a thousand, GET and HEAD at 0.0004; DELETE
# is free.
PRICES = {"PUT": 5e-6, "COPY": 5e-6, "POST": 5e-6, "LIST": 5e-6, "GET": 4e-7, "HEAD": 4e-7}
# New and changed records of a night; none of journals, payments and goods-in notes is ever edited.
NIGHT = {"order": (15, 15), "goods_out_note": (15, 15), "goods_movement": (15, 15), "contact": (4, 6), "product": (2, 4),
         "customer_payment": (12, 0), "supplier_payment": (1, 0), "goods_in_note": (1, 0), "journal": (25, 0)}
COMMANDS = (["status"], ["plan"], ["verify"], ["clean"])

Measured = collections.namedtuple("Measured", "took cpu memory out said requests")


class Folder:
    name = "folder"

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="pearlift-growth-")

    def environment(self, url):
        return settings(url, self.path)

    def sizes(self):
        lake = pathlib.Path(self.path)
        return [(str(file.relative_to(lake)), file.stat().st_size) for file in lake.rglob("*") if file.is_file()]

    def requests(self):
        return collections.Counter()

    def close(self):
        shutil.rmtree(self.path)


class Bucket:
    name = "bucket"

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="pearlift-growth-weed-")
        held = [socket.create_server(("127.0.0.1", 0)) for _ in range(6)]
        ports = [one.getsockname()[1] for one in held]
        [one.close() for one in held]
        self.s3, master, volume, self.filer, admin, self.metrics = ports
        self.server = subprocess.Popen(
            [ROOT / ".venv/bin/weed", "mini", f"-dir={self.folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-bucket=lake",
             "-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false",
             f"-s3.port={self.s3}", f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={self.filer}",
             f"-admin.port={admin}", f"-metricsPort={self.metrics}"],
            env={"PATH": os.environ["PATH"], "HOME": self.folder, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET},
            cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.filer}/buckets/lake/?limit=1"):
                    return
            except OSError:
                time.sleep(0.1)
        raise SystemExit("SeaweedFS does not serve")

    def environment(self, url):
        return {**settings(url, "s3://lake/shop"), "PEARLIFT_DESTINATION_S3_ENDPOINT": f"http://127.0.0.1:{self.s3}",
                "PEARLIFT_DESTINATION_S3_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}

    def sizes(self, folder="/buckets/lake/shop"):
        found, last = [], ""
        while True:
            address = f"http://127.0.0.1:{self.filer}{folder}/?limit=1000&lastFileName={urllib.request.quote(last)}"
            asked = urllib.request.Request(address, headers={"Accept": "application/json"})
            with urllib.request.urlopen(asked) as answer:
                page = json.load(answer)
            for entry in page.get("Entries") or []:
                path = entry["FullPath"]
                if entry["Mode"] & 1 << 31:
                    found += self.sizes(urllib.request.quote(path))
                else:
                    found.append((path.removeprefix("/buckets/lake/shop/"), entry["FileSize"]))
            if not page.get("ShouldDisplayLoadMore"):
                return found
            last = page["LastFileName"]

    def requests(self):
        """The requests so far by kind, whatever was answered."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics") as answer:
            text = answer.read().decode()
        counts = collections.Counter()
        for kind, count in re.findall(r'^SeaweedFS_s3_request_total{bucket="lake",.*type="(\w+)"} (\d+)$', text, re.M):
            counts[kind] += int(count)
        return counts

    def close(self):
        self.server.kill()
        self.server.wait()
        shutil.rmtree(self.folder)


def measure(program, arguments, place, environment):
    before, began = place.requests(), time.monotonic()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([program, *arguments], env=environment, stdout=out, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        took = time.monotonic() - began
        texts = [(file.seek(0), file.read())[1] for file in (out, said)]
    if status != 0:
        raise SystemExit(f"pearlift {' '.join(arguments)} ended with {os.waitstatus_to_exitcode(status)}:\n{''.join(texts)[-4000:]}")
    requests = place.requests()
    requests.subtract(before)
    return Measured(took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, *texts, +requests)


def price(requests):
    return sum(PRICES.get(kind, 0) * count for kind, count in requests.items())


def total(sizes, kept):
    """Files and bytes of what is ours beside the data, or of the data."""
    chosen = [size for path, size in sizes if path.startswith("_pearlift/") == kept and not path.startswith("_pearlift/locks")]
    return len(chosen), sum(chosen)


def tables(sizes):
    """Files of the tables, without those of availability, which has its own each day."""
    return sum(1 for path, _ in sizes if not path.startswith(("_pearlift/", "product_availability")))


def night(control, scale, dice):
    post(control, "age?seconds=85800")
    for kind, (new, changed) in NIGHT.items():
        post(control, f"insert/{kind}?count={max(1, int(new * scale))}")
        # Most changed records are of the last twentieth.
        known = post(control, f"ids/{kind}")
        edited = {known[-1 - int(dice.random() * dice.choice([0.05] * 9 + [1.0]) * len(known))] for _ in range(int(changed * scale))}
        if edited:
            post(control, f"edit/{kind}?ids={','.join(map(str, sorted(edited)))}")
    post(control, "age?seconds=600")


def show(what, measured, sizes):
    (files, data), (ours, kept) = total(sizes, False), total(sizes, True)
    requests = ", ".join(f"{count} {kind}" for kind, count in sorted(measured.requests.items()))
    report = json.loads(measured.said.strip().splitlines()[-1])
    print(f"  {what:<11} {files:>6} files {data / 2**20:>8.1f} MiB; _pearlift {ours:>5} files {kept / 2**20:>6.2f} MiB; "
          f"{measured.took:>6.1f} s, {measured.cpu:>6.1f} s of CPU, {measured.memory:>4.0f} MiB; source {report['requests']:>5}"
          f"{f'; store {requests}: ${price(measured.requests):.5f}' if requests else ''}", flush=True)
    return data, kept


def account(program, orders, nights, place, scale, checks):
    """Loads an account, lets nights go by, and times the commands that read the destination."""
    began = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=nights + 1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as chosen:
        json.dump({"now": began}, chosen)
        chosen.flush()
        sandbox = subprocess.Popen(
            [program, "sandbox", "--port", "0", "--orders", str(orders), "--limit", "0", "--settings", chosen.name],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        url, control = sandbox.stdout.readline().strip(), sandbox.stdout.readline().strip()
    dice, name = random.Random(1), f"{orders:,} orders in a {place.name}"
    try:
        environment = place.environment(url)
        print(f"\n{name}", flush=True)
        run = ["run", "--log-format", "json"]
        loaded = measure(program, run, place, environment)
        sizes = place.sizes()
        show("first load", loaded, sizes)
        made, smaller, files = [], True, [tables(sizes)]
        for number in range(1, nights + 1):
            night(control, scale, dice)
            made.append(measure(program, run, place, environment))
            sizes = place.sizes()
            (_, data), (_, kept) = total(sizes, False), total(sizes, True)
            smaller = smaller and kept < data
            files.append(tables(sizes))
            if number in (1, 10, 20, 30, 45, nights):
                show(f"night {number}", made[-1], sizes)
        most = max(one.memory for one in [loaded, *made])
        # A month that begins brings a file of each of its tables.
        joined = all(last - first <= 40 for first, last in zip(files, files[27:]))
        checks += [(f"{name}: `_pearlift` is smaller than the data after each night", smaller),
                   (f"{name}: at most 512 MiB resident", most <= 512),
                   (f"{name}: 27 nights add at most 40 files, availability aside", joined)]
        if nights >= 20:
            first, last = made[:10], made[-10:]
            median = lambda of, value: statistics.median(value(one) for one in of)
            requests = lambda one: sum(one.requests.values())
            print(f"  medians of the first and the last ten nights: {median(first, lambda one: one.took):.1f} and "
                  f"{median(last, lambda one: one.took):.1f} s, {median(first, lambda one: one.cpu):.2f} and "
                  f"{median(last, lambda one: one.cpu):.2f} s of CPU, {median(first, requests):.0f} and "
                  f"{median(last, requests):.0f} requests to the store, ${median(last, lambda one: price(one.requests)):.5f} a night")
            checks += [(f"{name}: the last ten nights take at most twice the CPU of the first ten",
                        median(last, lambda one: one.cpu) <= 2 * median(first, lambda one: one.cpu)),
                       (f"{name}: and at most twice the requests to the store",
                        median(last, requests) <= 2 * max(1, median(first, requests)))]
        for command in COMMANDS:
            seen = measure(program, command, place, environment)
            requests = ", ".join(f"{count} {kind}" for kind, count in sorted(seen.requests.items()))
            print(f"  {command[0]:<11} {seen.took:>6.1f} s, {seen.cpu:>6.1f} s of CPU, {seen.memory:>4.0f} MiB"
                  f"{f'; store {requests}: ${price(seen.requests):.5f}' if requests else ''}", flush=True)
            checks.append((f"{name}: `{command[0]}` takes at most a minute", seen.took <= 60))
    finally:
        sandbox.kill()
        place.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=1_500)
    parser.add_argument("--nights", type=int, default=60)
    parser.add_argument("--large", type=int, default=100_000, help="orders of the large account; 0 leaves it out")
    parser.add_argument("--places", nargs="*", choices=["folder", "bucket"], default=["folder", "bucket"])
    parser.add_argument("--program", default=PROGRAM)
    options = parser.parse_args()
    checks = []
    for place in options.places:
        make = {"folder": Folder, "bucket": Bucket}[place]
        account(options.program, options.orders, options.nights, make(), 1, checks)
        if options.large:
            # A night changes a record in two hundred.
            account(options.program, options.large, 1, make(), options.large / 6_000, checks)
    print()
    for what, holds in checks:
        print(f"{'ok    ' if holds else 'FAILED'} {what}")
    if not all(holds for _, holds in checks):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
