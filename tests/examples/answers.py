"""Compares the queries of examples/duckdb with answers computed from what the sandbox serves, not from the lake.

    answers.py --truth http://HOST:PORT/sandbox/TOKEN --lake FOLDER

Each file of examples/duckdb has a function of its name here, which gives the rows that the query must give, in their order. Sums
are of `Decimal`. Exits with 1 on any difference.
"""

import argparse
import collections
import datetime
import decimal
import glob
import json
import os
import sys
import urllib.request
from decimal import ROUND_HALF_UP, Decimal

import duckdb

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
CENT = Decimal("0.01")
decimal.getcontext().prec = 40


class Account:
    """The records of the account by resource, as it serves them."""

    def __init__(self, truth):
        self.truth, self.read = truth.rstrip("/"), {}

    def records(self, name):
        if name not in self.read:
            asked = urllib.request.Request(f"{self.truth}/truth/{name}", method="POST")
            with urllib.request.urlopen(asked) as answer:
                self.read[name] = [json.loads(line, parse_float=Decimal) for line in answer if line.strip()]
        return self.read[name]


def money(value):
    return Decimal(value)


def day(text):
    """The day of an instant as it is written, in the account's zone."""
    return datetime.date.fromisoformat(text[:10])


def instant(text):
    return datetime.datetime.fromisoformat(text)


def sign(order):
    return -1 if order["orderTypeCode"] == "SC" else 1


def invoiced_sales(account):
    for order in account.records("order"):
        if order["orderTypeCode"] in ("SO", "SC") and "originalInvoiceDate" in order:
            yield order


def base_net(order):
    return sign(order) * abs(money(order["totalValue"]["baseNet"]))


def net_sales_by_channel_and_month(account):
    names = {channel["id"]: channel["name"] for channel in account.records("channel")}
    groups = collections.defaultdict(lambda: [0, 0, Decimal(0)])
    for order in invoiced_sales(account):
        name = names[order["assignment"]["current"]["channelId"]]
        group = groups[order["originalInvoiceDate"][:7], name]
        group[0 if order["orderTypeCode"] == "SO" else 1] += 1
        group[2] += base_net(order)
    rows = [(month, name, *group) for (month, name), group in groups.items()]
    rows.sort(key=lambda row: row[1].encode())
    rows.sort(key=lambda row: row[4], reverse=True)
    return sorted(rows, key=lambda row: row[0], reverse=True)


def margin_by_product(account):
    groups = collections.defaultdict(lambda: [0, Decimal(0), Decimal(0)])
    for order in invoiced_sales(account):
        for row in order["orderRows"].values():
            if "productId" in row:
                group = groups[row["productId"], row["productSku"]]
                quantity = abs(money(row["quantity"]["magnitude"]))
                net = abs(money(row["rowValue"]["rowNet"]["value"])) / money(order["currency"]["exchangeRate"])
                group[0] += sign(order) * int(quantity)
                group[1] += sign(order) * net.quantize(CENT, ROUND_HALF_UP)
                group[2] += sign(order) * quantity * money(row["itemCost"]["value"])
    rows = [(product, sku, pieces, net, cost, net - cost) for (product, sku), (pieces, net, cost) in groups.items()]
    return sorted(rows, key=lambda row: (-row[5], row[0]))


def stock_by_warehouse_today(account):
    names = {warehouse["id"]: warehouse["name"] for warehouse in account.records("warehouse")}
    groups = collections.defaultdict(lambda: [0, 0, 0, 0])
    for product in account.records("product_availability"):
        for warehouse, stock in product["document"]["warehouses"].items():
            parts = [1, stock["inStock"], stock["allocated"], stock["onHand"]]
            groups[int(warehouse)] = [sum(pair) for pair in zip(groups[int(warehouse)], parts)]
    return [(SNAPSHOT, warehouse, names[warehouse], *group) for warehouse, group in sorted(groups.items())]


# The day of a snapshot is that of the run: the account has no word of it.
SNAPSHOT = object()


def open_purchase_orders(account):
    received = collections.Counter()
    for note in account.records("goods_in_note"):
        for line in note["document"]["goodsMoved"]:
            if "purchaseOrderRowId" in line:
                received[line["purchaseOrderRowId"]] += line["quantity"]
    rows = []
    for order in account.records("order"):
        if order["orderTypeCode"] != "PO" or "closedOn" in order:
            continue
        ordered, arrived, to_come = 0, 0, Decimal(0)
        for row_id, row in order["orderRows"].items():
            quantity, there = int(money(row["quantity"]["magnitude"])), received[int(row_id)]
            ordered, arrived = ordered + quantity, arrived + there
            to_come += max(quantity - there, 0) * money(row["productPrice"]["value"])
        supplier, currency = order["parties"]["supplier"]["contactId"], order["currency"]["orderCurrencyCode"]
        placed, status = instant(order["placedOn"]), order["orderStatus"]["name"]
        rows.append((order["id"], placed, status, supplier, currency, ordered, arrived, to_come))
    return sorted(rows, key=lambda row: (row[1], row[0]))


def receivables(account):
    paid = collections.defaultdict(Decimal)
    for payment in account.records("customer_payment"):
        paid[payment["orderId"]] += money(payment["amountPaid"])
    groups = {}
    for order in account.records("order"):
        invoices = [invoice for invoice in order["invoices"] if invoice["invoiceReference"]]
        if order["orderTypeCode"] in ("SO", "SC") and invoices:
            owed = sign(order) * abs(money(order["totalValue"]["total"])) - paid[order["id"]]
            if owed:
                key = order["parties"]["customer"]["contactId"], order["currency"]["orderCurrencyCode"]
                count, due, sum_of = groups.get(key, (0, datetime.date.max, Decimal(0)))
                groups[key] = count + 1, min(due, day(invoices[0]["dueDate"])), sum_of + owed
    rows = [(contact, currency, *group) for (contact, currency), group in groups.items()]
    return sorted(rows, key=lambda row: (-row[4], row[0], row[1]))


def journals_by_month(account):
    names = {code["code"]: code["name"] for code in account.records("nominal_code")}
    groups = collections.defaultdict(lambda: [Decimal(0), Decimal(0)])
    for journal in account.records("journal"):
        for place, side in enumerate(("debits", "credits")):
            for line in journal[side]:
                groups[journal["taxDate"][:7], line["nominalCode"]][place] += money(line["change"]["value"])
    months = collections.defaultdict(lambda: [Decimal(0), Decimal(0)])
    for (month, _), group in groups.items():
        months[month] = [sum(pair) for pair in zip(months[month], group)]
    assert all(debit == credit for debit, credit in months.values()), "the journals of a month balance"
    rows = [(month, code, names.get(code), *group) for (month, code), group in groups.items()]
    rows.sort(key=lambda row: row[1])
    return sorted(rows, key=lambda row: row[0], reverse=True)


def top_customers(account):
    def name(contact):
        organisation = contact.get("organisation", {}).get("name")
        parts = [contact[key] for key in ("firstName", "lastName") if contact.get(key) is not None]
        return " ".join(parts) if organisation is None else organisation

    names = {contact["contactId"]: name(contact) for contact in account.records("contact")}
    groups = {}
    for order in invoiced_sales(account):
        contact, placed = order["parties"]["customer"]["contactId"], instant(order["placedOn"])
        sales, last, net = groups.get(contact, (0, placed, Decimal(0)))
        is_sale = order["orderTypeCode"] == "SO"
        groups[contact] = sales + is_sale, max(last, placed), net + base_net(order)
    # A contact that is gone has no name.
    rows = [(contact, names.get(contact, ""), *group) for contact, group in groups.items()]
    return sorted(rows, key=lambda row: (-row[4], row[0]))[:20]


def answer(lake, file):
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'")
    with open(os.path.join(ROOT, "examples/duckdb/tables.sql"), encoding="utf-8") as tables:
        connection.execute(tables.read().replace("'lake/", "'" + lake.replace("'", "''") + "/"))
    with open(file, encoding="utf-8") as query:
        return connection.sql(query.read()).fetchall()


def same(expected, found):
    return expected is SNAPSHOT or expected == found


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--truth", required=True)
    arguments.add_argument("--lake", required=True)
    given = arguments.parse_args()
    account, wrong = Account(given.truth), 0
    files = [file for file in sorted(glob.glob(os.path.join(ROOT, "examples/duckdb/*.sql"))) if "tables.sql" not in file]
    for file in files:
        name = os.path.splitext(os.path.basename(file))[0]
        expected, found = globals()[name](account), answer(given.lake, file)
        pairs = list(zip(expected, found))
        differing = [pair for pair in pairs if len(pair[0]) != len(pair[1]) or not all(map(same, *pair))]
        print(f"{name}: {len(expected)} rows expected, {len(found)} found, {len(differing)} differ")
        for pair in differing[:3]:
            print(*pair, sep="\n  ")
        wrong += len(expected) != len(found) or bool(differing) or not expected
    sys.exit(1 if wrong or len(files) < 7 else 0)


if __name__ == "__main__":
    main()
