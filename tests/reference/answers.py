"""Takes records out of what the sandbox serves: whole answers of the API, and the lines of its truth.

Gives each record with its key in the map that held it (a text, None where it lay in no map), and with its place in an answer, or in
the truth with what a request for it states: the id and the label of the GET.
"""

from flatten import Flattener


def of_truth(resource, line):
    """The records of a line, with their keys in the map that holds them; one that the source keeps in a map by id, or as several
    entries, is there as `{"id": …, "document": …}`."""
    if not {"id", "document"} <= line.keys() <= {"id", "document", "label"}:
        return [(line, None, None, None)]
    document, asked, label = line["document"], str(line["id"]), line.get("label")
    if label is not None:
        return [(document, None, asked, label)]
    if not resource.repeats:
        return [(document, asked, asked, None)]
    entries = document.items() if isinstance(document, dict) else [(None, entry) for entry in document]
    return [(entry, name, asked, None) for name, entry in entries]


def together(flattener, records):
    """The records of one key, where keys repeat, as the rows of one: pairs of key and rows, the rows None where one does not fit."""
    found, places = {}, {}
    for record, map_key, asked, label in records:
        key = flattener.key_of(record, map_key, asked)
        # Places are counted in each answer by itself.
        places[key, label] = places.get((key, label), -1) + 1
        _, rows = flattener.flatten(record, map_key, places[key, label], asked, label)
        if key not in found:
            found[key] = rows
        elif rows is None or found[key] is None:
            found[key] = None
        else:
            for name, more in rows.items():
                found[key][name].update(more)
    return found


def of_answer(resource, answer):
    """The records of a whole answer: the rows of a search, or the documents that `records` leads to."""
    response = answer["response"]
    if resource.style == "search":
        names = [column["name"] for column in response["metaData"]["columns"]]
        return [(dict(zip(names, row)), None, index) for index, row in enumerate(response["results"])]
    if not resource.records or is_record(resource, response):
        return [] if response is None else [(response, None, 0)]
    return list(below(response, resource.records))


def is_record(resource, response):
    """An answer that is itself a record has the key at its top."""
    for key in resource.keys:
        found = None if key.special else response
        for name in key.names:
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(response, dict) and isinstance(found, (str, int)) and not isinstance(found, bool):
            return True
    return False


def below(value, steps):
    """The records at the end of the steps."""
    step, *further = steps
    if step != "*":
        if isinstance(value, dict) and step in value:
            yield from below(value[step], further)
        return
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for index, (key, entry) in enumerate(entries):
        if further:
            yield from below(entry, further)
        else:
            yield entry, key if isinstance(key, str) else None, index


def rows_of(resource, answer, asked=None, label=None):
    """The rows of all records of an answer by table, each table a list; and the records' partitions by their keys. Of two
    records of one key that both fit the newer is taken by the columns of `newer`, the later one where none of them decides.
    `asked` is the one id that was asked for, a text, `label` that of the GET."""
    flattener = Flattener(resource)
    taken = {}
    if resource.repeats:
        records = [(record, map_key, asked, label) for record, map_key, _ in of_answer(resource, answer)]
        fitting = {key: rows for key, rows in together(flattener, records).items() if key is not None and rows is not None}
        tables = {
            table.name: [row for rows in fitting.values() for row in rows[table.name].values()] for table in resource.tables
        }
        return tables, dict.fromkeys(fitting)
    for record, map_key, index in of_answer(resource, answer):
        key, rows = flattener.flatten(record, map_key, index, asked, label)
        if rows is not None:
            stamps = [stamp(resource, name, rows) for name in resource.newer]
            if key not in taken or not is_newer(taken[key][0], stamps):
                taken[key] = (stamps, rows, flattener.partition(record, map_key))
    tables = {
        table.name: [row for _, rows, _ in taken.values() for row in rows[table.name].values()] for table in resource.tables
    }
    return tables, {key: partition for key, (_, _, partition) in taken.items()}


def stamp(resource, name, rows):
    """The cell of a column of the record's own row."""
    table = resource.record_table
    (row,) = rows[table.name].values()
    return row[table.place(name)]


def is_newer(stamps, later):
    """Whether a record is newer than a later one."""
    for one, other in zip(stamps, later):
        if one is not None and other is not None and one != other:
            return one > other
    return False
