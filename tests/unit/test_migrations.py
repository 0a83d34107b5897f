"""Prepared migrations: how they are kept, and what is refused before anything is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from cowdb.config import Config
from cowdb.controller.diff.model import SchemaChange
from cowdb.controller.lab.steps.lexer import pieces
from cowdb.controller.migrations import target
from cowdb.controller.migrations.complete import allowed, only_moved
from cowdb.controller.migrations.records import Prepared, Records
from cowdb.controller.sqlrun.session import statements_of
from cowdb.errors import BusyError, ConflictError, InvalidError, NotFoundError, NotPermittedError
from cowdb.wire import SourceInfo

POLICY = Config(complete_migrations=("main",))


def record(**changed: Any) -> Prepared:
    usual: Prepared = {
        "id": "0123456789ab", "source": "main", "checkpoint": "main@m", "database": "main",
        "sql": "select 1", "statements": 1, "verdict": "pass", "sentence": "It is safe.",
        "lab_run": "aaaaaa", "branch": "b", "prepared_at": "2026-01-01T00:00:00.000Z",
        "state": "prepared", "completed_at": None, "error": None,
    }  # fmt: skip
    return cast(Prepared, {**usual, **changed})


def test_a_record_is_for_its_user_and_for_one_at_a_time(tmp_path: Path) -> None:
    records = Records(tmp_path / "migrations")
    records.save(record())
    records.save(record(state="applied"))
    (file,) = (tmp_path / "migrations").iterdir()
    assert (file.name, file.stat().st_mode & 0o777) == ("0123456789ab.json", 0o600)
    assert records.read("0123456789ab")["state"] == "applied"
    with records.held("0123456789ab"), pytest.raises(BusyError):
        with records.held("0123456789ab"):
            pass
    with records.held("0123456789ab"):
        pass


@pytest.mark.parametrize("name", ["ffffffffffff", "../../etc/passwd", ""])
def test_a_migration_that_was_not_prepared(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFoundError):
        Records(tmp_path).read(name)


def test_what_may_be_completed() -> None:
    allowed(POLICY, record())
    allowed(POLICY, record(verdict="warn"))
    with pytest.raises(NotPermittedError, match="does not allow migrations of source 'main'"):
        allowed(Config(), record())
    with pytest.raises(NotPermittedError):
        allowed(Config(complete_migrations=("other",)), record())
    for changed, told in (
        ({"verdict": "fail"}, "failed its test"),
        ({"state": "applied"}, "is applied already"),
        ({"state": "failed"}, "is failed already"),
        ({"state": "applying"}, "how it ended is not known"),
    ):
        with pytest.raises(ConflictError, match=told):
            allowed(POLICY, record(**changed))


def test_a_sequence_that_went_on_is_no_change_of_the_schema() -> None:
    moved: SchemaChange = {
        "kind": "sequence", "name": "s", "change": "changed", "side": "main",
        "details": [{"property": "last_value", "values": [1, 2]}],
    }  # fmt: skip
    assert only_moved(moved)
    assert not only_moved({**moved, "change": "removed", "details": {}})
    assert not only_moved({**moved, "kind": "table"})
    assert not only_moved(
        {**moved, "details": [*moved["details"], {"property": "increment", "values": [1, 2]}]}  # type: ignore[list-item]
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "cowdb").mkdir()
    return tmp_path / "cowdb" / "sources.toml"


def source(kind: str, dsn: str | None) -> SourceInfo:
    return cast(SourceInfo, {"name": "main", "kind": kind, "dsn": dsn})


def test_whose_dsn_is_taken(home: Path) -> None:
    own = "postgresql://u:p@127.0.0.1:1/main"
    assert target.dsn_of(source("managed", own)) == own
    for info in (source("managed", "postgresql://u@127.0.0.1:1/main"), source("attached", own)):
        with pytest.raises(NotFoundError, match="no DSN of yours"):
            target.dsn_of(info)
    home.write_text('main = "postgresql://me:secret@db/app"\n')
    home.chmod(0o600)
    assert target.dsn_of(source("attached", own)) == "postgresql://me:secret@db/app"
    home.chmod(0o644)
    with pytest.raises(NotPermittedError, match="can be read by others"):
        target.dsn_of(source("attached", None))


def test_a_broken_file_is_not_repeated(home: Path) -> None:
    home.write_text("main = postgresql://me:secret@db/app\n")
    home.chmod(0o600)
    with pytest.raises(InvalidError) as refused:
        target.dsn_of(source("attached", None))
    assert "secret" not in f"{refused.value} {refused.value.hint} {refused.value.__cause__}"


def test_statements_go_as_they_were_written() -> None:
    text = "-- first\nselect 'a;  b' ;\n\n do $$ begin; end $$;;  insert into t values (E'\\';')"
    assert [(piece.text, piece.line) for piece in pieces(text)] == [
        ("-- first\nselect 'a;  b'", 2),
        ("do $$ begin; end $$", 4),
        ("insert into t values (E'\\';')", 4),
    ]


@pytest.mark.parametrize(
    "text", ["", " ; -- nothing\n", "\\d t", "select 1 \\gx", "copy t from stdin;\n1\n"]
)
def test_what_is_no_sql_for_here(text: str) -> None:
    with pytest.raises(InvalidError):
        statements_of(text)


def test_a_backslash_in_a_literal_is_no_command() -> None:
    assert len(statements_of(r"select '\d', $$ \x $$, E'\\n'; select 1 -- \x")) == 2
