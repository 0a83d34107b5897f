"""Which columns, tables and rows with values in them are gone. Columns and tables are told apart
by their numbers in the catalogs, so a renamed one is not lost."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from cowdb.controller.diff.model import Report
from cowdb.controller.lab.probe.facts import Facts
from cowdb.controller.lab.probe.instruments import connected


def find(before: Facts, after: Facts, difference: Report, held: Callable[[str, str], bool]) -> list[
    str
]:  # fmt: skip
    """:param held: whether a column of a table had a value at the checkpoint, both quoted."""
    counts = {item["table"]: item["counts"] for item in difference["counts"]}
    names_now = {item.relation.name: oid for oid, item in after.stored.items()}
    found = []
    for oid, was in sorted(before.stored.items(), key=lambda item: item[1].relation.name):
        name = was.relation.name
        if was.relation.kind != "r" or was.size == 0:
            continue
        rows = (counts.get(name) or [None])[0]
        now = oid if oid in after.stored else names_now.get(name)
        if now is None:
            if rows != 0:
                found.append(f"table {name} is gone" + (f", with {rows:,} rows" if rows else ""))
            continue
        found += [
            f"column {name}.{column} is gone, with values in it"
            for column in _gone(before, after, oid, now) if held(name, column)
        ]  # fmt: skip
    for line in difference["rows"]:
        if line["removed"]:
            found.append(f"{line['removed']:,} rows of {line['table']} are gone")
    told = {line["table"] for line in difference["rows"]}
    for table, numbers in counts.items():
        first, last = numbers[0], numbers[-1]
        if first and last is not None and last < first and table not in told:
            found.append(f"{first - last:,} rows of {table} are gone")
    return found


def _gone(before: Facts, after: Facts, oid: int, now: int) -> list[str]:
    was, left = before.columns.get(oid, {}), after.columns.get(now, {})
    if oid == now:
        return [name for number, name in was.items() if number not in left]
    return [name for name in was.values() if name not in set(left.values())]


def held_at(dsn: str) -> Callable[[str, str], bool]:
    """Asks the checkpoint itself; a table that cannot be read counts as one with values."""

    def ask(table: str, column: str) -> bool:
        quoted = column.replace('"', '""')
        query = f'SELECT EXISTS (SELECT 1 FROM {table} WHERE "{quoted}" IS NOT NULL)'
        try:
            with connected(dsn) as db:
                return bool(db.execute(query.encode()).fetchall()[0][0])
        except psycopg.Error:
            return True

    return ask
