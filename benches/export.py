"""Memory and time of a large export: `python3 benches/export.py [--orders N] [--resource NAME ...] [--runs N]`.

Starts the release binary's sandbox without a quota, exports to a temporary folder, prints for each run the wall time,
the largest resident memory of the program, requests and bytes written; then the medians. Needs `cargo build --release`.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release/pearlift"


def serve(orders):
    sandbox = subprocess.Popen(
        [PROGRAM, "sandbox", "--port", "0", "--orders", str(orders), "--limit", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    return sandbox, sandbox.stdout.readline().strip()


def settings(url, lake):
    kept = {name: value for name, value in os.environ.items() if name.startswith(("MALLOC_", "PEARLIFT_", "TMPDIR"))}
    return {
        "PATH": os.environ["PATH"], **kept,
        "BRIGHTPEARL_STAFF_TOKEN": "sandbox-staff-token",
        "PEARLIFT_ACCOUNT_CODE": "acme",
        "PEARLIFT_ACCOUNT_BASE_URL": url,
        "PEARLIFT_AUTH_KIND": "staff-token",
        "PEARLIFT_AUTH_APP_REF": "acme_export",
        "PEARLIFT_DESTINATION_URL": lake,
        "PEARLIFT_LIMITS_REQUESTS_PER_PERIOD": "0",
    }


def run(arguments, environment):
    began = time.monotonic()
    process = subprocess.Popen([PROGRAM, *arguments], env=environment, stderr=subprocess.PIPE, text=True)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    took = time.monotonic() - began
    if status != 0:
        raise SystemExit(f"pearlift ended with {os.waitstatus_to_exitcode(status)}:\n{said}")
    report = json.loads(said.strip().splitlines()[-1])
    return took, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime, report


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--resource", nargs="*", default=["order"])
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    sandbox, url = serve(options.orders)
    results = []
    try:
        for number in range(options.runs):
            lake = tempfile.mkdtemp(prefix="pearlift-bench-")
            environment = settings(url, lake)
            try:
                took, memory, cpu, report = run(["run", "--log-format", "json", *options.resource], environment)
            finally:
                shutil.rmtree(lake)
            rows = sum(resource["rows"] for resource in report["resources"])
            written = sum(resource["bytes_written"] for resource in report["resources"])
            results.append((took, memory, cpu))
            print(f"run {number + 1}: {took:.1f} s, {cpu:.1f} s of CPU, {memory:.0f} MiB resident at most, "
                  f"{report['requests']} requests, {rows} rows, {written / 2**20:.0f} MiB written", flush=True)
    finally:
        sandbox.kill()
    took, memory, cpu = (statistics.median(values) for values in zip(*results))
    print(f"median of {len(results)}: {took:.1f} s, {cpu:.1f} s of CPU, {memory:.0f} MiB")


if __name__ == "__main__":
    main()
