"""Values of the source as cells of a table: one function a type of the grammar, and JSON as text.

A cell has one form on both sides of a comparison: whole numbers are int, decimals text with all digits of their scale,
instants microseconds and dates days since 1970, booleans bool, everything else text. A function gives None for an
empty text in a column that is no text, which is null, and raises `Unfit` for a value that does not fit the type.
"""

import json
import re
from datetime import date
from functools import lru_cache

REMEMBERED = 1 << 16
NUMBER = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")
INSTANT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.:]([0-9]+))?)?"
    r"(?:([Zz])|([+-])([0-9]{2})(?::?([0-9]{2}))?)"
)
EPOCH = date(1970, 1, 1).toordinal()
# The Gregorian calendar repeats after 400 years: so years that Python lacks (0) are counted.
CYCLE_YEARS, CYCLE_DAYS = 400, 146_097
DAY = 86_400_000_000
FIRST_INSTANT, END_OF_INSTANTS = -62_167_219_200_000_000, 253_402_300_800_000_000


class Unfit(Exception):
    """A value does not fit its column."""


class Number(str):
    """A number with a fraction or an exponent, as written."""

    __slots__ = ()


def parse(text):
    """JSON in which numbers keep their digits: whole ones as int, others as `Number`."""
    return json.loads(text, parse_float=Number)


def canonical(value):
    """JSON text with the keys of objects in order and no white space, numbers as written."""
    kind = type(value)
    if kind is dict:
        return "{" + ",".join(f"{canonical(name)}:{canonical(value[name])}" for name in sorted(value)) + "}"
    if kind is list:
        return "[" + ",".join(map(canonical, value)) + "]"
    if kind is str:
        return json.dumps(value, ensure_ascii=False)
    if kind is bool:
        return "true" if value else "false"
    return "null" if value is None else str(value)


def is_same_json(one, other):
    """Whether two texts are the same JSON with keys in order; texts may be escaped in different ways."""
    try:
        return parse_pairs(one) == parse_pairs(other)
    except ValueError:
        return False


def parse_pairs(text):
    """JSON in which objects are tuples of pairs, in their order, and no number equals a text."""

    def number(written):
        return "number", written

    return json.loads(text, object_pairs_hook=tuple, parse_float=number, parse_int=number)


def whole(bits):
    """`int32`, `int64`: whole numbers, also as text; a fraction of zeros is whole."""
    least, greatest = -(1 << bits - 1), (1 << bits - 1) - 1

    def convert(value):
        kind = type(value)
        if kind is not int:
            if kind is not str and kind is not Number:
                raise Unfit(value)
            if not value:
                return None
            digits, exponent = digits_of(value)
            value, rest = divmod(digits, 10**exponent)
            if rest:
                raise Unfit(value)
        if least <= value <= greatest:
            return value
        raise Unfit(value)

    return convert


def digits_of(text):
    """A number is the first over ten to the power of the second, which is not negative."""
    number = NUMBER.fullmatch(text)
    if not number:
        raise Unfit(text)
    sign, before, behind, exponent = number.groups()
    digits = int(sign + before + (behind or ""))
    places = len(behind or "") - int(exponent or 0)
    if not digits:
        return 0, 0
    if abs(places) > 1000:
        raise Unfit(text)
    return (digits, places) if places >= 0 else (digits * 10**-places, 0)


def decimal(precision, scale):
    """`decimal(p,s)`: digit by digit; a value that would have to be rounded does not fit."""
    limit = 10**precision

    @lru_cache(REMEMBERED, typed=True)
    def convert(value):
        kind = type(value)
        if kind is int:
            scaled = value * 10**scale
        elif kind is str or kind is Number:
            if not value:
                return None
            digits, places = digits_of(value)
            scaled, rest = divmod(digits * 10**scale, 10**places)
            if rest:
                raise Unfit(value)
        else:
            raise Unfit(value)
        if not -limit < scaled < limit:
            raise Unfit(value)
        if not scale:
            return str(scaled)
        digits = str(abs(scaled)).rjust(scale + 1, "0")
        return f"{'-' if scaled < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"

    return lambda value: convert(value) if type(value) is not list and type(value) is not dict else refuse(value)


def refuse(value):
    raise Unfit(value)


def float64(value):
    """The nearest float of a number, also as text."""
    kind = type(value)
    if kind is int or kind is Number or kind is str and NUMBER.fullmatch(value):
        number = float(value)
        if abs(number) != float("inf"):
            return number
    elif value == "":
        return None
    raise Unfit(value)


def boolean(value):
    """true and false, 0 and 1, also as text."""
    kind = type(value)
    if kind is bool:
        return value
    if kind is int or kind is str:
        if value in (1, "1", "true"):
            return True
        if value in (0, "0", "false"):
            return False
        if value == "":
            return None
    raise Unfit(value)


def text(value):
    """Texts as they are; numbers and booleans as written."""
    kind = type(value)
    if kind is str:
        return value
    if kind is bool:
        return "true" if value else "false"
    if kind is int or kind is Number:
        return str(value)
    raise Unfit(value)


def days(year, month, day):
    try:
        if year < 1:
            return date(year + CYCLE_YEARS, month, day).toordinal() - CYCLE_DAYS - EPOCH
        return date(year, month, day).toordinal() - EPOCH
    except ValueError:
        raise Unfit((year, month, day)) from None


def month_of(since):
    """Year and month of a day, counted since 1970."""
    if since < date.min.toordinal() - EPOCH:
        year, month = month_of(since + CYCLE_DAYS)
        return year - CYCLE_YEARS, month
    found = date.fromordinal(since + EPOCH)
    return found.year, found.month


def microseconds(value):
    """Since 1970 of an instant with its offset, of whatever year; zeros beyond the sixth digit of a second are allowed."""
    found = INSTANT.fullmatch(value)
    if not found:
        raise Unfit(value)
    year, month, day, hour, minute, second, fraction, _, sign, off_hours, off_minutes = found.groups()
    fraction = (fraction or "").ljust(6, "0")
    hour, minute, second = int(hour), int(minute), int(second or 0)
    offset = int(off_hours or 0) * 60 + int(off_minutes or 0)
    if hour > 23 or minute > 59 or second > 59 or fraction[6:].strip("0"):
        raise Unfit(value)
    minutes = hour * 60 + minute + (offset if sign == "-" else -offset)
    whole_seconds = minutes * 60 + second
    return days(int(year), int(month), int(day)) * DAY + whole_seconds * 1_000_000 + int(fraction[:6])


@lru_cache(REMEMBERED)
def instant_of(value):
    if not value:
        return None
    found = microseconds(value)
    if FIRST_INSTANT <= found < END_OF_INSTANTS:
        return found
    raise Unfit(value)


def timestamp(value):
    """An instant with its offset."""
    return instant_of(value) if type(value) is str else refuse(value)


@lru_cache(REMEMBERED)
def day_of(value):
    if not value:
        return None
    if len(value) > 10:
        found = microseconds(value)
        if found < FIRST_INSTANT:
            raise Unfit(value)
        if found % DAY == 0:
            return found // DAY if found < END_OF_INSTANTS else refuse(value)
    written = re.fullmatch(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", value[:10])
    return days(*map(int, written.groups())) if written else refuse(value)


def day(value):
    """`2026-07-01`, or the day that an instant means: of midnight UTC that UTC day, else the day as written."""
    return day_of(value) if type(value) is str else refuse(value)


class Type:
    """A type of the grammar: its name, its name in DuckDB, and the function that makes cells."""

    def __init__(self, name, duckdb, convert):
        self.name, self.duckdb, self.convert = name, duckdb, convert

    def cell_sql(self, column):
        """The column as DuckDB gives it in the form of a cell."""
        quoted = f'"{column}"'
        if self.name == "timestamp":
            return f"epoch_us({quoted})"
        if self.name == "date":
            return f"date_diff('day', date '1970-01-01', {quoted})"
        return f"{quoted}::varchar" if self.name.startswith("decimal") else quoted


PLAIN = {
    "bool": Type("bool", "BOOLEAN", boolean),
    "int32": Type("int32", "INTEGER", whole(32)),
    "int64": Type("int64", "BIGINT", whole(64)),
    "float64": Type("float64", "DOUBLE", float64),
    "string": Type("string", "VARCHAR", text),
    "date": Type("date", "DATE", day),
    "timestamp": Type("timestamp", "TIMESTAMP WITH TIME ZONE", timestamp),
    "json": Type("json", "VARCHAR", canonical),
}


@lru_cache
def type_of(name):
    """The type of this name; raises ValueError where the grammar has none."""
    if name in PLAIN:
        return PLAIN[name]
    digits = re.fullmatch(r"decimal\( *([0-9]+) *, *([0-9]+) *\)", name)
    if digits:
        precision, scale = int(digits[1]), int(digits[2])
        if 0 < precision <= 38 and scale <= precision:
            return Type(name, f"DECIMAL({precision},{scale})", decimal(precision, scale))
    raise ValueError(f"`{name}` is no type")
