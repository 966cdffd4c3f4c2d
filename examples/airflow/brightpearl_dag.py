"""Exports every account each night: a mapped task for each settings file.

Each account has its settings file in /etc/pearlift/accounts, named after it, and a connection `brightpearl_NAME` whose
password is its staff token. The command runs in the worker's directory, so the destination is set in the settings file,
whose relative paths begin at its own folder, or is absolute. State is stored beside the data: any worker can process any
account.

A test of pearlift executes this file with stand-ins for the modules of Airflow; Airflow itself did not execute it.
"""

import os
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

from airflow.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow.sdk import DAG, BaseHook, task   # Airflow 2: airflow, airflow.hooks.base, airflow.decorators

SETTINGS = Path("/etc/pearlift/accounts")


def conclude(account, code):
    """Turns an exit code into the state of the task."""
    match code:
        case 0:
            return "complete"
        case 3:                   # some resources are incomplete; the next run resumes
            print(f"WARNING: {account} is incomplete: its log has the reasons")
            return "incomplete"
        case 6:                   # another run is at it
            raise AirflowSkipException(f"another run holds resources of {account}")
        case 4 | 5 | 130:         # the source, the destination, an interruption: worth another try
            raise AirflowException(f"the export of {account} ended with exit code {code}")
        case killed if killed < 0:
            raise AirflowException(f"the export of {account} was ended by signal {-killed}")
        case _:                   # a bug, settings, damage: another try ends in the same way
            raise AirflowFailException(f"the export of {account} ended with exit code {code}")


with DAG("brightpearl", schedule="15 2 * * *", start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1):

    @task
    def accounts():
        """The settings files, as they are when the night begins."""
        return sorted(str(file) for file in SETTINGS.glob("*.toml"))

    @task(
        retries=2,
        retry_delay=timedelta(minutes=15),
        execution_timeout=timedelta(hours=6),
        max_active_tis_per_dag=4,
    )
    def export(settings):
        """Exports one account. A task that is ended lets pearlift commit its complete parts."""
        account = Path(settings).stem
        token = BaseHook.get_connection(f"brightpearl_{account}").password
        with subprocess.Popen(
            ["pearlift", "--config", settings, "run", "--log-format", "json"],
            env={**os.environ, "BRIGHTPEARL_STAFF_TOKEN": token},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                for line in process.stdout:
                    print(line, end="")
            except BaseException:
                process.terminate()   # leaving the block waits for its end
                raise
        return conclude(account, process.returncode)

    export.expand(settings=accounts())
