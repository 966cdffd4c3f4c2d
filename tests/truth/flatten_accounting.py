"""Journals with their lines, payments, and the lists of the accounting service."""

from table import Kind, Table
from values import at


def journal(record):
    yield {
        "id": record["id"],
        "journal_type_code": record.get("journalTypeCode"),
        "description": record.get("description"),
        "contact_id": record.get("contactId"),
        "tax_date": record.get("taxDate"),
        "tax_date_local": record.get("taxDate"),
        "due_date": record.get("dueDate"),
        "due_date_local": record.get("dueDate"),
        "created_on": record.get("createdOn"),
        "created_by_contact_id": record.get("createdByContactId"),
        "currency_id": record.get("currencyId"),
        "exchange_rate": record.get("exchangeRate"),
        "tax_reconciliation_date": at(record, "taxReconciliation", "date"),
        "tax_reconciliation_date_local": at(record, "taxReconciliation", "date"),
        "tax_period_id": at(record, "taxReconciliation", "taxPeriodId"),
    }


def journal_lines(record):
    for side, lines in (("debit", record.get("debits")), ("credit", record.get("credits"))):
        for position, line in enumerate(lines or []):
            yield {
                "journal_id": record["id"],
                "side": side,
                "position": position,
                "nominal_code": line.get("nominalCode"),
                "transaction_amount": line.get("transactionAmount"),
                "change": at(line, "change", "value"),
                "change_currency": at(line, "change", "currency"),
                "tax_code": line.get("taxCode"),
                "order_id": line.get("orderId"),
                "invoice_reference": line.get("invoiceReference"),
                "channel_id": at(line, "assignment", "channelId"),
                "project_id": at(line, "assignment", "projectId"),
                "lead_source_id": at(line, "assignment", "leadSourceId"),
            }


def supplier_payment(record):
    yield {
        "id": record["paymentId"],
        "payment_type": record.get("paymentType"),
        "payment_method_code": record.get("paymentMethodCode"),
        "order_id": record.get("orderId"),
        "journal_id": record.get("journalId"),
        "transaction_ref": record.get("transactionRef"),
        "currency_id": record.get("currencyId"),
        "currency_code": record.get("currencyCode"),
        "amount_paid": record.get("amountPaid"),
        "payment_date": record.get("paymentDate"),
        "created_on": record.get("createdOn"),
    }


def customer_payment(record):
    for row in supplier_payment(record):
        yield {
            **row,
            "transaction_code": record.get("transactionCode"),
            "amount_authorized": record.get("amountAuthorized"),
            "expires": record.get("expires"),
        }


def nominal_code(record):
    yield {
        "id": record["id"],
        "code": record.get("code"),
        "name": record.get("name"),
        "type_id": at(record, "type", "id"),
        "bank": record.get("bank"),
        "expense": record.get("expense"),
        "discount": record.get("discount"),
        "editable": record.get("editable"),
        "active": record.get("active"),
        "reconcile": record.get("reconcile"),
        "tax_code_id": record.get("taxCode"),
        "chart_map_code": record.get("chartMapCode"),
        "currency_id": record.get("currencyId"),
    }


def tax_code(record):
    yield {
        "id": record["id"],
        "code": record.get("code"),
        "description": record.get("description"),
        "rate": record.get("rate"),
    }


def currency(record):
    yield {
        "id": record["id"],
        "code": record.get("code"),
        "title": record.get("title"),
        "symbol": record.get("symbol"),
        "exchange_rate": record.get("exchangeRate"),
        "is_default": record.get("isDefault"),
        "exchange_rate_variance_nominal_code": record.get("exchangeRateVarianceNominalCode"),
    }


def by_id(record):
    return record["id"]


def by_payment_id(record):
    return record["paymentId"]


def created_on(record):
    return record.get("createdOn")


KINDS = [
    Kind("journal", owner=by_id, created_on=created_on, tables=[
        Table(
            "journal", journal, key="id", partition="created_month",
            whole="id contact_id created_by_contact_id currency_id tax_period_id",
            text="journal_type_code description",
            instant="tax_date due_date created_on tax_reconciliation_date",
            day="tax_date_local due_date_local tax_reconciliation_date_local",
            rate="exchange_rate",
        ),
        Table(
            "journal_line", journal_lines, key="journal_id side position", partition="created_month",
            whole="journal_id order_id channel_id project_id lead_source_id", small="position",
            text="side nominal_code change_currency tax_code invoice_reference",
            money="transaction_amount change",
        ),
    ]),
    Kind("customer_payment", owner=by_payment_id, created_on=created_on, tables=[
        Table(
            "customer_payment", customer_payment, key="id", partition="created_month",
            whole="id order_id journal_id currency_id",
            text="payment_type payment_method_code transaction_ref transaction_code currency_code",
            money="amount_paid amount_authorized",
            instant="payment_date created_on expires",
        ),
    ]),
    Kind("supplier_payment", owner=by_payment_id, created_on=created_on, tables=[
        Table(
            "supplier_payment", supplier_payment, key="id", partition="created_month",
            whole="id order_id journal_id currency_id",
            text="payment_type payment_method_code transaction_ref currency_code",
            money="amount_paid",
            instant="payment_date created_on",
        ),
    ]),
    Kind("nominal_code", owner=by_id, created_on=None, tables=[
        Table(
            "nominal_code", nominal_code, key="id",
            whole="id type_id tax_code_id currency_id", text="code name chart_map_code",
            flag="bank expense discount editable active reconcile",
        ),
    ]),
    Kind("tax_code", owner=by_id, created_on=None, tables=[
        Table("tax_code", tax_code, key="id", whole="id", text="code description", money="rate"),
    ]),
    Kind("currency", owner=by_id, created_on=None, tables=[
        Table(
            "currency", currency, key="id",
            whole="id", text="code title symbol exchange_rate_variance_nominal_code", rate="exchange_rate", flag="is_default",
        ),
    ]),
]
