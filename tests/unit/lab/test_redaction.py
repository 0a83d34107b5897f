"""No password of a statement is shown, nor what programs repeat of it."""

from __future__ import annotations

import pytest

from cowdb.controller.lab.redaction import cleaned, secrets_in, shown


@pytest.mark.parametrize(
    "statement",
    [
        "create role a password 'opensesame'",
        "ALTER USER a WITH ENCRYPTED PASSWORD E'opensesame'",
        "create user mapping for a server s options (user 'x', password 'opensesame')",
        "create subscription s connection 'host=h password=opensesame' publication p",
        "select dblink_connect('host=h opensesame')",
        "do $x$ begin execute 'alter role a password ''opensesame'''; end $x$",
        "alter role a password 'opensesame",
        "select 1 -- postgresql://me:opensesame@host/db",
    ],
)
def test_statements(statement: str) -> None:
    assert "opensesame" not in shown(statement)
    assert "opensesame" not in cleaned(f"LINE 1: {statement}", secrets_in([statement]))


def test_other_literals_stay() -> None:
    assert shown("select 'hello' from t") == "select 'hello' from t"


@pytest.mark.parametrize(
    "text", ["PGPASSWORD=opensesame psql", "psql 'password=opensesame'", "API_TOKEN: opensesame"]
)
def test_commands(text: str) -> None:
    assert "opensesame" not in cleaned(text, ())
