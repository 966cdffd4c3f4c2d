"""Executes the example for Airflow with stand-ins for the modules that it imports.

Takes the file and what to do: `night` runs the mapped task for each settings file, as a worker would, `stop` ends one in
the middle. Prints the state of each task as JSON. A connection NAME has its password in the variable CONN_NAME.
"""

import ast
import builtins
import json
import os
import sys
import types

KNOWN = {"retries", "retry_delay", "execution_timeout", "max_active_tis_per_dag"}
mapped = []


class AirflowException(Exception):
    pass


class AirflowFailException(AirflowException):
    pass


class AirflowSkipException(AirflowException):
    pass


class Stopped(BaseException):
    """Of a task that is ended from outside: no Exception, as in Airflow."""


class DAG:
    def __init__(self, dag_id, *, schedule, start_date, catchup, max_active_runs):
        assert dag_id and len(schedule.split()) == 5 and start_date.year >= 2026, schedule
        assert catchup is False and max_active_runs == 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


class Task:
    def __init__(self, function, options):
        assert set(options) <= KNOWN, options
        self.function, self.options = function, options

    def __call__(self):
        return self.function

    def expand(self, **parameters):
        (name, upstream), = parameters.items()
        mapped.append((self, name, upstream))


def task(function=None, **options):
    return Task(function, options) if function else lambda function: Task(function, options)


class BaseHook:
    @staticmethod
    def get_connection(name):
        return types.SimpleNamespace(password=os.environ["CONN_" + name])


def install():
    exceptions = types.ModuleType("airflow.exceptions")
    for one in (AirflowException, AirflowFailException, AirflowSkipException):
        setattr(exceptions, one.__name__, one)
    sdk = types.ModuleType("airflow.sdk")
    sdk.DAG, sdk.BaseHook, sdk.task = DAG, BaseHook, task
    sys.modules.update({"airflow": types.ModuleType("airflow"), "airflow.exceptions": exceptions, "airflow.sdk": sdk})


def state(run):
    try:
        return run()
    except AirflowSkipException:
        return "skipped"
    except AirflowFailException:
        return "failed"
    except AirflowException:
        return "retried"
    except Stopped:
        return "stopped"


def main():
    path, what = sys.argv[1:]
    text = open(path).read()
    # Every imported name is used, and no other module of Airflow is imported.
    tree = ast.parse(text)
    imported = {name.asname or name.name for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)) for name in node.names}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert imported <= used, imported - used
    install()
    # Nothing is asked of pearlift, or of a connection, while the file is read.
    namespace = {}
    exec(compile(tree, path, "exec"), namespace)
    (export, name, upstream), = mapped
    assert export.options["retries"] > 0, export.options
    if what == "stop":
        def stopping(*_, **__):
            raise Stopped
        namespace["print"] = stopping
    else:
        namespace["print"] = lambda *texts, **more: builtins.print(*texts, **{**more, "file": sys.stderr})
    states = {settings: state(lambda: export.function(**{name: settings})) for settings in upstream()}
    print(json.dumps(states))


main()
