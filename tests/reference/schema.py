"""Reads schema files by their grammar (`schemas/README.md`), as far as it states which rows an answer becomes.

This is a second reading of the grammar's text: nothing of the program is used. A file that breaks one of these rules is
refused with `Refused`; keys that only decide how the source is asked (`inventory`, `changes`, `owners` …) are let through, and
those that give meanings (`description`, `references`, `codes` …) are checked for their form: no row depends on them.
"""

import glob
import os
import re
import tomllib
from dataclasses import dataclass, replace

from values import type_of

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
TOP_KEYS = {"about", "priority", "default", "confidence", "people", "codes", "read", "tables"}
READ_KEYS = {
    "style", "service", "key", "records", "get", "max_ids", "inventory", "changes", "also_from", "count", "count_is_wrong",
    "search", "filters", "owners", "newer", "repeats", "pages", "every", "reload_every", "empty_ok", "none_found", "split_on", "not_applicable",
}  # fmt: skip
TABLE_KEYS = {"description", "confidence", "rows", "again", "split", "skip", "key", "partition", "fields", "columns"}
COLUMN_KEYS = {"name", "from", "type", "required", "tried", "description", "references", "codes", "personal", "acting", "confidence"}
CONFIDENCES = {"documented", "recorded", "client-code", "inferred", "guess"}
STYLES = {"id-sets", "search", "list", "per-owner"}
SPECIAL = ("@key", "@index", "@label", "@id", "@path", "@level")


class Refused(Exception):
    """A schema file breaks a rule of the grammar."""


@dataclass(frozen=True)
class Path:
    """The place of a value. `above` counts the entries from the row's own up; None begins at the record."""

    above: int | None
    names: tuple[str, ...]
    special: str | None

    def level(self, depth):
        """The entry that the path begins at, counted from the record (0), for a row `depth` entries below the record."""
        return 0 if self.above is None else depth - self.above


@dataclass(frozen=True)
class Column:
    name: str
    paths: tuple[Path, ...]
    type: object
    required: bool
    is_tried: bool


@dataclass(frozen=True)
class Table:
    """`branches` are pairs of steps and label; `*` is a step; a table with one row per record has one branch without steps."""

    name: str
    branches: tuple[tuple[tuple[str, ...], str | None], ...]
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    split: str | None
    skip: tuple[str, ...]
    again: tuple[str, ...]  # names that lead from an entry to entries of the same kind

    @property
    def depth(self):
        return self.branches[0][0].count("*")

    def place(self, name):
        return next(place for place, column in enumerate(self.columns) if column.name == name)


@dataclass(frozen=True)
class Partition:
    """How files are divided: `by` is month, quarter, year, bucket or snapshot_date; `name` is that of the folder's column."""

    by: str
    name: str
    column: str | None
    count: int

    def divided(self, by):
        """The same by another period of the date; None where that is none, and itself where no date divides the files."""
        if self.by != "month":
            return self
        return None if by == "none" else replace(self, by=by, name=f"{self.name.removesuffix('_month')}_{by}")

    def found_in(self, folder):
        """The same as the folders of a table with files are named."""
        files = glob.glob(f"{glob.escape(folder)}/*/*.parquet")
        names = {os.path.basename(os.path.dirname(file)).partition("=")[0] for file in files}
        periods = (by for by in ("month", "quarter", "year") if self.divided(by).name in names)
        return self.divided(next(periods, "none"))

    @property
    def type(self):
        """The type that DuckDB gives the folder's column."""
        return "BIGINT" if self.by == "bucket" else "DATE"

    @property
    def cell_type(self):
        """The type in which partitions are compared: a bucket is a number, a day a text."""
        return "BIGINT" if self.by == "bucket" else "VARCHAR"


@dataclass(frozen=True)
class Resource:
    name: str
    style: str
    keys: tuple[Path, ...]
    records: tuple[str, ...]
    is_default: bool
    repeats: bool
    newer: tuple[str, ...]
    tables: tuple[Table, ...]
    partition: Partition | None

    @property
    def record_table(self):
        """The table with one row a record, if there is one."""
        return next((table for table in self.tables if table.depth == 0), None)


def read_path(text):
    """`totalValue.total`, `.`, `^.currencyCode`, `$.id`, `@key`, `^.@key`."""
    above, rest = 0, text
    if rest.startswith("$."):
        above, rest = None, rest[2:]
    else:
        while rest.startswith("^."):
            above, rest = above + 1, rest[2:]
    if rest == ".":
        return Path(above, (), None)
    if rest in SPECIAL:
        return Path(above, (), rest)
    names = tuple(rest.split("."))
    if any(not name or name[0] in "@^$*" for name in names):
        raise Refused(f"`{text}` is no path")
    return Path(above, names, None)


def read_steps(text):
    """`orderRows.*`: names and `*`, ending in `*`."""
    steps = tuple(text.split("."))
    if steps[-1] != "*" or any(not step or step[0] in "@^$" for step in steps):
        raise Refused(f"`{text}` is no path that ends in `*`")
    return steps


def read_rows(rows):
    if rows is None:
        return (((), None),)
    if isinstance(rows, str):
        return ((read_steps(rows), None),)
    branches = tuple((read_steps(branch["path"]), branch["label"]) for branch in rows)
    if len({steps.count("*") for steps, _ in branches}) != 1:
        raise Refused("the paths of `rows` are not equally deep")
    return branches


def check_meaning(name, entry, codes):
    """Refuses what an entry says of its meaning where it has not the form of the grammar."""
    if not entry.get("description", "-").strip() or entry.get("confidence", "guess") not in CONFIDENCES:
        raise Refused(f"{name}: an empty description, or no such confidence")
    references = entry.get("references", [])
    if isinstance(references, dict):
        if set(references) != {"none"} or not references["none"].strip():
            raise Refused(f"{name}: a reference to nothing has a reason, `none`")
        references = []
    targets = [references] if isinstance(references, str) else references
    if entry.get("references", "-") == [] or any(not re.fullmatch(r"\w+\.\w+", target) for target in targets):
        raise Refused(f"{name}: a reference is `table.column`")
    if "codes" in entry and entry["codes"] not in codes:
        raise Refused(f"{name}: there are no codes `{entry['codes']}`")


def read_column(entry, depth, codes):
    refuse_unknown(entry, COLUMN_KEYS)
    check_meaning(entry["name"], entry, codes)
    paths = [entry["from"]] if isinstance(entry["from"], str) else entry["from"]
    paths = tuple(read_path(path) for path in paths)
    if not paths or any((path.above or 0) > depth for path in paths):
        raise Refused(f"`from` of {entry['name']} is empty or points outside the record")
    return Column(entry["name"], paths, type_of(entry["type"]), entry.get("required", False), entry.get("tried", False))


def check_owners(read):
    """Refuses ids of others that have not the form of the grammar, and columns in a path without ids that are held."""
    owners = read.get("owners", {})
    refuse_unknown(owners, {"resource", "held", "where"})
    get = read.get("get", "")
    paths = [get] if isinstance(get, str) else [one["path"] for one in get]
    in_path = {name for path in paths for name in re.findall(r"{(\w+)}", path)} - {"ids"}
    if (read["style"] == "per-owner") != (len({"resource", "held"} & set(owners)) == 1) or in_path and "held" not in owners:
        raise Refused("`owners` has `resource` or `held`, and goes with per-owner; columns in `get` go with `held`")
    conditions = owners.get("where", [])
    for condition in [conditions] if isinstance(conditions, str) else conditions:
        wanted = r"\w+ *=.*\S.*|\w+ +is( +not)? +null" if "held" in owners else r"\w+ *= *(true|false) *"
        if not re.fullmatch(wanted, condition.strip()):
            raise Refused(f"`{condition}` is no condition")
    if "held" in owners and not re.fullmatch(r"\w+\.\w+", owners["held"]):
        raise Refused("`held` is `table.column`")


def check_held(files):
    """Refuses held ids whose columns no other file has, or not of the type that the grammar states."""
    for name, file in files.items():
        owners = file["read"].get("owners", {})
        if "held" not in owners:
            continue
        table, column = owners["held"].split(".")
        entries = [other["tables"][table] for own, other in files.items() if own != name and table in other["tables"]]
        types = {column["name"]: column["type"] for entry in entries for column in entry["columns"]}
        numbers = {column, *re.findall(r"{(\w+)}", file["read"]["get"])} - {"ids"}
        conditions = owners.get("where", [])
        conditions = [conditions] if isinstance(conditions, str) else conditions
        tested = {re.match(r"\w+", condition.strip())[0] for condition in conditions}
        if any(types.get(number) != "int64" for number in numbers) or tested - set(types):
            raise Refused(f"{name}: {table} has no such int64 column, or none that a condition names")


def read_table(name, entry, codes):
    refuse_unknown(entry, TABLE_KEYS)
    check_meaning(name, entry, codes)
    branches = read_rows(entry.get("rows"))
    depth = branches[0][0].count("*")
    columns = tuple(read_column(column, depth, codes) for column in entry["columns"])
    names = [column.name for column in columns]
    if any(not NAME.fullmatch(found) for found in [name, *names]) or len(set(names)) < len(names):
        raise Refused(f"{name}: a name is not in small letters, or is there twice")
    required = {column.name for column in columns if column.required}
    if not entry["key"] or set(entry["key"]) - required:
        raise Refused(f"{name}: each column of `key` is a required column")
    if "split" in entry and (not entry["split"] or not depth) or "skip" in entry and "split" not in entry:
        raise Refused(f"{name}: `split` is a text and goes with `rows`, `skip` with `split`")
    for column in columns:
        others = [other for other in columns if not other.is_tried and other.type.name in ("string", "json")]
        if column.is_tried and any(all(path not in other.paths for other in others) for path in column.paths):
            raise Refused(f"{name}: what `{column.name}` does not take, no other column does")
    again = read_again(name, entry, depth)
    return Table(name, branches, tuple(entry["key"]), columns, entry.get("split"), tuple(entry.get("skip", ())), again)


def read_again(name, entry, depth):
    """The names of `again`: a path of rows with one `*`, at its end."""
    if "again" not in entry:
        return ()
    steps = read_steps(entry["again"])
    if not depth or "split" in entry or steps.count("*") > 1 or len(steps) < 2:
        raise Refused(f"{name}: `again` goes with `rows`, without `split`, and has one `*`, behind a name")
    return steps[:-1]


def check_special(read, tables):
    """Refuses places that a request or an entry's own place states where there are none, and rows within rows that no key tells
    apart."""
    labels = [] if isinstance(read.get("get", ""), str) else [get["label"] for get in read["get"]]
    if labels and (read["style"] != "list" or "pages" in read or len(set(labels)) < len(labels) or "" in labels):
        raise Refused("several GETs are those of a list without `pages`, each with a label of its own")
    asks_one = read["style"] in ("id-sets", "per-owner") and read.get("max_ids") == 1
    for table in tables:
        by_name = {column.name: column for column in table.columns}
        key = [by_name[name] for name in table.key]

        def is_of_record(path):
            return path.level(table.depth) == 0

        for path in (path for column in table.columns for path in column.paths):
            near = path.above in (None, 0) or (path.above == 1 and path.special == "@path")
            if (
                path.special == "@id" and not asks_one
                or path.special == "@label" and is_of_record(path) and not labels
                or path.special == "@path" and not table.depth
                or path.special == "@level" and not table.again
                or table.again and not near
            ):  # fmt: skip
                raise Refused(f"{table.name}: a place that there is not")
        in_key = [all(path.special == "@label" and is_of_record(path) for path in column.paths) for column in key]
        if labels and read.get("repeats") and not any(in_key):
            raise Refused(f"{table.name}: the key lacks the label of the GET")
        is_path = [all(path.special == "@path" and path.level(table.depth) == table.depth for path in column.paths) for column in key]
        if table.again and not any(is_path):
            raise Refused(f"{table.name}: the key lacks `@path`")
        for other in tables:
            further = [(*steps, *table.again, "*") for steps, _ in table.branches]
            below = any(steps[: len(start)] == start for steps, _ in other.branches for start in further)
            if table.again and other is not table and below:
                raise Refused(f"{other.name}: rows below the rows within rows of {table.name}")


def read_partition(tables):
    """The partition that one table states and all share, and the name of its column in the folders."""
    stated = [entry["partition"] for entry in tables.values() if "partition" in entry]
    if not stated:
        return None
    if len(stated) > 1:
        raise Refused("more than one table states `partition`")
    if stated[0] == "snapshot_date":
        return Partition("snapshot_date", "snapshot_date", None, 0)
    if month := re.fullmatch(r"month\((\w+)\)", stated[0]):
        return Partition("month", month[1].removesuffix("_on") + "_month", month[1], 0)
    if bucket := re.fullmatch(r"bucket\((\w+), *(\d+)\)", stated[0]):
        return Partition("bucket", bucket[1] + "_bucket", bucket[1], int(bucket[2]))
    raise Refused(f"`{stated[0]}` is no partition")


def refuse_unknown(entry, known):
    if unknown := set(entry) - known:
        raise Refused(f"no such key: {' '.join(sorted(unknown))}")


def read_resource(name, text):
    """The resource that a file of this name and text describes."""
    file = tomllib.loads(text)
    refuse_unknown(file, TOP_KEYS)
    check_meaning(name, {key: file[key] for key in ("confidence",) if key in file}, {})
    if any(not codes or not all(meaning.strip() for meaning in codes.values()) for codes in file.get("codes", {}).values()):
        raise Refused(f"{name}: a list of codes has codes with a meaning each")
    read = file["read"]
    refuse_unknown(read, READ_KEYS)
    check_owners(read)
    if read["style"] not in STYLES or not file["tables"]:
        raise Refused(f"{name}: no such style, or no table")
    tables = tuple(read_table(table, entry, file.get("codes", {})) for table, entry in file["tables"].items())
    keys = tuple(read_path(path) for path in ([read["key"]] if isinstance(read["key"], str) else read["key"]))
    for table in tables:
        first = table.columns[table.place(table.key[0])]
        beginning = {path.level(table.depth) for path in first.paths}
        if first.type.name not in ("int64", "string") or first.type is not key_type(tables):
            raise Refused(f"{table.name}: a record's key is int64 or string, the same in every table")
        if beginning != {0} or [(path.names, path.special) for path in first.paths] != [(key.names, key.special) for key in keys]:
            raise Refused(f"{table.name}: the first column of its key is not the record's `key`")
    check_special(read, tables)
    partition = read_partition(file["tables"])
    if partition and partition.column:
        check_divider(partition, tables)
    written = read.get("records", "*")
    records = () if read["style"] == "search" or written == "." else read_steps(written)
    newer = tuple(read.get("newer", ()))
    repeats = read.get("repeats", False)
    return Resource(name, read["style"], keys, records, file.get("default", True), repeats, newer, tables, partition)


def key_type(tables):
    """The type of the record's key, by the first table."""
    return tables[0].columns[tables[0].place(tables[0].key[0])].type


def check_divider(partition, tables):
    """Refuses a partition by a column of another type, or not of a table with one row per record."""
    wanted = "timestamp" if partition.by == "month" else "int64"
    columns = [column for table in tables if table.depth == 0 for column in table.columns]
    if all(column.name != partition.column or column.type.name != wanted for column in columns):
        raise Refused(f"`partition`: no {wanted} column `{partition.column}` in a table with one row per record")


def check_references(files, names):
    """Refuses files of these names that refer to a column that does not exist, or is of another type."""
    types = {
        f"{table}.{column['name']}": column["type"]
        for tables in files.values()
        for table, entry in tables.items()
        for column in entry["columns"]
    }
    for name in sorted(names):
        for column in (column for entry in files[name].values() for column in entry["columns"]):
            references = column.get("references", [])
            targets = [references] if isinstance(references, str) else [] if isinstance(references, dict) else references
            if wrong := [target for target in targets if types.get(target) != column["type"]]:
                raise Refused(f"{name}: {column['name']} refers to {wrong[0]}, no column of its type")


def load(folders, tables=()):
    """The resources of folders by name: a file in a later folder takes the place of one before. Where tables are named, only
    the files that describe one of them are read."""
    texts, last = {}, set()
    for folder in folders:
        last = set()
        for file in sorted(os.listdir(folder)):
            name, ending = os.path.splitext(file)
            if ending == ".toml":
                last.add(name)
                with open(os.path.join(folder, file), encoding="utf-8") as opened:
                    texts[name] = opened.read()
    # Built-in files may refer to a table that a user's file has replaced.
    files = {name: tomllib.loads(text) for name, text in texts.items()}
    check_references({name: file["tables"] for name, file in files.items()}, last)
    check_held(files)
    wanted = tuple(f"[tables.{table}]" for table in tables)
    described = {name: text for name, text in texts.items() if not wanted or any(header in text for header in wanted)}
    return {name: read_resource(name, text) for name, text in described.items()}
