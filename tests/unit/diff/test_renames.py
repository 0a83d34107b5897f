"""Which tables are one under two names, and how the rest is told by the first."""

from __future__ import annotations

from cowdb.controller.diff.model import Described, ObjectKey
from cowdb.controller.diff.renames import Stored, candidates, proven, renamed_schema, with_names

FILE = (5, "base/1/5")


def test_only_a_block_that_nobody_wrote_proves_it() -> None:
    one, two = {"a": Stored(5, {FILE: 10})}, {"b": Stored(5, {FILE: 12})}
    assert candidates(one, two) == {"b": "a"}
    assert proven(one, two, {}) == {"b": "a"}
    assert proven(one, two, {FILE[1]: [(0, 9)]}) == {"b": "a"}
    assert proven(one, two, {FILE[1]: [(0, 10)]}) == {}
    assert proven(one, two, {FILE[1]: [(0, 4), (4, 30)]}) == {}
    assert proven({"a": Stored(5, {FILE: 0})}, two, {}) == {}
    assert proven(one, {"b": Stored(5, {(5, "base/1/6"): 10})}, {}) == {}
    index = (6, "base/1/6")
    assert proven({"a": Stored(5, {FILE: 1, index: 2})}, {"b": Stored(5, {FILE: 1, index: 2})},
                  {FILE[1]: [(0, 1)], index[1]: [(1, 2)]}) == {"b": "a"}  # fmt: skip


def test_a_name_that_both_sides_have_was_not_changed() -> None:
    swapped = {"a": Stored(1, {}), "b": Stored(2, {})}, {"a": Stored(2, {}), "b": Stored(1, {})}
    assert candidates(*swapped) == {}


def test_what_is_named_after_a_table_follows_it_and_what_somebody_wrote_does_not() -> None:
    table, column = ObjectKey("table", "s.b"), ObjectKey("column", "s.b.c")
    index, routine = ObjectKey("index", "s.i"), ObjectKey("function", "s.f()")
    near = ObjectKey("table", "s.bb")
    schema = {
        table: Described({}),
        column: Described({}, (table,)),
        index: Described({"definition": "CREATE INDEX i ON s.b (c, s.bb)"}, (table,)),
        routine: Described({"body": "SELECT FROM s.b"}),
        near: Described({"like": ["s.b", '"s.b"', "s.b_c"]}),
    }
    found = renamed_schema(schema, {"s.b": "s.a"})
    first = ObjectKey("table", "s.a")
    assert set(found) == {first, ObjectKey("column", "s.a.c"), index, routine, near}
    assert found[ObjectKey("column", "s.a.c")].inside == (first,)
    assert found[index].properties == {"definition": "CREATE INDEX i ON s.a (c, s.bb)"}
    assert found[routine].properties == {"body": "SELECT FROM s.b"}
    assert found[near].properties == {"like": ["s.a", '"s.b"', "s.b_c"]}


def test_the_name_is_one_more_property_that_changed() -> None:
    owner = {"property": "owner", "values": ["x", "y"]}
    changes = [{"kind": "table", "name": "s.a", "change": "changed", "side": "two",
                "details": [owner]}]  # fmt: skip
    found = with_names(changes, [  # type: ignore[arg-type]
        {"kind": "table", "side": "two", "names": ["s.a", "s.b"]},
        {"kind": "table", "side": "two", "names": ["s.c", "s.d"]},
    ])  # fmt: skip
    assert [item["name"] for item in found] == ["s.a", "s.c"]
    assert found[0]["details"] == [{"property": "name", "values": ["s.a", "s.b"]}, owner]
