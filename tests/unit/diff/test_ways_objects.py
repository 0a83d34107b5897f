"""Objects of many schemas against what pairwise comparisons say."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cowdb.controller.diff.model import Described, ObjectKey, ObjectSince, Schema, SchemaChange
from cowdb.controller.diff.schema import compare_schemas
from cowdb.controller.diff.ways.objects import group_objects, objects_since, steps_since

TABLES = [ObjectKey("table", f"s.{name}") for name in "tu"]
COLUMNS = [(ObjectKey("column", f"{table.name}.{name}"), table)
           for table in TABLES for name in "ab"]  # fmt: skip
LABELS = ["one", "two", "three", "four"]


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """Up to two tables, their columns, and an index that goes with a column, too."""
    found: Schema = {}
    for table in TABLES:
        if draw(st.booleans()):
            found[table] = Described({"owner": draw(st.sampled_from("xy"))})
    for column, table in COLUMNS:
        if table in found and draw(st.booleans()):
            properties = {"type": draw(st.sampled_from(["int", "text"])),
                          "default": draw(st.sampled_from([None, "0"]))}  # fmt: skip
            found[column] = Described(properties, (table,))
            if draw(st.booleans()):
                index = ObjectKey("index", f"on {column.name}")
                found[index] = Described({"definition": draw(st.sampled_from("pq"))},
                                         (table, column))  # fmt: skip
    return found


SIDES = st.lists(schemas(), min_size=2, max_size=4)


def keys_of(changes: list[SchemaChange]) -> set[str]:
    """Every object that a two-way comparison tells, also inside others."""
    found = set()
    for change in changes:
        found.add(f"{change['kind']} {change['name']}")
        if isinstance(change["details"], dict):
            contained = change["details"].get("contains") or []
            found |= {f"{part['kind']} {part['name']}" for part in contained}  # type: ignore
    return found


@settings(deadline=None)
@given(schemas(), SIDES)
def test_who_changed_what_is_what_each_pair_says(ancestor: Schema, sides: list[Schema]) -> None:
    told: dict[str, set[str]] = {}
    for item in objects_since(steps_since(ancestor, sides), LABELS[: len(sides)]):
        for name in (f"{item['kind']} {item['name']}", *item["contains"]):
            assert name not in told, "told twice"
            told[name] = set(item["by"])
    expected: dict[str, set[str]] = {}
    for label, side in zip(LABELS, sides, strict=False):
        for name in keys_of(compare_schemas(ancestor, side, label)):
            expected.setdefault(name, set()).add(label)
    assert told == expected


@settings(deadline=None)
@given(schemas(), SIDES, st.randoms())
def test_the_order_of_the_sides_does_not_matter(
    ancestor: Schema, sides: list[Schema], random: st.Random
) -> None:
    labelled = list(zip(LABELS, sides, strict=False))
    one = since(ancestor, labelled)
    random.shuffle(labelled)
    assert since(ancestor, labelled) == one


def since(ancestor: Schema, sides: list[tuple[str, Schema]]) -> list[ObjectSince]:
    labels = [label for label, _ in sides]
    found = objects_since(steps_since(ancestor, [schema for _, schema in sides]), labels)
    for item in found:
        item["by"].sort()
        item["collide"].sort()
        item["against"].sort(key=str)
    return found


@settings(deadline=None)
@given(schemas(), SIDES)
def test_a_conflict_is_two_sides_with_other_ends(ancestor: Schema, sides: list[Schema]) -> None:
    steps = steps_since(ancestor, sides)
    for item in objects_since(steps, LABELS[: len(sides)]):
        key = ObjectKey(item["kind"], item["name"])
        ends = [sides[LABELS.index(label)].get(key) for label in item["by"]]
        assert (item["conflict"] and not item["against"]) <= (len(ends) > 1)
        if any(end != ends[0] for end in ends):
            assert item["conflict"]
        elif not item["against"]:
            assert not item["conflict"]


@settings(deadline=None)
@given(SIDES)
def test_groups_are_what_each_pair_with_the_first_says(sides: list[Schema]) -> None:
    labels = LABELS[: len(sides)]
    told = {f"{item['kind']} {item['name']}": item for item in group_objects(sides, labels)}
    for label, side in zip(labels[1:], sides[1:], strict=True):
        differs = {f"{c['kind']} {c['name']}" for c in compare_schemas(sides[0], side, label)}
        same = {name for name, item in told.items() if label in item["groups"][0]["sides"]}
        assert differs <= told.keys() - same
    for item in told.values():
        assert sorted(side for group in item["groups"] for side in group["sides"]) == sorted(labels)


T, A, B = TABLES[0], *(column for column, table in COLUMNS if table is TABLES[0])


def column(**properties: str | None) -> Described:
    return Described(properties, (T,))


def only(ancestor: Schema, *sides: Schema) -> list[ObjectSince]:
    return objects_since(steps_since(ancestor, sides), LABELS[: len(sides)])


def test_the_same_change_on_both_sides_is_agreement() -> None:
    after = {T: Described({}), A: column(type="text")}
    (item,) = only({T: Described({}), A: column(type="int")}, after, dict(after))
    assert (item["by"], item["conflict"], item["collide"]) == (["one", "two"], False, [])
    assert item["was"] == {"type": "int"}
    assert item["became"] == {"one": {"type": "text"}, "two": {"type": "text"}}


def test_other_properties_of_one_object_are_a_conflict_without_a_collision() -> None:
    (item,) = only(
        {A: column(type="int", default=None)}, {A: column(type="text", default=None)},
        {A: column(type="int", default="0")},
    )  # fmt: skip
    assert (item["conflict"], item["collide"]) == (True, [])
    assert item["became"]["two"] == {"type": "int", "default": "0"}


def test_the_same_column_added_with_other_types_collides_in_the_type() -> None:
    (item,) = only(
        {T: Described({})}, {T: Described({}), A: column(type="text", default="0")},
        {T: Described({}), A: column(type="int", default="0")},
    )  # fmt: skip
    assert (item["conflict"], item["was"], item["collide"]) == (True, None, ["type"])


def test_what_one_side_adds_to_a_table_that_another_drops_collides_with_that() -> None:
    before: Schema = {T: Described({"owner": "x"}), A: column(type="int")}
    table, added = only(before, {}, {**before, B: column(type="int")})
    assert (table["name"], table["conflict"], table["contains"]) == (
        "s.t", False, ["column s.t.a"],
    )  # fmt: skip
    assert added["conflict"]
    assert added["against"] == [
        {"side": "one", "kind": "table", "name": "s.t", "change": "removed"}
    ]


def test_a_column_changed_in_a_table_that_another_side_drops_is_told_beside_the_table() -> None:
    before: Schema = {T: Described({"owner": "x"}), A: column(type="int"), B: column(type="int")}
    table, changed = only(before, {}, {**before, A: column(type="text")})
    assert table["contains"] == ["column s.t.b"]
    assert (changed["name"], changed["by"], changed["conflict"]) == ("s.t.a", ["one", "two"], True)
    assert changed["became"] == {"one": None, "two": {"type": "text"}}


def test_secrets_are_compared_but_not_shown() -> None:
    key = ObjectKey("user mapping", "for x server y")
    one, two, three = ({key: Described({"options": [f"password={n}"]})} for n in range(3))
    (item,) = only(one, two, three)
    assert item["conflict"]
    assert item["collide"] == ["options"]
    (grouped,) = group_objects([one, two, three], LABELS[:3])
    assert "password" not in str(item) + str(grouped)
    assert len(grouped["groups"]) == 3


def test_two_sides_that_took_numbers_from_a_sequence_are_not_in_conflict() -> None:
    key = ObjectKey("sequence", "s.t_id_seq")

    def at(position: int, owner: str = "x") -> Schema:
        return {key: Described({"owner": owner, "last_value": position, "is_called": True})}

    (item,) = only(at(1), at(5), at(9))
    assert (item["by"], item["conflict"], item["collide"]) == (["one", "two"], False, [])
    (item,) = only(at(1), at(5, "y"), at(9, "z"))
    assert (item["conflict"], item["collide"]) == (True, ["owner"])
    (item,) = only(at(1), {}, at(9))
    assert item["conflict"]
