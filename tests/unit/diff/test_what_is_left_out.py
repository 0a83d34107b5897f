"""What a comparison leaves out, and what a report hides."""

from __future__ import annotations

import pytest

from cowdb.controller.diff.catalog.quarantined import apart, without_own
from cowdb.controller.diff.hidden import HIDDEN, shown
from cowdb.controller.diff.members import unequal_extensions
from cowdb.controller.diff.model import Described, ObjectKey, Schema, Side, Value
from cowdb.controller.diff.schema import compare_schemas

EXTENSION = ObjectKey("extension", "e")
TABLE = ObjectKey("table", "public.t")
COLUMN = ObjectKey("column", "public.t.a")
ROLE = ObjectKey("role", "postgres")
SUBSCRIPTION = ObjectKey("subscription", "s")


def extended(version: str, schema: str = "public", **column: Value) -> Schema:
    """An extension with a table of its own."""
    return {
        EXTENSION: Described({"version": version, "schema": schema}),
        TABLE: Described({"extension": "e"}, (EXTENSION,)),
        COLUMN: Described({"type": "int", **column}, (TABLE,)),
    }


def names(first: Schema, other: Schema) -> list[tuple[str, str]]:
    return [(item["change"], item["name"]) for item in compare_schemas(first, other, "b")]


def test_members_are_compared_where_the_version_is_the_same() -> None:
    assert names(extended("1"), extended("1", comment="x")) == [("changed", "public.t.a")]


@pytest.mark.parametrize("other", [extended("2", comment="x"), extended("1", "s", comment="x")])
def test_another_version_or_schema_of_an_extension_is_one_difference(other: Schema) -> None:
    assert names(extended("1"), other) == [("changed", "e")]
    assert unequal_extensions(extended("1"), other) == ["e"]


def test_an_extension_comes_and_goes_without_a_list_of_its_members() -> None:
    (added,) = compare_schemas({}, extended("1"), "b")
    assert "contains" not in added["details"]
    assert names(extended("1"), {}) == [("removed", "e")]
    assert unequal_extensions({}, extended("1")) == []


def test_only_a_branch_beside_something_else_stands_apart() -> None:
    source, one, two = Side("s", "x"), Side("a", "y", "a"), Side("b", "z", "b")
    assert apart([source, one])
    assert not apart([one, two])
    assert not apart([source, Side("t", "w")])


def test_what_cowdb_sets_on_a_branch_is_left_out() -> None:
    schema = {
        ROLE: Described({"bootstrap": True, "login": True, "valid_until": None, "inherit": True}),
        ObjectKey("role", "ann"): Described({"bootstrap": False, "login": True}),
        SUBSCRIPTION: Described({"enabled": True, "slot": "s", "connection": "x", "owner": "o"}),
    }
    left = without_own(schema)
    assert left[ROLE].properties == {"bootstrap": True, "inherit": True}
    assert left[ObjectKey("role", "ann")].properties == {"bootstrap": False, "login": True}
    assert left[SUBSCRIPTION].properties == {"owner": "o"}


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("user mapping", "options", ["user=ann"]),
        ("subscription", "connection", "host=h password=sesame"),
    ],
)
def test_some_properties_are_hidden_whole(kind: str, name: str, value: Value) -> None:
    assert shown(kind, name, value) == HIDDEN
    assert shown(kind, name, None) is None


@pytest.mark.parametrize(
    ("kind", "name"),
    [("foreign server", "options"), ("foreign table", "server_options"), ("database", "settings")],
)
def test_single_options_that_look_like_a_secret_are_hidden(kind: str, name: str) -> None:
    given = ["host=h", "password=sesame", "role ann: app.jwt_secret=sesame", "api_key=sesame"]
    assert shown(kind, name, given) == [
        "host=h", f"password={HIDDEN}", f"role ann: app.jwt_secret={HIDDEN}", f"api_key={HIDDEN}",
    ]  # fmt: skip


def test_a_setting_of_a_role_is_hidden_by_its_name() -> None:
    assert shown("role setting", "setting", "work_mem=99") == "work_mem=99"
    assert shown("role setting", "setting", "app.token=sesame") == f"app.token={HIDDEN}"
