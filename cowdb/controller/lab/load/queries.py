"""The queries of a load as psycopg takes them. Pure but for reading files."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cowdb.controller.lab.spec.model import Load
from cowdb.errors import InvalidError

_TOKEN = re.compile(
    r"""
      '(?:[^'\\]|''|\\.)*'            # a text; a backslash before a quote only in E'...'
    | "(?:[^"]|"")*"
    | \$(?P<tag>[A-Za-z_]\w*|)\$.*?\$(?P=tag)\$
    | --[^\n]*
    | /\*.*?\*/
    | ::
    | (?<![\w\])]):(?P<name>[A-Za-z_]\w*)
    | (?P<percent>%)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Prepared:
    """:param sql: with %(name)s for each variable.
    :param variables: those in it, each with its largest value."""

    name: str
    sql: str
    variables: Mapping[str, int]
    weight: int

    def values(self, chance: random.Random) -> dict[str, int]:
        return {name: chance.randint(1, most) for name, most in self.variables.items()}


def prepared(load: Load, directory: Path) -> list[Prepared]:
    """:raises InvalidError: a file cannot be read, or a variable is not known."""
    found = []
    for query in load.queries:
        text = query.sql
        if text is None:
            assert query.file is not None
            try:
                text = (directory / query.file).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise InvalidError(f"query {query.name!r}: {error}") from error
        sql, names = bound(text, load.variables)
        unknown = [name for name in names if name not in load.variables]
        if unknown:
            raise InvalidError(
                f"query {query.name!r} uses :{unknown[0]}, which has no value",
                hint=f"give its largest number: variables: {{ {unknown[0]}: 1000 }}",
            )
        variables = {name: load.variables[name] for name in names}
        found.append(Prepared(query.name, sql.strip().rstrip(";"), variables, query.weight))
    return found


def bound(sql: str, variables: Mapping[str, int]) -> tuple[str, list[str]]:
    """The statement with %(name)s for :name, and the names; those in texts, quoted names and
    comments stay, as do casts."""
    names: list[str] = []

    def replace(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None:
            return match[0].replace("%", "%%")
        if name not in names:
            names.append(name)
        return f"%({name})s"

    return _TOKEN.sub(replace, sql), names


def choose(queries: Sequence[Prepared], chance: random.Random) -> Prepared:
    return chance.choices(queries, [query.weight for query in queries])[0]
