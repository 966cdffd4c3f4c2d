"""Parses scripts of `pearlift sql` by the grammar of their dialects.

    parse.py DIALECT=SCRIPT…

No statement may be one that the parser only passes through. Prints a JSON object: the number of statements of each kind, by script.

Needs the package sqlglot.
"""

import collections
import json
import sys

import sqlglot
from sqlglot import exp


def kinds(dialect, path):
    with open(path) as script:
        statements = sqlglot.parse(script.read(), dialect=dialect)
    found = collections.Counter()
    for statement in (statement for statement in statements if statement is not None):
        opaque = [node for node in statement.walk() if isinstance(node, exp.Command)]
        assert not opaque, (dialect, "not understood", opaque[0].sql(dialect)[:200])
        kind = statement.args.get("kind") if isinstance(statement, exp.Create) else None
        found[f"{type(statement).__name__} {kind or ''}".strip()] += 1
    return found


def main():
    found = {}
    for pair in sys.argv[1:]:
        dialect, path = pair.split("=", 1)
        found[pair] = kinds(dialect, path)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
