"""First loads by layout: `python3 benches/layouts.py [--orders N] [--pairs N] [--granularity WORD] [--program FILE]`.

Loads the same orders in the layouts `parquet` and `delta` in turn, each time into an empty folder and in the other order than before.
Prints the CPU times, their medians, and the median of the quotients of the pairs. Needs `cargo build --release`.
"""

import argparse
import pathlib
import shutil
import statistics
import tempfile

import export
from export import run, serve, settings

LAYOUTS = ["parquet", "delta"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=50_000)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--granularity", default="auto")
    parser.add_argument("--program", type=pathlib.Path, default=export.PROGRAM)
    options = parser.parse_args()
    export.PROGRAM = options.program
    sandbox, url = serve(options.orders)
    found = {layout: [] for layout in LAYOUTS}
    try:
        for pair in range(options.pairs):
            for layout in LAYOUTS if pair % 2 == 0 else LAYOUTS[::-1]:
                lake = tempfile.mkdtemp(prefix="pearlift-bench-")
                environment = {
                    **settings(url, lake),
                    "PEARLIFT_RESOURCES_PARTITION": options.granularity,
                    "PEARLIFT_DESTINATION_LAYOUT": layout,
                }
                found[layout].append(run(["run", "--log-format", "json", "order"], environment)[2])
                shutil.rmtree(lake)
            print(", ".join(f"{layout} {found[layout][-1]:.2f} s" for layout in LAYOUTS), flush=True)
    finally:
        sandbox.kill()
    for layout in LAYOUTS:
        print(f"{layout}: {statistics.median(found[layout]):.2f} s of CPU")
    quotients = [delta / parquet for parquet, delta in zip(*(found[layout] for layout in LAYOUTS))]
    print(f"delta/parquet: {statistics.median(quotients):.3f} ({min(quotients):.3f} to {max(quotients):.3f})")


if __name__ == "__main__":
    main()
