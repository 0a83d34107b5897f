"""The pure parts of a migration's plan: order, types, privileges, the script."""

from __future__ import annotations

import pytest

from cowdb.controller.diff.migration.facts import Facts
from cowdb.controller.diff.migration.order import ordered
from cowdb.controller.diff.migration.plan import plan
from cowdb.controller.diff.migration.privileges import Privilege, parsed
from cowdb.controller.diff.migration.script import render
from cowdb.controller.diff.migration.statement import Migration, Statement
from cowdb.controller.diff.migration.types import conversion, narrows, related, rewrites
from cowdb.controller.diff.migration.words import literal
from cowdb.controller.diff.model import Described, ObjectKey


def test_each_comes_after_what_it_needs_and_else_by_rank() -> None:
    needs = {"a": {"z"}, "b": set(), "z": set(), "c": {"a", "b"}}
    assert ordered("cbaz", needs, str) == ["b", "z", "a", "c"]


def test_needs_that_are_not_there_are_ignored() -> None:
    assert ordered("ba", {"a": {"elsewhere"}}, str) == ["a", "b"]


def test_a_circle_is_broken_and_those_behind_it_still_wait() -> None:
    # `a` stands behind the circle of x, y and z: its low rank must not bring it forward.
    needs = {"a": {"z"}, "x": {"y"}, "y": {"z"}, "z": {"x"}}
    assert ordered("axyz", needs, str) == ["x", "z", "a", "y"]


@pytest.mark.parametrize(
    ("old", "new", "written"),
    [
        ("character varying(3)", "character varying(4)", False),
        ("character varying(4)", "character varying(3)", True),
        ("character varying(4)", "text", False),
        ("text", "character varying(4)", True),
        ("numeric(5,2)", "numeric(7,2)", False),
        ("numeric(5,2)", "numeric(7,3)", True),
        ("numeric(5,2)", "numeric", False),
        ("timestamp(3) without time zone", "timestamp(6) without time zone", False),
        ("integer", "bigint", True),
    ],
)
def test_what_is_written_anew(old: str, new: str, written: bool) -> None:
    assert rewrites(old, new) is written


@pytest.mark.parametrize(
    ("old", "new", "loses"),
    [
        ("integer", "bigint", False), ("bigint", "integer", True), ("integer", "text", False),
        ("numeric(5,2)", "numeric(6,2)", False), ("numeric(5,2)", "numeric(5,3)", True),
        ("numeric(5,2)", "numeric(5,1)", True), ("character varying(3)", "text", False),
        ("text", "integer", True), ("timestamp with time zone", "date", True),
    ],
)  # fmt: skip
def test_what_may_not_fit(old: str, new: str, loses: bool) -> None:
    assert narrows(old, new) is loses


def test_a_cast_never_cuts_off_in_silence() -> None:
    assert conversion("c", "text", "character varying(3)", again=False) == ""
    assert conversion("c", "text", "date", again=False) == " USING c::text::date"
    assert conversion("c", "integer[]", "bigint", again=False) == " USING c::text::bigint"
    assert conversion("c", "s.e", "s.e", again=True) == " USING c::text::s.e"


def test_arrays_are_not_their_elements() -> None:
    assert related("integer[]", "bigint[]")
    assert not related("integer[]", "integer")


def test_privileges_are_read_as_they_are_printed() -> None:
    granted, taken = parsed(
        ['"odd: role": DELETE, SELECT with grant option by "by me"', "without (owner): INSERT"]
    )
    assert granted == {
        Privilege('"odd: role"', "DELETE", True, '"by me"'),
        Privilege('"odd: role"', "SELECT", True, '"by me"'),
    }
    assert taken == {Privilege("(owner)", "INSERT", False, "")}


def test_a_literal_holds_whatever_the_settings() -> None:
    assert literal("it's") == "'it''s'"
    assert literal("a\\b") == "E'a\\\\b'"


def test_a_name_cannot_leave_its_comment() -> None:
    evil = "x\nDROP TABLE t; --"
    migration = Migration((), (), (Statement("", "table", evil, reason="why\nnot"),))
    text = render(migration.entries(), evil, "b")
    assert all(line.startswith("--") for line in text.splitlines() if line)


def test_a_kind_that_nobody_knows_is_named() -> None:
    key = ObjectKey("hologram", "h")
    made = Facts({key: Described({"colour": "red"})})
    other = Facts({key: Described({"colour": "blue"})})
    for one, two in ((Facts({}), made), (made, Facts({})), (made, other)):
        migration = plan(one, two)
        assert migration.inside == ()
        assert [item.name for item in migration.undone] == ["h"]


def test_a_property_that_nobody_knows_is_named() -> None:
    key = ObjectKey("schema", "s")
    migration = plan(Facts({key: Described({"smell": 1})}), Facts({key: Described({"smell": 2})}))
    assert [item.reason for item in migration.undone] == ["its smell cannot be changed"]
