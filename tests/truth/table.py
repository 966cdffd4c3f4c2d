"""A table as the check knows it: where its rows come from, and what type each of its columns has."""

import values

# name of a type here: (from the truth's value, type of the column as DuckDB names it)
TYPES = {
    "whole": (values.whole, "BIGINT"),
    "small": (values.whole, "INTEGER"),
    "money": (values.decimal, "DECIMAL(18,6)"),
    "rate": (values.decimal, "DECIMAL(18,10)"),
    "flag": (values.flag, "BOOLEAN"),
    "text": (values.text, "VARCHAR"),
    "instant": (values.instant, "TIMESTAMP WITH TIME ZONE"),
    "day": (values.day, "DATE"),
    "json": (values.tree, "VARCHAR"),
}


class Table:
    """`rows` gives, for a record of the truth, a dict of column and value as the source has it for each row.

    `key` begins with the owner's id. `partition` is None, "created_month" or another month, or "snapshot_date".
    The columns are named a second time, by type: the two namings must agree.
    """

    def __init__(self, name, rows, key, partition=None, **types):
        self.name = name
        self.rows = rows
        self.key = tuple(key.split())
        self.partition = partition
        self.types = {}
        for kind, columns in types.items():
            for column in columns.split():
                if column in self.types:
                    raise ValueError(f"{name}.{column} is named twice")
                self.types[column] = kind
        self.columns = tuple(self.types)
        self.places = tuple(self.columns.index(column) for column in self.key)

    def expected(self, record):
        """The rows of a record, each a tuple in the order of `columns`."""
        for row in self.rows(record):
            if row.keys() != self.types.keys():
                raise ValueError(f"columns {row.keys() ^ self.types.keys()} are named once only")
            yield tuple(self.value(column, row[column]) for column in self.columns)

    def value(self, column, found):
        try:
            return TYPES[self.types[column]][0](found)
        except (TypeError, ValueError, AttributeError) as unfit:
            raise ValueError(f"{column}: {unfit}") from unfit

    def key_of(self, row):
        return tuple(row[place] for place in self.places)


class Kind:
    """A kind of record that the truth serves, and the tables that it becomes."""

    def __init__(self, name, owner, created_on, tables):
        self.name = name
        self.owner = owner
        self.created_on = created_on
        self.tables = tables


def custom_fields(owner, owner_id, fields):
    """One row a field that is set; a choice is {"id": 3, "value": "Red"}."""
    for code, value in (fields or {}).items():
        choice = isinstance(value, dict)
        yield {
            owner: owner_id,
            "code": code,
            "value_text": value.get("value") if choice else value,
            "value_id": value.get("id") if choice else None,
            "value_json": value,
        }
