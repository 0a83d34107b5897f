"""The statements between two sides that were read for a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cowdb.controller.diff.members import comparable
from cowdb.controller.diff.migration.facts import Facts
from cowdb.controller.diff.migration.plan import plan
from cowdb.controller.diff.model import Schema, StatementEntry, Wanted
from cowdb.errors import InvalidError


def check(sides: int, what: Wanted) -> None:
    """:raises InvalidError: --sql with something that does not go with it."""
    if what.sql and sides != 2:
        raise InvalidError("--sql needs exactly two sides", hint="cowdb diff A B --sql")
    if what.sql and what.tables:
        raise InvalidError(
            "--sql speaks of the whole schema: a part of it may depend on another",
            hint="leave --table out",
        )


def statements(
    facts: Sequence[Facts], schemas: Sequence[Schema], exact: bool
) -> list[StatementEntry]:
    """What makes the first side's schema the second's.

    :param schemas: as they are compared, which may leave out what `facts` knows.
    """
    first, other = comparable(schemas[0], schemas[1])
    one, two = replace(facts[0], schema=first), replace(facts[1], schema=other)
    return plan(one, two, exact).entries()
