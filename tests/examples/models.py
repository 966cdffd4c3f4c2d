"""Executes the models and tests of examples/dbt over a lake, without dbt, and compares them with the account's records.

    models.py --truth http://HOST:PORT/sandbox/TOKEN --lake FOLDER

Renders the part of Jinja that the models use: source(), ref() and the macros of the project; anything else is an error. The
rows of each mart must be those that answers.py computes from what the sandbox serves. Each test of the project must find no
row, and one if a row that it depends on is left out. Exits with 1 on any difference.
"""

import argparse
import ast
import glob
import os
import re
import sys
from decimal import ROUND_HALF_UP

import answers
import duckdb

PROJECT = os.path.join(answers.ROOT, "examples/dbt")
MACRO = re.compile(r"\{% macro (\w+)\((.*?)\) -%\}\s*(.*?)\s*\{%- endmacro %\}", re.DOTALL)
CALL = re.compile(r"\{\{ (\w+)\((.*?)\) \}\}", re.DOTALL)

# The columns of a mart as the answer of this name has them.
MARTS = {
    "net_sales_by_channel_and_month": """
        SELECT strftime(sales_date, '%Y-%m') AS month, channel, sum(sales)::BIGINT, sum(credits)::BIGINT, sum(base_net) AS net
        FROM sales_by_day_and_channel GROUP BY ALL ORDER BY month DESC, net DESC, channel""",
    "margin_by_product": """
        SELECT product_id, sku, quantity::BIGINT, base_net, base_cost, base_margin
        FROM margin_by_product ORDER BY base_margin DESC, product_id""",
    "stock_by_warehouse_today": """
        SELECT snapshot_date, warehouse_id, warehouse, count(*),
               sum(in_stock)::BIGINT, sum(allocated)::BIGINT, sum(on_hand)::BIGINT
        FROM stock_position GROUP BY ALL ORDER BY warehouse_id""",
    "open_purchase_orders": """
        SELECT order_id, placed_on, order_status, supplier_id, currency_code,
               sum(ordered)::BIGINT, sum(received)::BIGINT, sum(value_to_come)
        FROM open_purchase_orders GROUP BY ALL ORDER BY placed_on, order_id""",
    "receivables": """
        SELECT contact_id, currency_code, count(*), min(due_date), sum(outstanding) AS outstanding
        FROM receivables GROUP BY ALL ORDER BY outstanding DESC, contact_id, currency_code""",
    "journals_by_month": """
        SELECT strftime(month, '%Y-%m') AS month, nominal_code, nominal_code_name, debit, credit
        FROM monthly_financials ORDER BY month DESC, nominal_code""",
    "top_customers": """
        SELECT contact_id, coalesce(customer, ''), sales, last_order_on, base_net
        FROM customers WHERE sales + credits > 0 ORDER BY base_net DESC, contact_id LIMIT 20""",
}

# Of each test: a table, and the key of a row without which the test must find something.
SPOILED = {
    "journals_balance": (
        "journal_line",
        "(journal_id, side, position)",
        "SELECT journal_id, side, position FROM {{ source('brightpearl', 'journal_line') }} WHERE change <> 0",
    ),
    "order_totals_equal_their_lines": (
        "order_row",
        "id",
        "SELECT id FROM {{ source('brightpearl', 'order_row') }} WHERE row_net <> 0",
    ),
    "payments_match_payment_states": (
        "customer_payment",
        "id",
        """
        SELECT p.id FROM {{ source('brightpearl', 'customer_payment') }} p
        JOIN {{ source('brightpearl', 'order') }} o ON o.id = p.order_id
        WHERE p.amount_paid > 0 AND o.order_payment_status = 'PAID' AND o.order_type_code = 'SO'""",
    ),
    "availability_equals_its_warehouses": (
        "product_availability_warehouse",
        "(product_id, warehouse_id)",
        "SELECT product_id, warehouse_id FROM {{ source('brightpearl', 'product_availability_warehouse') }} WHERE in_stock <> 0",
    ),
}


def text_of(path):
    with open(path, encoding="utf-8") as file:
        return re.sub(r"\{#.*?#\}", "", file.read(), flags=re.DOTALL)


def named(folder):
    """The SQL files below a folder of the project, by name."""
    paths = glob.glob(os.path.join(PROJECT, folder, "**/*.sql"), recursive=True)
    return {os.path.splitext(os.path.basename(path))[0]: path for path in paths}


class Project:
    """The models over a lake, in a database of their own; `replaced` has other SQL for tables of the lake."""

    def __init__(self, lake, replaced=None):
        self.lake, self.replaced = lake.replace("'", "''"), replaced or {}
        macros = "".join(text_of(path) for path in named("macros").values())
        self.macros = {name: (parameters.split(", "), body) for name, parameters, body in MACRO.findall(macros)}
        self.models, self.built = named("models"), []
        self.database = duckdb.connect()
        self.database.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'")
        for name in sorted(self.models):
            self.build(name)

    def table(self, name):
        return f"read_parquet('{self.lake}/{name}/**/*.parquet', hive_partitioning = true)"

    def call(self, name, values):
        if name == "source" and values[0] == "brightpearl":
            return self.replaced.get(values[1]) or self.table(values[1])
        if name == "ref":
            self.build(values[0])
            return values[0]
        parameters, body = self.macros[name]
        for parameter, value in zip(parameters, values, strict=True):
            body = body.replace("{{ " + parameter + " }}", value)
        return body

    def render(self, text):
        text = CALL.sub(lambda call: self.call(call[1], ast.literal_eval(f"({call[2]},)")), text)
        assert "{{" not in text and "{%" not in text, f"more of Jinja than this renders: {text}"
        return text

    def build(self, name):
        if name in self.built:
            return
        path = self.models[name]
        kind = "VIEW" if "/staging/" in path else "TABLE"
        self.database.execute(f"CREATE {kind} {name} AS {self.render(text_of(path))}")
        self.built.append(name)

    def rows(self, query):
        return self.database.sql(query).fetchall()

    def columns(self, name):
        return [row[0] for row in self.rows(f"DESCRIBE {name}")]

    def found(self, test):
        """The rows that a test of the project finds."""
        return self.rows(self.render(text_of(named("tests")[test])))


def described():
    """The columns that the pages of the project describe, by model."""
    found = {}
    for path in glob.glob(os.path.join(PROJECT, "models/*/*.yml")):
        for part in text_of(path).split("\n  - name: ")[1:]:
            columns = re.findall(r"\n      - \{name: (\w+),.* description: ", part)
            found[part.split("\n")[0]] = columns
    return found


def compare(account, project):
    """The number of marts that differ from the account."""
    wrong = 0
    for name, query in MARTS.items():
        expected, found = getattr(answers, name)(account), project.rows(query)
        pairs = list(zip(expected, found))
        differing = [pair for pair in pairs if len(pair[0]) != len(pair[1]) or not all(map(answers.same, *pair))]
        print(f"{name}: {len(expected)} rows expected, {len(found)} found, {len(differing)} differ")
        for pair in differing[:3]:
            print(*pair, sep="\n  ")
        wrong += len(expected) != len(found) or bool(differing) or not expected
    return wrong


def converted(project):
    """The number of amounts that are not converted at their order's rate, half up to the cent."""
    rows = project.rows(
        """
        SELECT r.outstanding, o.exchange_rate, r.base_outstanding FROM receivables r JOIN stg_orders o USING (order_id)
        UNION ALL SELECT p.value_to_come, o.exchange_rate, p.base_value_to_come
        FROM open_purchase_orders p JOIN stg_orders o USING (order_id)
        UNION ALL SELECT l.net, o.exchange_rate, l.base_net FROM stg_order_lines l JOIN stg_orders o USING (order_id)"""
    )
    wrong = [row for row in rows if (row[0] / row[1]).quantize(answers.CENT, ROUND_HALF_UP) != row[2]]
    print(f"{len(rows)} amounts converted, {len(wrong)} differ: {wrong[:3]}")
    return len(wrong) + (not any(rate != 1 and amount for amount, rate, _ in rows))


def extremes(project):
    """The number of amounts that the macro converts otherwise than decimals of Python: halves, large ones, no rate."""
    cases = [("0.005", "1"), ("-0.005", "1"), ("0.014999", "1"), ("-2.5", "1000"), ("123456789012.345678", "0.0000000001")]
    cases += [("999999999999.999999", "3"), ("-999999999999.999999", "99999999.9999999999"), ("1", "0")]
    wrong = 0
    for amount, rate in cases:
        typed = f"{amount}::DECIMAL(18, 6)", f"{rate}::DECIMAL(18, 10)"
        found = project.rows("SELECT " + project.call("in_base_currency", typed))[0][0]
        expected = None
        if float(rate):
            expected = (answers.Decimal(amount) / answers.Decimal(rate)).quantize(answers.CENT, ROUND_HALF_UP)
        wrong += found != expected
        if found != expected:
            print(f"{amount} at {rate} is {expected}, not {found}")
    return wrong


def tested(project):
    """The number of tests that find a row, or none where one is left out."""
    tests = sorted(name for name, path in named("tests").items() if "/generic/" not in path)
    assert tests == sorted(SPOILED), tests
    wrong = 0
    for test in tests:
        found = project.found(test)
        table, key, rows = SPOILED[test]
        row = project.render(rows) + " ORDER BY ALL LIMIT 1"
        without = f"(SELECT * FROM {project.table(table)} WHERE {key} NOT IN ({row}))"
        spoiled = Project(project.lake, {table: without}).found(test)
        print(f"{test}: {len(found)} rows found, {len(spoiled)} without a row of {table}")
        wrong += bool(found) or not spoiled
    return wrong


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--truth", required=True)
    arguments.add_argument("--lake", required=True)
    given = arguments.parse_args()
    project = Project(given.lake)
    columns = {name: project.columns(name) for name in project.models}
    assert described() == columns, [pair for pair in zip(described().items(), columns.items())]
    wrong = compare(answers.Account(given.truth), project)
    wrong += converted(project) + extremes(project) + tested(project)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
