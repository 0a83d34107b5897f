"""Objects of several schemas: which sides agree, and who changed what since an ancestor. Pure.

What differs is asked of `compare_properties` only, so that two sides agree here exactly if they
show no difference in the report's `schema`, and no secret gets into a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from cowdb.controller.diff.members import comparable
from cowdb.controller.diff.model import (
    Against,
    Change,
    Described,
    ObjectGroup,
    ObjectGroups,
    ObjectKey,
    ObjectSince,
    Schema,
    Value,
)
from cowdb.controller.diff.schema import RANKS, compare_properties

# A sequence's position moves with every row that is inserted; that two sides took numbers from it
# is no conflict, whatever became of the rows is.
_PASSING = frozenset({("sequence", "last_value"), ("sequence", "is_called")})

Rank = int
"""A side's place among the sides."""


@dataclass(frozen=True)
class Step:
    """What one side did to one object; one of both is None where it was added or removed."""

    before: Described | None
    after: Described | None

    @property
    def change(self) -> Change:
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"


Steps = Mapping[ObjectKey, Mapping[Rank, Step]]
"""For each object that some side changed, who did what."""


def steps_since(ancestor: Schema, sides: Sequence[Schema]) -> dict[ObjectKey, dict[Rank, Step]]:
    """Every object that at least one side has changed, in the order of the report."""
    found: dict[ObjectKey, dict[Rank, Step]] = {}
    for rank, schema in enumerate(sides):
        old, new = comparable(ancestor, schema)
        for key in old.keys() | new.keys():
            before, after = old.get(key), new.get(key)
            if not _same(key, before, after):
                found.setdefault(key, {})[rank] = Step(before, after)
    return {key: found[key] for key in sorted(found, key=_place)}


def objects_since(steps: Steps, labels: Sequence[str]) -> list[ObjectSince]:
    """What comes or goes with a table by the same hands is told in the table's entry."""
    contained = _contained(steps)
    inner: dict[ObjectKey, list[str]] = {}
    for key, root in contained.items():
        inner.setdefault(root, []).append(f"{key.kind} {key.name}")
    return [
        _entry(key, by, steps, labels, inner.get(key, []))
        for key, by in steps.items()
        if key not in contained
    ]


def _entry(
    key: ObjectKey, by: Mapping[Rank, Step], steps: Steps, labels: Sequence[str],
    inner: list[str],
) -> ObjectSince:  # fmt: skip
    against = list(_removed_around(key, by, steps, labels))
    names = _names(key, by.values())
    before = next(iter(by.values())).before
    return {
        "kind": key.kind,
        "name": key.name,
        "by": [labels[rank] for rank in sorted(by)],
        "conflict": bool(against) or not _agree(key, by),
        "was": _picked(key, before, names),
        "became": {labels[rank]: _picked(key, by[rank].after, names) for rank in sorted(by)},
        "collide": _colliding(key, by),
        "against": against,
        "contains": inner,
    }


def _agree(key: ObjectKey, by: Mapping[Rank, Step]) -> bool:
    return not any(_ends(key, one, two) for one, two in combinations(by.values(), 2))


def _ends(key: ObjectKey, one: Step, two: Step) -> set[str] | bool:
    """The properties that the two did not bring to the same end; True if only one removed it."""
    if one.after is None or two.after is None:
        return one.after is not two.after
    differ = compare_properties(key.kind, one.after.properties, two.after.properties)
    return {item["property"] for item in differ if (key.kind, item["property"]) not in _PASSING}


def _colliding(key: ObjectKey, by: Mapping[Rank, Step]) -> list[str]:
    """Properties that two sides changed to different ends."""
    found: dict[str, None] = {}
    for one, two in combinations(by.values(), 2):
        ends = _ends(key, one, two)
        if isinstance(ends, set):
            both = changed_properties(key, one) & changed_properties(key, two)
            found |= dict.fromkeys(sorted(ends & both))
    return list(found)


def changed_properties(key: ObjectKey, step: Step) -> set[str]:
    """Of an added or removed object: those that are not null."""
    before = {} if step.before is None else step.before.properties
    after = {} if step.after is None else step.after.properties
    return {item["property"] for item in compare_properties(key.kind, before, after)}


def _names(key: ObjectKey, steps: Iterable[Step]) -> list[str] | None:
    """The properties that some side changed; None for all, where nobody merely changed any."""
    found: dict[str, None] = {}
    for step in steps:
        if step.change == "changed":
            found |= dict.fromkeys(sorted(changed_properties(key, step)))
    return list(found) or None


def _picked(
    key: ObjectKey, described: Described | None, names: list[str] | None
) -> dict[str, Value] | None:
    if described is None:
        return None
    shown = shown_properties(key.kind, described.properties)
    return shown if names is None else {name: shown.get(name) for name in names}


def shown_properties(kind: str, properties: Mapping[str, Value]) -> dict[str, Value]:
    """All that are not null, secrets hidden."""
    found = compare_properties(kind, {}, properties)
    return {item["property"]: item["values"][1] for item in found}


def _removed_around(
    key: ObjectKey, by: Mapping[Rank, Step], steps: Steps, labels: Sequence[str]
) -> Iterator[Against]:
    """Things that another side removed around what some side added or changed here."""
    working = {rank for rank, step in by.items() if step.after is not None}
    for around in _around(key, by, steps):
        for rank, step in steps.get(around, {}).items():
            if step.after is None and working - {rank}:
                yield {
                    "side": labels[rank],
                    "kind": around.kind,
                    "name": around.name,
                    "change": "removed",
                }


def _around(key: ObjectKey, by: Mapping[Rank, Step], steps: Steps) -> dict[ObjectKey, None]:
    """What the object lies in, the nearest first, through as many layers as there are."""
    found: dict[ObjectKey, None] = {}
    todo = [step.after or step.before for step in by.values()]
    while todo:
        described = todo.pop()
        for outer in described.inside if described is not None else ():
            if outer not in found:
                found[outer] = None
                todo += [step.before or step.after for step in steps.get(outer, {}).values()]
    return found


def _contained(steps: Steps) -> dict[ObjectKey, ObjectKey]:
    """For each object that came or went with another, by the same sides and to the same end, the
    outermost such one."""
    direct: dict[ObjectKey, ObjectKey] = {}
    for key, by in steps.items():
        for outer in _all_inside(by):
            if outer in steps and _together(key, by, steps[outer]):
                direct[key] = outer
                break
    return {key: _outermost(key, direct) for key in direct}


def _all_inside(by: Mapping[Rank, Step]) -> dict[ObjectKey, None]:
    found: dict[ObjectKey, None] = {}
    for step in by.values():
        described = step.after or step.before
        found |= dict.fromkeys(described.inside if described is not None else ())
    return found


def _together(key: ObjectKey, by: Mapping[Rank, Step], outer: Mapping[Rank, Step]) -> bool:
    ends = [step.after for step in by.values()]
    return (
        by.keys() == outer.keys()
        and all(step.change == outer[rank].change != "changed" for rank, step in by.items())
        and all(_same(key, ends[0], end) for end in ends)
    )


def _outermost(key: ObjectKey, direct: Mapping[ObjectKey, ObjectKey]) -> ObjectKey:
    while key in direct:
        key = direct[key]
    return key


def group_objects(schemas: Sequence[Schema], labels: Sequence[str]) -> list[ObjectGroups]:
    """Every object that is not the same on all sides. What is missing only because the thing
    that it lies in is missing there, and is the same elsewhere, is not told again."""
    schemas = _alike_extensions(schemas)
    groups = {}
    for key in sorted({key for schema in schemas for key in schema}, key=_place):
        found = _grouped(key, schemas)
        if len(found) > 1:
            groups[key] = found
    return [
        {"kind": key.kind, "name": key.name, "groups": _told(key, found, schemas, labels)}
        for key, found in groups.items()
        if not _follows(key, found, schemas, groups)
    ]


def _alike_extensions(schemas: Sequence[Schema]) -> list[Schema]:
    """Without the members of extensions that are not the same on all sides."""
    first, *others = schemas
    for other in others:
        first, _ = comparable(first, other)
    return [first, *(comparable(other, schemas[0])[0] for other in others)]


def _grouped(key: ObjectKey, schemas: Sequence[Schema]) -> list[list[Rank]]:
    """Each side joins the first group with whose first side it agrees."""
    groups: list[list[Rank]] = []
    for rank, schema in enumerate(schemas):
        for group in groups:
            if _same(key, schemas[group[0]].get(key), schema.get(key)):
                group.append(rank)
                break
        else:
            groups.append([rank])
    return groups


def _follows(
    key: ObjectKey, found: list[list[Rank]], schemas: Sequence[Schema],
    groups: Mapping[ObjectKey, list[list[Rank]]],
) -> bool:  # fmt: skip
    if len(found) != 2:
        return False
    lacking = {rank for rank, schema in enumerate(schemas) if key not in schema}
    if not lacking:
        return False
    holder = next(schema for schema in schemas if key in schema)
    return any(
        outer in groups
        and lacking == {rank for rank, schema in enumerate(schemas) if outer not in schema}
        for outer in holder[key].inside
    )


def _told(
    key: ObjectKey, found: list[list[Rank]], schemas: Sequence[Schema], labels: Sequence[str]
) -> list[ObjectGroup]:
    heads = [schemas[group[0]].get(key) for group in found]
    names: dict[str, None] = {}
    for one, two in combinations([head for head in heads if head is not None], 2):
        differ = compare_properties(key.kind, one.properties, two.properties)
        names |= {item["property"]: None for item in differ}
    return [
        {
            "sides": [labels[rank] for rank in group],
            "values": _picked(key, head, list(names) or None),
        }
        for group, head in zip(found, heads, strict=True)
    ]


def _same(key: ObjectKey, one: Described | None, two: Described | None) -> bool:
    if one is None or two is None:
        return one is two
    return not compare_properties(key.kind, one.properties, two.properties)


def _place(key: ObjectKey) -> tuple[int, str, str]:
    """The order of the report."""
    return RANKS.get(key.kind, len(RANKS)), key.kind, key.name
