"""Builds the dbt project of examples/dbt over a demo, and demands that it passes; and fails where a line of a journal is gone.

    build_models.py --pearlift PROGRAM

The demo is built twice: with a file for each table, and with a folder for each month. Both must give the same marts, and those
that tests/examples/models.py renders without dbt, in a database of their own. Then one line of a journal is removed from a copy
of the files: the build must fail with the test of that name and with no other. Everything is in a temporary folder.

Needs the packages of tests/requirements-models.txt; run it with the Python that has them.
"""

import argparse
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

import duckdb
import models

MARTS = sorted(name for name, path in models.named("models").items() if "/marts/" in path)
# The fewest nodes of a build: models, and tests of sources and models.
NODES = 400


class Build:
    """A build over a lake: its exit code, the states of its nodes, and the database."""

    def __init__(self, lake):
        folder = lake + "-models"
        os.makedirs(folder)
        self.database = os.path.join(folder, "models.duckdb")
        dbt = os.path.join(os.path.dirname(sys.executable), "dbt")
        places = ["--project-dir", models.PROJECT, "--profiles-dir", models.PROJECT]
        places += ["--target-path", folder, "--log-path", folder, "--vars", json.dumps({"lake": lake})]
        environment = {**os.environ, "MODELS_DATABASE": self.database, "DBT_LOG_LEVEL_FILE": "none"}
        command = [dbt, "--quiet", "--no-use-colors", "build", *places]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True)
        self.code, self.said = ended.returncode, ended.stdout + ended.stderr
        with open(os.path.join(folder, "run_results.json"), encoding="utf-8") as file:
            self.results = {one["unique_id"]: one["status"] for one in json.load(file)["results"]}
        with open(os.path.join(folder, "manifest.json"), encoding="utf-8") as file:
            self.nodes = json.load(file)["nodes"]

    def with_state(self, *states):
        return sorted(node for node, state in self.results.items() if state in states)

    def line(self):
        states = ["success", "pass", "warn", "fail", "error", "skipped"]
        counts = [f"{len(self.with_state(state))} {state}" for state in states if self.with_state(state)]
        return f"exit code {self.code}, {len(self.results)} nodes: " + ", ".join(counts)


def check_passed(name, build):
    print(f"{name}: {build.line()}", flush=True)
    assert build.code == 0 and len(build.results) >= NODES, build.said
    assert not build.with_state("fail", "error", "skipped"), build.said
    undescribed = []
    with duckdb.connect(build.database, read_only=True) as database:
        for node in build.nodes.values():
            if node["resource_type"] == "model":
                columns = [row[0] for row in database.execute(f"DESCRIBE {node['name']}").fetchall()]
                stated = [column for column, page in node["columns"].items() if page["description"]]
                undescribed += [] if columns == stated and node["description"] else [node["name"]]
    assert not undescribed, undescribed


def check_same(first, second, rendered):
    """Every mart has the same rows in two builds and where it is rendered without dbt."""
    with duckdb.connect() as database:
        database.execute(f"ATTACH '{first.database}' AS one (READ_ONLY); ATTACH '{second.database}' AS two (READ_ONLY)")
        for mart in MARTS:
            rows = [database.execute(f"FROM {place}.{mart} ORDER BY ALL").fetchall() for place in ("one", "two")]
            rows.append(rendered.rows(f"FROM {mart} ORDER BY ALL"))
            assert rows[0] and rows[0] == rows[1] == rows[2], mart
            print(f"{mart}: {len(rows[0])} rows, the same at both granularities and without dbt", flush=True)


def remove_line(lake):
    """Rewrites the file of journal lines that has most rows, without one line that changes a balance."""
    files = glob.glob(os.path.join(glob.escape(lake), "journal_line/**/*.parquet"), recursive=True)
    file = max(files, key=os.path.getsize)
    rows = f"SELECT * FROM read_parquet('{file}', hive_partitioning = false)"
    key = duckdb.sql(f"SELECT journal_id, side, position FROM ({rows}) WHERE change <> 0 ORDER BY ALL LIMIT 1").fetchall()[0]
    other = f"(journal_id, side, position) <> ({key[0]}, '{key[1]}', {key[2]})"
    duckdb.execute(f"COPY ({rows} WHERE {other}) TO '{file}.new' (FORMAT parquet)")
    paths = (file, file + ".new")
    before, after = (duckdb.sql(f"SELECT count(*) FROM read_parquet('{path}')").fetchall()[0][0] for path in paths)
    assert after == before - 1, (before, after)
    os.replace(file + ".new", file)
    return key


def run(program, *arguments, **variables):
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR")}
    ended = subprocess.run([program, *arguments], env={**kept, **variables}, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--pearlift", required=True)
    program = os.path.abspath(arguments.parse_args().pearlift)
    with tempfile.TemporaryDirectory() as folder:
        whole, months, damaged = (os.path.join(folder, name) for name in ("whole", "months", "damaged"))
        run(program, "demo", "--out", whole)
        assert len(glob.glob(f"{whole}/order/**/*.parquet", recursive=True)) == 1, "a small account has a file for each table"
        shutil.copytree(whole, months)
        # Nothing is requested; the account only has to be named.
        settings = {"PEARLIFT_ACCOUNT_CODE": "demo", "PEARLIFT_ACCOUNT_API_DOMAIN": "euw1.brightpearlconnect.com"}
        settings |= {"PEARLIFT_DESTINATION_URL": months, "PEARLIFT_RESOURCES_PARTITION": "month"}
        run(program, "clean", "--repartition", **settings)
        assert len(glob.glob(f"{months}/order/created_month=*/*.parquet")) > 12, "a folder for each month"

        builds = {"one file for each table": Build(whole), "a folder for each month": Build(months)}
        for name, build in builds.items():
            check_passed(name, build)
        check_same(*builds.values(), models.Project(whole))

        shutil.copytree(months, damaged)
        key = remove_line(damaged)
        build = Build(damaged)
        print(f"without line {key} of a journal: {build.line()}", flush=True)
        assert build.code == 1 and build.with_state("fail", "error") == ["test.pearlift.journals_balance"], build.said
        print("journals_balance fails, and no other test")


if __name__ == "__main__":
    main()
