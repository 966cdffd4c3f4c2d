"""A task that exports the account every night.

The command runs in a temporary directory, so the destination is set in the settings file, whose relative paths begin at its
own folder, or is absolute. The connection `brightpearl` has the staff token as its password.
"""

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator   # Airflow 2: airflow.operators.bash
from airflow.sdk import DAG                                          # Airflow 2: from airflow import DAG

with DAG("brightpearl", schedule="15 2 * * *", start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1):
    BashOperator(
        task_id="export",
        bash_command="pearlift --config /etc/pearlift/pearlift.toml run --log-format json",
        env={"BRIGHTPEARL_STAFF_TOKEN": "{{ conn.brightpearl.password }}"},
        append_env=True,
        skip_on_exit_code=6,          # another run is at it
        execution_timeout=timedelta(hours=6),
    )
