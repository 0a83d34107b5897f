"""The splitter of the demo's SQL files."""

from __future__ import annotations

import pytest

from cowdb.demo.script import SQL, Step, data_files, groups, steps
from cowdb.errors import InvalidError

TEXT = """\
-- What the file is for.
\\set ON_ERROR_STOP on

-- step: creating types
create type a as enum ('x');  -- step: not a marker, the line begins otherwise

-- step[parallel]: filling one (1,000 rows)
-- Why.
insert into one values (1);
-- step[parallel]:  filling two
insert into two values ('
-- stepping: no marker either
');

-- step: the end
select 1;
"""


def test_a_step_reaches_from_its_marker_to_the_next() -> None:
    first, second, third, fourth = steps(TEXT)
    assert first == Step(
        "creating types",
        "create type a as enum ('x');  -- step: not a marker, the line begins otherwise",
    )
    assert second == Step(
        "filling one (1,000 rows)", "-- Why.\ninsert into one values (1);", parallel=True
    )
    assert third.title == "filling two"
    assert third.parallel
    assert "stepping" in third.sql
    assert fourth == Step("the end", "select 1;")


def test_neighbours_that_are_parallel_make_a_group() -> None:
    assert [[step.title for step in group] for group in groups(steps(TEXT))] == [
        ["creating types"],
        ["filling one (1,000 rows)", "filling two"],
        ["the end"],
    ]


def test_serial_steps_are_never_grouped() -> None:
    found = steps("-- step: a\nselect 1;\n-- step: b\nselect 2;\n")
    assert [len(group) for group in groups(found)] == [1, 1]


@pytest.mark.parametrize("text", ["", "-- only a comment\n", "\\set ON_ERROR_STOP on\n"])
def test_a_file_without_steps_has_none(text: str) -> None:
    assert steps(text) == []


def test_sql_above_the_first_step_is_refused() -> None:
    with pytest.raises(InvalidError, match="SQL before the first step: 'drop table a;'"):
        steps("-- head\ndrop table a;\n-- step: b\nselect 1;\n")


def test_a_step_without_sql_is_refused() -> None:
    with pytest.raises(InvalidError, match="step 'empty' has no SQL"):
        steps("-- step: empty\n-- Only a comment.\n-- step: b\nselect 1;\n")


def test_every_shipped_file_has_steps() -> None:
    numbered = data_files()
    assert [path.name[:3] for path in numbered] == ["01-", "02-", "03-", "04-", "05-"]
    shipped = sorted(SQL.glob("*.sql"))
    assert len(shipped) == len(numbered) + 4
    for path in shipped:
        assert steps(path.read_text("utf-8")), path
