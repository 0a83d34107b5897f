"""A lab file is read, or refused at its line and key."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from cowdb.controller.lab.spec import json_schema, parse, read
from cowdb.controller.lab.spec.model import Limits, OwnLimits, seconds
from cowdb.errors import InvalidError, NotFoundError

EXAMPLE = """\
name: ecommerce-migration-test
version: 1.0.0
services: { postgres: { config: { databases: [ecommerce] } } }     # optional
tests:
  migration:
    checkpoint: production-loaded            # a snapshot
    branches:
      - { name: add-column-with-default, command: psql -f migrations/v2-strategy-a.sql }
      - { name: add-column-backfill,     command: psql -f migrations/v2-strategy-b.sql }
      - name: rollback-test
        command: psql -f migrations/v2-up.sql && psql -f migrations/v2-down.sql
        expect: same-as-checkpoint
    validate: [ { name: no-nulls, sql: "select count(*) = 0 from users" } ]
"""
COMMAND = "command: psql -f migrations/v2-strategy-a.sql"


def test_the_example_of_the_issue(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(EXAMPLE)
    lab = read(file)
    assert lab.services.postgres.config.databases == ["ecommerce"]
    migration = lab.tests.migration
    assert migration.checkpoint == "production-loaded"
    assert [item.name for item in migration.branches] == [
        "add-column-with-default", "add-column-backfill", "rollback-test",
    ]  # fmt: skip
    assert migration.branches[2].expect == "same-as-checkpoint"
    assert migration.limits.max_lock_ms == 1000


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        (COMMAND, "commands: x", "lab.yaml:8: tests.migration.branches[0]: unknown key 'commands'",
         "did you mean 'command'?"),
        ("checkpoint: p", "checkpoint: 5 #",
         "lab.yaml:6: tests.migration.checkpoint: expected `str`, got `int`", "cowdb lab init"),
        ("checkpoint: p", "checkpoint: x\n    checkpoint: p",
         "lab.yaml:6: the key 'checkpoint' is given twice", "keep one"),
        ("same-as-checkpoint", "same",
         "lab.yaml:12: tests.migration.branches[2].expect: invalid enum value 'same'", ""),
        ("name: rollback-test", "name: add-column-backfill",
         "lab.yaml:9: tests.migration.branches[1].name: 'add-column-backfill' is used twice",
         "a name of its own"),
        (COMMAND, "sql: [gone.sql]",
         "lab.yaml:8: tests.migration.branches[0].sql: there is no file here/gone.sql",
         "the lab file's directory"),
        (COMMAND, COMMAND + ", sql: [x.sql]",
         "lab.yaml:8: tests.migration.branches[0]: 'add-column-with-default' needs a command or "
         "sql, and not both", "psql -f"),
        ("name: ecommerce", "name: [ecommerce",
         "lab.yaml:2: expected ',' or ']', but got ':'", ""),
        ("checkpoint: p", "limits: { max_lock: 5 }\n    checkpoint: p",
         "lab.yaml:6: tests.migration.limits: unknown key 'max_lock'",
         "did you mean 'max_lock_ms'?"),
        ("checkpoint: p", "runs: 0\n    checkpoint: p",
         "lab.yaml:6: tests.migration.runs: expected `int` >= 1", ""),
        ("checkpoint: p", "load: { clients: 2 }\n    checkpoint: p",
         "lab.yaml:6: tests.migration.load: a load has queries or a pgbench script", ""),
        ("checkpoint: p", "load:\n      queries:\n        - name: a\n          sql: select :n\n"
         "    checkpoint: p",
         "lab.yaml:9: tests.migration.load.queries[0].sql: uses :n, which has no value",
         "variables: { n: 1000 }"),
        ("tests:", "test:", "lab.yaml:4: the file: unknown key 'test'", "did you mean 'tests'?"),
        (EXAMPLE, "", "lab.yaml is empty", "cowdb lab init"),
        (EXAMPLE, "- 1", "lab.yaml:1: the file: expected `object`, got `array`", ""),
    ],
)  # fmt: skip
def test_a_mistake_is_shown_where_it_stands(old: str, new: str, message: str, hint: str) -> None:
    with pytest.raises(InvalidError) as raised:
        parse(EXAMPLE.replace(old, new, 1), "lab.yaml", Path("here"))
    assert raised.value.message.startswith(message)
    assert hint in raised.value.hint


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"there is no file .*gone\.yaml"):
        read(tmp_path / "gone.yaml")


def test_the_schema_for_editors_knows_every_key() -> None:
    schema = json_schema()
    json.dumps(schema)
    migration = schema["$defs"]["Migration"]
    assert set(migration["properties"]) == {
        "checkpoint", "branches", "validate", "load", "limits", "runs", "parallel", "keep",
    }  # fmt: skip
    assert migration["additionalProperties"] is False
    assert "description" in schema["$defs"]["Strategy"]


def test_durations() -> None:
    assert [seconds(text) for text in ("500ms", "5s", "10m", "1h")] == [0.5, 5.0, 600.0, 3600.0]


def test_limits_of_a_branch_take_the_files_place_where_they_are_given() -> None:
    whole = Limits(max_lock_ms=200, max_duration="5s", warn=())
    own = msgspec.convert({"max_lock_ms": None, "forbid": ["rewrite"]}, OwnLimits)
    assert own.over(whole) == Limits(
        max_lock_ms=None, max_duration="5s", forbid=("rewrite",), warn=()
    )
