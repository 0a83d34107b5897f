"""Comparing two schemas that are plain values."""

from __future__ import annotations

import pytest

from cowdb.controller.diff.model import Described, ObjectKey, Schema, Value
from cowdb.controller.diff.schema import compare_schemas, compare_sides
from cowdb.controller.diff.scope import chosen_part, is_chosen, name_parts

T = ObjectKey("table", "public.t")
A = ObjectKey("column", "public.t.a")
B = ObjectKey("column", "public.t.b")
CHILD = ObjectKey("table", "public.child")
CHILD_A = ObjectKey("column", "public.child.a")


def thing(*inside: ObjectKey, **properties: Value) -> Described:
    return Described(properties, inside)


def test_equal_schemas_have_no_changes() -> None:
    one: Schema = {T: thing(owner="x"), A: thing(T, type="int")}
    assert compare_schemas(one, dict(reversed(one.items())), "b") == []


def test_a_changed_property_has_both_values() -> None:
    one: Schema = {A: thing(type="int", default=None)}
    two: Schema = {A: thing(type="bigint", default=None)}
    assert compare_schemas(one, two, "b") == [
        {
            "kind": "column",
            "name": "public.t.a",
            "change": "changed",
            "side": "b",
            "details": [{"property": "type", "values": ["int", "bigint"]}],
        }
    ]


def test_a_property_that_one_side_does_not_have_is_null_there() -> None:
    (change,) = compare_schemas({A: thing()}, {A: thing(compression="lz4")}, "b")
    assert change["details"] == [{"property": "compression", "values": [None, "lz4"]}]
    assert compare_schemas({A: thing()}, {A: thing(compression=None)}, "b") == []


@pytest.mark.parametrize(("one", "two"), [(1, 2), ([], ["x"]), (["a", "b"], ["b", "a"]), (0, None)])
def test_values_of_each_type_are_compared(one: Value, two: Value) -> None:
    assert compare_schemas({A: thing(p=one)}, {A: thing(p=two)}, "b")
    assert not compare_schemas({A: thing(p=one)}, {A: thing(p=one)}, "b")


def test_what_comes_with_a_table_is_told_inside_it() -> None:
    whole: Schema = {B: thing(T, type="text"), A: thing(T, type="int"), T: thing(owner="x")}
    (added,) = compare_schemas({}, whole, "b")
    (removed,) = compare_schemas(whole, {}, "b")
    assert (added["change"], removed["change"]) == ("added", "removed")
    assert added["details"] == removed["details"] == {
        "owner": "x",
        "contains": [
            {"kind": "column", "name": "public.t.a", "details": {"type": "int"}},
            {"kind": "column", "name": "public.t.b", "details": {"type": "text"}},
        ],
    }  # fmt: skip


def test_an_index_of_a_constraint_of_a_new_table_is_told_in_the_table() -> None:
    key, index = ObjectKey("constraint", "public.t.k"), ObjectKey("index", "public.k")
    rest: Schema = {key: thing(T), index: thing(T, key)}
    (added,) = compare_schemas({}, {T: thing(), **rest}, "b")
    assert isinstance(added["details"], dict)
    assert added["kind"] == "table"
    (added,) = compare_schemas({T: thing()}, {T: thing(), **rest}, "b")
    assert added["kind"] == "constraint"


def test_an_inherited_column_comes_with_its_parent() -> None:
    first: Schema = {T: thing(), CHILD: thing()}
    other: Schema = {**first, A: thing(T), CHILD_A: thing(CHILD, A)}
    assert [change["name"] for change in compare_schemas(first, other, "b")] == ["public.t.a"]


def test_a_column_of_a_table_that_stays_is_told_by_itself() -> None:
    first: Schema = {T: thing(), A: thing(T)}
    (change,) = compare_schemas(first, {T: thing()}, "b")
    assert (change["kind"], change["change"]) == ("column", "removed")


def test_the_order_of_columns_matters_only_among_those_that_both_have() -> None:
    first: Schema = {T: thing(column_order=["a", "gone", "b"])}
    assert not compare_schemas(first, {T: thing(column_order=["a", "b", "new"])}, "b")
    assert compare_schemas(first, {T: thing(column_order=["b", "a"])}, "b")


def test_changes_are_sorted_by_kind_and_name() -> None:
    keys = [
        ObjectKey("view", "a"), ObjectKey("column", "z.a"), ObjectKey("table", "b"),
        ObjectKey("table", "a"), ObjectKey("schema", "q"), ObjectKey("something new", "a"),
    ]  # fmt: skip
    changes = compare_schemas({}, {key: thing() for key in keys}, "b")
    assert [(change["kind"], change["name"]) for change in changes] == [
        ("schema", "q"), ("table", "a"), ("table", "b"), ("column", "z.a"), ("view", "a"),
        ("something new", "a"),
    ]  # fmt: skip


def test_every_other_side_is_compared_with_the_first() -> None:
    one: Schema = {A: thing(type="int"), B: thing(type="int")}
    two: Schema = {A: thing(type="int"), B: thing(type="text")}
    three: Schema = {A: thing(type="date"), B: thing(type="date")}
    changes = compare_sides([one, two, three], ["one", "two", "three"])
    assert [(change["name"][-1], change["side"]) for change in changes] == [
        ("a", "three"),
        ("b", "two"),
        ("b", "three"),
    ]


def test_secrets_are_compared_but_not_shown() -> None:
    key = ObjectKey("user mapping", "for x server y")
    one, two = {key: thing(options=["password=1"])}, {key: thing(options=["password=2"])}
    (change,) = compare_schemas(one, two, "b")
    assert change["details"] == [{"property": "options", "values": ["(hidden)", "(hidden)"]}]
    (change,) = compare_schemas({}, two, "b")
    assert change["details"] == {"options": "(hidden)"}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("public.t", ["public", "t"]),
        ('"a.b"."c""d"', ["a.b", 'c"d']),
        ('public."T"', ["public", "T"]),
        ("t", ["t"]),
        ('"ü é".x', ["ü é", "x"]),
    ],
)
def test_name_parts(name: str, parts: list[str]) -> None:
    assert name_parts(name) == parts


@pytest.mark.parametrize(
    ("table", "glob", "chosen"),
    [
        ("public.users", "users", True),
        ("public.users", "public.*", True),
        ("public.users", "use?s", True),
        ("public.users", "app.*", False),
        ("public.users", "Users", False),
        ('public."Users"', "Users", True),
        ('public."Users"', 'public."Users"', True),
        ('public."a.b"', "public.a.b", True),
    ],
)
def test_globs(table: str, glob: str, chosen: bool) -> None:
    assert is_chosen(table, [glob]) is chosen
    assert is_chosen(table, ["nothing", glob]) is chosen
    assert is_chosen(table, [])


def test_a_part_of_a_schema_is_tables_with_what_belongs_to_them() -> None:
    sequence, function = ObjectKey("sequence", "public.s"), ObjectKey("function", "public.f()")
    schema: Schema = {
        T: thing(), A: thing(T), CHILD: thing(), CHILD_A: thing(CHILD, A), sequence: thing(A),
        function: thing(),
    }  # fmt: skip
    assert set(chosen_part(schema, ["t"])) == {T, A, sequence}
    assert set(chosen_part(schema, ["child"])) == {CHILD, CHILD_A}
    assert chosen_part(schema, []) == schema
