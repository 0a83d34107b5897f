"""Exact numbers of rows: every table of one side, counted in one snapshot by several connections.

The first connection exports its snapshot and the others join it, so that all the numbers belong
to one instant however long the counting takes. A table that cannot be counted is named with the
reason; it never counts as empty.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

import psycopg
from psycopg import sql

from cowdb.controller.diff.model import METHODS, Method, Side, TableCounts
from cowdb.controller.diff.scope import is_chosen, name_parts
from cowdb.controller.diff.session import Connections, connected, reason
from cowdb.errors import CowdbError

MOST_CONNECTIONS = 4

# Temporary tables are not listed: their schemas start with pg_.
_TABLES = b"""
SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relkind::text AS kind,
    c.relispopulated AS populated, c.relpages AS pages,
    (SELECT format('%I.%I', pn.nspname, p.relname) FROM pg_inherits i
        JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace
        WHERE i.inhrelid = c.oid AND c.relispartition) AS parent
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm', 'f') AND n.nspname !~ '^pg_'
    AND n.nspname <> 'information_schema'
ORDER BY c.relpages DESC, c.oid
"""

# How many connections could still be opened without using those kept for superusers. Unlike
# pg_stat_activity, these numbers are whole for users without privileges as well.
_ROOM = b"""
SELECT current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int
    - (SELECT sum(numbackends) FROM pg_stat_database)::int
"""


@dataclass(frozen=True)
class Table:
    """A relation that holds rows, or that stands for the partitions that do."""

    name: str
    kind: str
    populated: bool
    pages: int
    parent: str | None


@dataclass(frozen=True)
class Counted:
    """One side's numbers.

    :param rows: for each table that was counted.
    :param failed: why a table could not be counted.
    :param left_out: why a relation has no number of rows to begin with.
    :param method: for each table that was counted, what of it was read for that.
    """

    rows: Mapping[str, int]
    failed: Mapping[str, str]
    left_out: Mapping[str, str]
    method: Mapping[str, Method] = field(default_factory=dict)


@dataclass(frozen=True)
class Survey:
    """The tables of one side.

    :param wanted: those that are asked for; `leaves` says where their rows lie.
    :param needed: names of the tables to count for that."""

    tables: Sequence[Table]
    wanted: Sequence[Table]
    leaves: Mapping[str, Sequence[Table]]
    needed: set[str]

    def counted(
        self, rows: Mapping[str, int], failed: Mapping[str, str], method: Mapping[str, Method]
    ) -> Counted:
        """:param rows: of the needed tables, but for those that have `failed`."""
        return _summed(self, rows, failed, method)


class Tally:
    """What the workers of one side share: the tables left to do, and the numbers so far."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self._todo: SimpleQueue[Table] = SimpleQueue()
        for table in tables:
            self._todo.put(table)
        self.total = self._todo.qsize()
        self.rows: dict[str, int] = {}
        self.failed: dict[str, str] = {}
        self.fatal: list[CowdbError] = []

    def take(self) -> Table | None:
        try:
            return self._todo.get_nowait()
        except Empty:
            return None

    def drop_rest(self) -> None:
        """Leaves the workers without work, so that they end."""
        while self.take():
            pass


@dataclass(frozen=True)
class Counting:
    """How one side is counted."""

    side: Side
    connections: Connections
    globs: Sequence[str] = ()
    most: int = MOST_CONNECTIONS

    def run(self, conn: psycopg.Connection[Any]) -> Counted:
        """Counts every table that is asked for.

        :param conn: in a repeatable read transaction, whose snapshot the count is of.
        """
        survey = self.survey(conn)
        tally = self.count(conn, [table for table in survey.tables if table.name in survey.needed])
        return survey.counted(tally.rows, tally.failed, dict.fromkeys(tally.rows, "full-scan"))

    def survey(self, conn: psycopg.Connection[Any]) -> Survey:
        """What there is to count."""
        tables = [Table(*row) for row in conn.execute(_TABLES).fetchall()]
        wanted = [table for table in tables if is_chosen(table.name, self.globs)]
        leaves = _leaves(tables)
        needed = {leaf.name for table in wanted for leaf in leaves[table.name] if _holds_rows(leaf)}
        return Survey(tables, wanted, leaves, needed)

    def count(self, conn: psycopg.Connection[Any], tables: Sequence[Table]) -> Tally:
        """Counts these tables, each of which holds rows, in the connection's snapshot."""
        tally = Tally(tables)
        if tables:
            self._count_all(conn, tally)
        return tally

    def _count_all(self, conn: psycopg.Connection[Any], tally: Tally) -> None:
        workers = self._workers(conn, tally.total)
        threads = []
        if workers > 1:
            ((snapshot,),) = conn.execute("SELECT pg_export_snapshot()").fetchall()
            threads = [
                threading.Thread(target=self._assist, args=(snapshot, tally), daemon=True)
                for _ in range(workers - 1)
            ]
        for thread in threads:
            thread.start()
        try:
            self._work(conn, tally)
        except BaseException:
            tally.drop_rest()
            raise
        finally:
            for thread in threads:
                thread.join()
        if tally.fatal:
            raise tally.fatal[0]

    def _workers(self, conn: psycopg.Connection[Any], tables: int) -> int:
        # Half of what is free: the server has other users.
        return max(1, min(self.most, tables, 1 + room_for(conn) // 2))

    def _assist(self, snapshot: str, tally: Tally) -> None:
        """A further worker; that there is no connection left for it only makes it slower."""
        joined = False
        try:
            with connected(self.side, self.connections) as conn:
                conn.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
                joined = True
                self._work(conn, tally)
        except CowdbError as error:
            if joined:
                tally.fatal.append(error)

    def _work(self, conn: psycopg.Connection[Any], tally: Tally) -> None:
        while not tally.fatal and (table := tally.take()):
            if self.connections.stopped:
                raise CowdbError("the comparison was stopped")
            self._count(conn, table, tally)

    def _count(self, conn: psycopg.Connection[Any], table: Table, tally: Tally) -> None:
        only = sql.SQL("" if table.kind == "m" else "ONLY ")
        statement = sql.SQL("SELECT count(*) FROM {}{}").format(
            only, sql.Identifier(*name_parts(table.name))
        )
        try:
            # A savepoint, so that one unreadable table does not end the whole transaction.
            with conn.transaction():
                ((number,),) = conn.execute(statement).fetchall()
        except psycopg.Error as error:
            if conn.broken or self.connections.stopped:
                raise
            tally.failed[table.name] = reason(error)
        else:
            tally.rows[table.name] = number


def room_for(conn: psycopg.Connection[Any]) -> int:
    """How many further connections the server would still accept."""
    ((room,),) = conn.execute(_ROOM).fetchall()
    return int(room)


def _holds_rows(table: Table) -> bool:
    return table.kind == "r" or (table.kind == "m" and table.populated)


def _leaves(tables: Sequence[Table]) -> dict[str, list[Table]]:
    """What each relation's rows lie in: its partitions' partitions, or the relation itself."""
    children: dict[str, list[Table]] = {}
    for table in tables:
        if table.parent is not None:
            children.setdefault(table.parent, []).append(table)

    def under(table: Table) -> list[Table]:
        if table.kind != "p":
            return [table]
        return [leaf for child in children.get(table.name, ()) for leaf in under(child)]

    return {table.name: under(table) for table in tables}


def _summed(
    survey: Survey, counts: Mapping[str, int], bad: Mapping[str, str],
    methods: Mapping[str, Method],
) -> Counted:  # fmt: skip
    rows: dict[str, int] = {}
    failed: dict[str, str] = {}
    left_out: dict[str, str] = {}
    method: dict[str, Method] = {}
    for table in survey.wanted:
        parts = survey.leaves[table.name]
        broken = next((part for part in parts if part.name in bad), None)
        outside = next((part for part in parts if not _holds_rows(part)), None)
        if broken is not None:
            where = "" if broken is table else f"partition {broken.name}: "
            failed[table.name] = where + bad[broken.name]
        elif outside is not None:
            what = "foreign table" if outside.kind == "f" else "not populated"
            left_out[table.name] = what if outside is table else f"partition {outside.name}: {what}"
        else:
            rows[table.name] = sum(counts[part.name] for part in parts)
            method[table.name] = _most([methods[part.name] for part in parts])
    return Counted(rows, failed, left_out, method)


def _most(methods: Iterable[Method]) -> Method:
    """The one that reads the most."""
    return max(methods, key=METHODS.index, default="unchanged-blocks")


def compare_counts(sides: Sequence[Counted]) -> list[TableCounts]:
    """Every table that all the sides that have it could count, by name."""
    unknown = {name for side in sides for name in (*side.failed, *side.left_out)}
    names = {name for side in sides for name in side.rows} - unknown
    return [
        {
            "table": name,
            "counts": [side.rows.get(name) for side in sides],
            "exact": True,
            "method": _most(side.method[name] for side in sides if name in side.method),
        }
        for name in sorted(names)
    ]
