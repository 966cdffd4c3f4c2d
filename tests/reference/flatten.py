"""Makes rows of a record by the grammar of schema files (`schemas/README.md`).

`Flattener` takes one record after the other and gives, for each table, the rows by their keys. A row is a tuple: a cell a
column in the order of the file, then `_extra` as JSON text or None. A record without a key, or whose own row lacks a
required value, gives no rows at all; a row further down without its key is left out by itself.
"""

from functools import lru_cache

from values import DAY, Unfit, canonical, month_of, text

ID = "id"
NO_MONTH = "1970-01-01"


class Entry:
    """The record, or an entry of a `*` in it: its value, its key in its map (a text) and its place; of the record also what the
    request states: the id that was asked for, and the label of its GET."""

    __slots__ = ("value", "key", "index", "leftovers", "asked", "label")

    def __init__(self, value, key, index, asked=None, label=None):
        self.value, self.key, self.index, self.leftovers = value, key, index, None
        self.asked, self.label = asked, label


class Place:
    """A place in an entry that the schema names, or that leads to one."""

    def __init__(self):
        self.below = {}
        self.is_taken = False  # some column takes the value here
        self.is_whole = False  # some column takes it as JSON, with all that is below
        self.scope = None  # its entries
        self.is_again = False  # they are entries of the scope that the place is in

    def at(self, names):
        place = self
        for name in names:
            place = place.below.setdefault(name, Place())
        return place

    def leftovers(self, value, path, found):
        """Adds the values that no column names, as pairs of path and value."""
        if self.scope and (self.scope.split or isinstance(value, (dict, list))):
            return
        if self.below and isinstance(value, dict):
            if not self.is_whole and not value.keys() <= self.below.keys():
                for name, below in value.items():
                    if below is not None and name not in self.below:
                        found.append((path + (name,), below))
            for name, place in self.deeper:
                below = value.get(name)
                if below is not None:
                    place.leftovers(below, path + (name,), found)
        elif not self.is_taken:
            found.append((path or (".",), value))

    def finish(self, within_whole=False):
        """Notes below which places something may be left over; leaves that a column takes never have."""
        self.is_whole |= within_whole
        for place in self.below.values():
            place.finish(self.is_whole)
        if self.scope and not self.is_again:
            self.scope.top.finish()
        self.deeper = [
            (name, place) for name, place in self.below.items() if place.below or place.scope or not place.is_taken
        ]


class Scope:
    """The record (depth 0), or all entries of one `*`: the tables that get a row from each, and the `*` further down."""

    def __init__(self):
        self.top = Place()
        self.plans = []
        self.further = []  # steps by name, and the scope that they lead to
        self.is_wanted = False
        self.split = None
        self.takes_key = False  # some column takes the names of the entries
        self.taken = []  # the places of an entry that columns take

    def scope_at(self, names):
        place = self.top.at(names)
        if place.scope is None:
            place.scope = Scope()
            self.further.append((names, place.scope))
        return place.scope


class Plan:
    """The rows of one table from one scope: where each column's value is."""

    def __init__(self, table, label, scopes):
        self.table, self.label, self.scopes = table, label, scopes
        self.columns = [
            (column, self.own_field(column), finder(column, label, scopes), column.type.convert) for column in table.columns
        ]
        self.is_first = not scopes[-1].plans
        self.key_places = [table.place(name) for name in table.key]

    def finish(self):
        """Notes the entries of which `_extra` has what no column names: the row's own, where no other table has it, and those
        around it that have no row of their own."""
        self.sources, level, above = [], len(self.scopes) - 1, ()
        if self.is_first:
            self.sources.append((above, self.scopes[level].top))
            while level and not self.scopes[level - 1].plans:
                level, above = level - 1, above + ("^",)
                self.sources.append((above, self.scopes[level].top))

    def own_field(self, column):
        """The field of the row's own entry that a column takes, where it takes nothing else: the most frequent case."""
        (path,) = column.paths[:1]
        own = path.level(len(self.scopes) - 1) == len(self.scopes) - 1
        if len(column.paths) > 1 or not own or len(path.names) != 1 or self.scopes[-1].top.at(path.names).below:
            return None
        return path.names[0]


def value_finder(path, label, scopes, is_scalar):
    """A function from the entries (the record first) to the value at a path, None where there is none."""
    depth = len(scopes) - 1
    level = path.level(depth)
    # Rows within rows are further from the record: counted from their end, places are the same.
    at = 0 if level == 0 else level - depth - 1
    if path.special == "@key":
        return lambda entries: entries[at].key
    if path.special == "@index":
        return lambda entries: entries[at].index
    if path.special == "@id":
        return lambda entries: entries[0].asked
    if path.special == "@label":
        return (lambda entries: entries[0].label) if level == 0 else lambda entries: label
    if path.special == "@level":
        return lambda entries: len(entries) - 1 - depth
    if path.special == "@path":
        if path.above is None:
            return lambda entries: None
        return lambda entries: ".".join(str(entry.index) for entry in entries[1 : len(entries) - path.above]) or None
    names = path.names

    def find(entries):
        value = entries[at].value
        for name in names:
            if type(value) is not dict:
                return None
            value = value.get(name)
        return value

    def find_scalar(entries):
        value = find(entries)
        return None if type(value) is dict else value

    # An object whose fields are named one by one is no value of a column that is no JSON.
    return find_scalar if is_scalar and scopes[level].top.at(names).below else find


def finder(column, label, scopes):
    """The first of the column's paths that has a value. In a column of a key an empty text is none."""
    finders = [value_finder(path, label, scopes, column.type.name != "json") for path in column.paths]
    if len(finders) == 1:
        return finders[0]

    def find(entries):
        for one in finders:
            value = one(entries)
            if value is not None and not (value == "" and column.required and column.type.name != "string"):
                return value
        return None

    return find


class Flattener:
    """Rows of the records of one resource; only of the tables in `only`, where it is given."""

    def __init__(self, resource, only=None):
        self.resource = resource
        self.record = Scope()
        self.key_type = resource.tables[0].columns[resource.tables[0].place(resource.tables[0].key[0])].type
        branches = [(table, self.scopes_of(steps), label) for table in resource.tables for steps, label in table.branches]
        for table, scopes, _ in branches:
            scopes[-1].split = table.split and (table.split, table.skip)
            if table.again:
                place = scopes[-1].top.at(table.again)
                place.scope, place.is_again = scopes[-1], True
                scopes[-1].further.append((table.again, scopes[-1]))
            for column in table.columns:
                self.name_places(column, scopes)
        self.record.top.finish()
        for table, scopes, label in branches:
            plan = Plan(table, label, scopes)
            scopes[-1].plans.append(plan)
            plan.is_wanted = only is None or table.name in only
            if plan.is_wanted:
                for scope in scopes:
                    scope.is_wanted = True
        for _, scopes, _ in branches:
            for plan in scopes[-1].plans:
                plan.finish()
        self.names = [table.name for table in resource.tables]
        self.divider = None
        if resource.partition and resource.partition.column:
            table = resource.record_table
            column = table.columns[table.place(resource.partition.column)]
            self.divider = (column.type, finder(column, None, [self.record]))
        self.is_asked_by_id = resource.style in ("id-sets", "per-owner")
        self.key_finders = [value_finder(key, None, [self.record], True) for key in resource.keys]

    def scopes_of(self, steps):
        scopes, names = [self.record], ()
        for step in steps:
            if step == "*":
                scopes.append(scopes[-1].scope_at(names))
                names = ()
            else:
                names += (step,)
        return scopes

    def name_places(self, column, scopes):
        for path in column.paths:
            scope = scopes[path.level(len(scopes) - 1)]
            scope.takes_key |= path.special == "@key"
            if path.special is None:
                scope.taken.append(path.names)
                place = scopes[path.level(len(scopes) - 1)].top.at(path.names)
                place.is_taken = True
                place.is_whole |= column.type.name == "json"

    def key_of(self, record, map_key, asked=None):
        """The key of a record: from where the schema states it, else the name in the map or the field `id`."""
        entry = Entry(record, map_key, 0, asked)
        stated = [find([entry]) for find in self.key_finders]
        for value in (*stated, *self.other_keys(self.key_type, self.resource.keys[0], entry)):
            key = cell(self.key_type, value)
            if key not in (None, "") and not (self.is_asked_by_id and isinstance(key, int) and key < 1):
                return key
        return None

    def other_keys(self, type_, path, entry):
        """The values at the other places of a key: for a field the name in the map, then the field `id`; for `@key` that."""
        if type_.name != "int64" or path.special not in (None, "@key"):
            return []
        values = [None if path.special else entry.key, entry.value.get(ID) if isinstance(entry.value, dict) else None]
        return [value for value in values if value is not None]

    def partition(self, record, map_key=None):
        """The period (its first day, UTC, as text) or the bucket of a record; None where files are not divided by a column."""
        if self.divider is None:
            return None
        type_, find = self.divider
        value = cell(type_, find([Entry(record, map_key, 0)]))
        if self.resource.partition.by == "bucket":
            return (value or 0) % self.resource.partition.count
        return NO_MONTH if value is None else first_of(self.resource.partition.by, value // DAY)

    def flatten(self, record, map_key=None, index=0, asked=None, label=None):
        """The record's key and its rows: a dict by table of dicts by key. The rows are None where the record does not fit."""
        rows = {name: {} for name in self.names}
        key = self.key_of(record, map_key, asked)
        any_kind = self.record.top.is_taken or self.record.top.scope
        if key is None or record is None or not (any_kind or isinstance(record, dict)):
            return key, None
        self.record_key = key
        fits = self.emit(self.record, [Entry(record, map_key, index, asked, label)], rows)
        return key, rows if fits else None

    def emit(self, scope, entries, rows):
        """Adds the rows of an entry and of all below; whether a row of the record itself fits."""
        entry = entries[-1]
        # The first table of a place is the one whose `_extra` has what does not fit the columns of the others.
        of_others = []
        for plan in reversed(scope.plans):
            if plan.is_wanted or scope.plans[0].is_wanted:
                row = self.row(plan, entries, of_others)
                if not plan.is_wanted:
                    continue
                if row is None:
                    if len(entries) == 1:
                        return False
                else:
                    rows[plan.table.name][tuple([row[place] for place in plan.key_places])] = row
        for names, further in scope.further:
            if not further.is_wanted:
                continue
            below = entry.value
            for name in names:
                below = below.get(name) if type(below) is dict else None
            if type(below) is dict:
                for index, (name, value) in enumerate(below.items()):
                    if value is not None:
                        self.emit(further, [*entries, Entry(value, name, index)], rows)
            elif type(below) is list:
                for index, value in enumerate(below):
                    if value is not None:
                        self.emit(further, [*entries, Entry(value, None, index)], rows)
            elif below is not None and further.split:
                by, skipped = further.split
                for index, piece in enumerate(text(below).split(by)):
                    if piece.strip() and piece.strip() not in skipped:
                        self.emit(further, [*entries, Entry(piece.strip(), None, index)], rows)
        return True

    def row(self, plan, entries, of_others):
        """A row; None where a column of the key has no value. What does not fit is noted for the first table of the place."""
        cells, refused = [], None
        own = entries[-1].value
        own = own if type(own) is dict else {}
        for column, field, find, convert in plan.columns:
            value = find(entries) if field is None else own.get(field)
            if value is not None:
                try:
                    value = convert(value)
                except Unfit:
                    if not column.is_tried:
                        refused = refused or []
                        refused.append((column, value))
                    value = None
            if value is None and column.required:
                value = self.missing_key(plan, column, entries)
                if value is None:
                    return None
            cells.append(value)
        if plan.is_first:
            cells.append(extra(plan, entries, [(plan, *pair) for pair in refused or ()] + of_others))
        else:
            of_others.extend((plan, *pair) for pair in refused or ())
            cells.append(None)
        return tuple(cells)

    def missing_key(self, plan, column, entries):
        """A key that is not where the schema states it, or cannot be read there."""
        if column.name == plan.table.key[0]:
            return self.record_key
        path = column.paths[0]
        values = self.other_keys(column.type, path, entries[path.level(len(entries) - 1)])
        return cell(column.type, values[0]) if values else None


def extra(plan, entries, refused):
    """The JSON of values of the entry that no column names, of values that do not fit, and below `^` of the same around the entry
    where that has no row of its own; None where there are none."""
    found = []
    # Around rows within rows are rows.
    sources = plan.sources if len(entries) == len(plan.scopes) else plan.sources[:1]
    for above, top in sources:
        if left := leftovers_of(entries[-1 - len(above)], top):
            found += [(above + path, value) for path, value in left]
    if len(entries) > 1 and keeps_name(plan.scopes[-1], entries[-1]):
        found.append((("@key",), entries[-1].key))
    for of, column, value in refused:
        found.append((refused_path(of, column, value, entries), value))
    return canonical(tree(found)) if found else None


def keeps_name(scope, entry):
    """Whether `_extra` has the name of an entry in its map: no column takes it, and no value that one takes repeats it."""
    if entry.key is None or scope.takes_key:
        return False
    for names in scope.taken:
        value = entry.value
        for name in names:
            value = value.get(name) if type(value) is dict else None
        if value is not None and not isinstance(value, (dict, list)) and text(value) == entry.key:
            return False
    return True


@lru_cache(1 << 12)
def first_of(period, days):
    year, month = month_of(days)
    month -= (month - 1) % {"month": 1, "quarter": 3, "year": 12}[period]
    return f"{year:04}-{month:02}-01"


def leftovers_of(entry, top):
    if entry.leftovers is None:
        entry.leftovers = []
        top.leftovers(entry.value, (), entry.leftovers)
    return entry.leftovers


def refused_path(plan, column, value, entries):
    """The path in `_extra` of a value that does not fit: as the schema writes it, with `^` for each entry further up."""
    depth = len(entries) - 1
    for path in column.paths:
        if value_finder(path, plan.label, plan.scopes, column.type.name != "json")(entries) is value:
            above = ("^",) * (depth - path.level(depth))
            own = (path.special,) if path.special else path.names
            return above + own or (".",)
    raise AssertionError("the value came from one of the paths")


def tree(found):
    """Nested objects of paths and values; a value with others below it is under `.`."""
    root = Branch()
    for path, value in found:
        branch = root
        for name in path[:-1]:
            below = branch.get(name)
            if not isinstance(below, Branch):
                below = branch[name] = Branch() if name not in branch else Branch({".": below})
            branch = below
        last = branch.get(path[-1])
        if isinstance(last, Branch):
            last["."] = value
        else:
            branch[path[-1]] = value
    return plain(root)


class Branch(dict):
    """An object of paths, as opposed to one of the source."""


def plain(value):
    return {name: plain(below) for name, below in value.items()} if isinstance(value, Branch) else value


def cell(type_, value):
    """The cell of a value, None where there is none or it does not fit."""
    try:
        return None if value is None else type_.convert(value)
    except Unfit:
        return None
