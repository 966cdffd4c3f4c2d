"""What a value of the source must be in a column: one function a type, from parsed JSON to what DuckDB gives back.

`parse` keeps the digits of every number as written. Each type takes None (absent or null) to None and raises ValueError for a
value that does not fit, so that a truth which does not fit its column is reported and not passed over.
"""

import json
import re
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICROSECOND = timedelta(microseconds=1)
WHOLE = re.compile(r"-?[0-9]+")
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class Written(Decimal):
    """A number with a fraction or exponent that remembers its own digits."""

    __slots__ = ("token",)

    def __new__(cls, token):
        number = Decimal.__new__(cls, token)
        number.token = token
        return number


def parse(line):
    return json.loads(line, parse_float=Written)


def at(value, *names):
    """The field that the names lead to; None where one is absent."""
    for name in names:
        if value is None:
            return None
        value = value.get(name)
    return value


def first(value, *names):
    """The first of several spellings of a field that is there."""
    for name in names:
        if name in value:
            return value[name]
    return None


def does_not_fit(value, what):
    return ValueError(f"{value!r} is no {what}")


def whole(value):
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and WHOLE.fullmatch(value):
        return int(value)
    raise does_not_fit(value, "whole number")


def decimal(value):
    if value is None or value == "":
        return None
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and NUMBER.fullmatch(value):
        return Decimal(value)
    raise does_not_fit(value, "number")


def flag(value):
    if value is None or isinstance(value, bool):
        return value
    raise does_not_fit(value, "yes or no")


def text(value):
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Written):
        return value.token
    raise does_not_fit(value, "text")


def instant(value):
    """Microseconds since 1970 in UTC."""
    if value is None or value == "":
        return None
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise does_not_fit(value, "instant: it has no offset")
    return (moment - EPOCH) // MICROSECOND


def day(value):
    """The day that is meant: of an instant at midnight UTC that day, else the calendar date as written."""
    if value is None or value == "":
        return None
    if len(value) > 10:
        moment = datetime.fromisoformat(value).astimezone(timezone.utc)
        if (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0):
            return moment.date()
    return date.fromisoformat(value[:10])


def tree(value):
    """JSON in a form in which equal means the same: true is not 1, 1.0 is 1, the order of keys is nothing."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, dict):
        return {name: tree(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [tree(entry) for entry in value]
    return value


def month(created_on):
    """The partition of what was created then: the first day of the month in UTC, 1970-01-01 for what has no date."""
    if created_on is None:
        return date(1970, 1, 1)
    return datetime.fromisoformat(created_on).astimezone(timezone.utc).date().replace(day=1)
