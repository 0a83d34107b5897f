"""Tries many single changes at once: each in a schema of its own, all of them in two readings.

A reading takes as long for one small table as for a hundred. What touches more than its own
schema (roles, extensions, publications, ...) is tried alone, in a transaction that is rolled back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import psycopg

from cowdb.controller.diff.model import Schema
from cowdb.controller.diff.schema import compare_schemas
from tests.host.diff.cases import ROLES, Case
from tests.host.diff.reading import schema_after, told

# What has a name outside of schemas, or speaks of a schema by its name.
_OUTSIDE = re.compile(
    r"\b(role|user|schema|server|wrapper|publication|subscription|event trigger|extension"
    r"|access method|create (trusted )?language|cast|transform|database|default privileges"
    r"|tablespace|parameter|public\.\w+|large object|lo_\w+|pg_(?!catalog)\w+)\b",
    re.IGNORECASE,
)
_HOME = re.compile(r"\bc(\d+)\.")


def is_contained(single: Case) -> bool:
    """Whether a case touches nothing outside of its schema."""
    statements = f"{single.before};{single.alter}".replace(ROLES, "")
    statements = statements.replace("ALTER EXTENSION plpgsql ADD", "")
    return not _OUTSIDE.search(statements) and all(" public." in line for line in single.expected)


class Scratch:
    """A database to try changes in.

    A beginning that several cases share is read once: another load of it must be equal anyway.
    """

    def __init__(self, conn: psycopg.Connection[Any], every: Sequence[Case]) -> None:
        self.conn = conn
        self.major = conn.info.server_version // 10000
        self._begun: dict[str, Schema] = {}
        self._together = [case for case in every if self.has(case) and is_contained(case)]
        self._failed: set[int] = set()
        self._tried: dict[Case, tuple[Schema, Schema]] = {}

    def has(self, single: Case) -> bool:
        return single.since <= self.major <= single.until

    def told(self, single: Case) -> tuple[list[str], list[str]]:
        """What is said of the change, and of the change back."""
        if self._together:
            together, self._together = self._together, []
            self._tried = self._try_together(together)
        if single not in self._tried:
            before, after = self._try(single)
            return told(before, after), told(after, before)
        before, after = self._tried[single]
        return [
            [_HOME.sub("public.", line) for line in lines]
            for lines in (told(before, after), told(after, before))
        ]

    def _try(self, single: Case) -> tuple[Schema, Schema]:
        try:
            if single.before not in self._begun:
                self._begun[single.before] = schema_after(self.conn, single.before)
                self.conn.rollback()
            after = schema_after(self.conn, f"{single.before};{single.alter}")
        finally:
            self.conn.rollback()
        return self._begun[single.before], after

    def _try_together(self, together: Sequence[Case]) -> dict[Case, tuple[Schema, Schema]]:
        try:
            schema_after(self.conn, ROLES)
            homes = "".join(f"CREATE SCHEMA c{place};" for place in range(len(together)))
            schema_after(self.conn, homes)
            before = self._run([case.before.replace(ROLES, "") for case in together])
            after = self._run([case.alter for case in together])
        finally:
            self.conn.rollback()
        old, new = _parts(before), _parts(after)
        assert compare_schemas(old.pop(-1), new.pop(-1), "outside of all schemas") == []
        return {
            case: (old.get(place, {}), new.get(place, {}))
            for place, case in enumerate(together)
            if place not in self._failed
        }

    def _run(self, statements: Sequence[str]) -> Schema:
        """A case that fails is left out here: it is tried alone then, to fail by itself."""
        for place, text in enumerate(statements):
            if text and place not in self._failed:
                try:
                    with self.conn.transaction():
                        self.conn.execute(f"SET search_path = c{place}".encode(), prepare=False)
                        self.conn.execute(text.encode(), prepare=False)
                except psycopg.Error:
                    self._failed.add(place)
        return schema_after(self.conn, "")


def _parts(schema: Schema) -> dict[int, Schema]:
    """What lies in each case's schema; -1 is for the rest."""
    parts: dict[int, Schema] = {-1: {}}
    for key, described in schema.items():
        found = _HOME.search(key.name)
        parts.setdefault(int(found[1]) if found else -1, {})[key] = described
    return parts
