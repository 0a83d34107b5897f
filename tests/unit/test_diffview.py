"""The text that a person gets to see of a comparison."""

from __future__ import annotations

import click

from cowdb.cli.diffview import render
from cowdb.controller.diff.model import Report


def report(**parts: object) -> Report:
    whole: Report = {
        "sides": ["main", "pr-42"],
        "identical": False,
        "schema": [],
        "counts": [],
        "rows": [],
        "method": {},
        "not_compared": [],
        "timings_ms": {"schema": 1.0, "counts": 1.0, "total": 2.0},
        "matrix": None,
        "ancestor": {"ref": None, "reason": "not asked for (--ancestor)"},
        "since": None,
    }
    whole.update(parts)  # type: ignore[typeddict-item]
    return whole


def changed(kind: str, name: str, *properties: tuple[str, object, object]) -> dict[str, object]:
    details = [{"property": p, "values": [old, new]} for p, old, new in properties]
    return {"kind": kind, "name": name, "change": "changed", "side": "pr-42", "details": details}


def test_nothing_differs() -> None:
    text = render(
        report(
            identical=True,
            counts=[{"table": "public.t", "counts": [3, 3], "exact": True}],
            not_compared=["row contents: not asked for"],
        ),
        color=False,
    )
    assert text == (
        "main and pr-42: no difference\n"
        "  schema     the same\n"
        "  counts     the same in 1 table\n"
        "\n"
        "not compared: row contents: not asked for\n"
    )


def test_an_added_column_reads_like_its_definition() -> None:
    details = {"type": "text", "default": "'standard'", "not_null": True, "comment": None}
    change = {"kind": "column", "name": "public.users.premium_level", "change": "added",
              "side": "pr-42", "details": details}  # fmt: skip
    lines = render(report(schema=[change]), color=False).splitlines()
    assert lines[:2] == ["main and pr-42: different", "  schema     1 difference (1 added)"]
    assert lines[4] == "+ column public.users.premium_level text not null default 'standard'"


def test_an_added_table_shows_what_it_contains() -> None:
    details = {
        "owner": "x",
        "contains": [
            {"kind": "column", "name": "public.t.a", "details": {"type": "integer"}},
            {
                "kind": "constraint",
                "name": "public.t.k",
                "details": {"definition": "CHECK (a > 0)"},
            },
        ],
    }
    change = {"kind": "table", "name": "public.t", "change": "removed", "side": "x",
              "details": details}  # fmt: skip
    assert render(report(schema=[change]), color=False).strip().split("\n\n")[1] == (
        "- table public.t\n    - column a integer\n    - constraint k CHECK (a > 0)"
    )


def test_changed_properties() -> None:
    one = changed("column", "public.t.a", ("type", "integer", "bigint"))
    two = changed("table", "public.t", ("owner", "x", "y"), ("comment", None, "new"),
                  ("row_security", False, True), ("options", [], ["a=1", "b=2"]))  # fmt: skip
    assert render(report(schema=[one, two]), color=False).strip().split("\n\n")[1] == (
        "~ column public.t.a: type: integer -> bigint\n"
        "~ table public.t\n"
        "    owner: x -> y\n"
        "    comment: none -> new\n"
        "    row_security: no -> yes\n"
        "    options: [] -> [a=1, b=2]"
    )


def test_of_a_long_text_only_the_changed_lines_are_shown() -> None:
    body = [f"line {number}" for number in range(50)]
    other = [*body[:20], "another", *body[21:]]
    change = changed("function", "public.f()", ("body", "\n".join(body), "\n".join(other)))
    text = render(report(schema=[change]), color=False)
    assert "        -line 20\n        +another\n" in text
    assert "line 18" not in text


def test_only_differing_counts_are_listed() -> None:
    counts = [
        {"table": "public.a", "counts": [1, 1], "exact": True},
        {"table": "public.b", "counts": [1234567, 1234568], "exact": True},
        {"table": "public.c", "counts": [5, None], "exact": True},
    ]
    lines = render(report(counts=counts), color=False).splitlines()
    assert lines[2] == "  counts     2 of 3 tables differ"
    lines = lines[2:]
    assert lines[2].split() == ["rows", "in", "main", "pr-42"]
    assert [line.split() for line in lines[4:6]] == [
        ["public.b", "1,234,567", "1,234,568"],
        ["public.c", "5", "-"],
    ]
    assert lines[6] == "1 table more with the same number of rows on every side"


OBJECTS = [
    {"kind": "column", "name": "public.t.a",
     "groups": [{"sides": ["a", "c"], "values": {"type": "integer"}},
                {"sides": ["pr-42"], "values": {"type": "bigint"}}]},
    {"kind": "table", "name": "public.new",
     "groups": [{"sides": ["a", "pr-42"], "values": None}, {"sides": ["c"], "values": {}}]},
]  # fmt: skip
ROWS = {
    "table": "public.t", "key": ["id"], "sides": ["a", "pr-42", "c"], "different": 1200,
    "patterns": [{"groups": [["a"], ["pr-42", "c"]], "rows": 1200}], "sample": [],
}  # fmt: skip


def three(**parts: object) -> Report:
    matrix = {"schema": OBJECTS, "counts": [], "rows": [ROWS]}
    return report(sides=["a", "pr-42", "c"], matrix=matrix, **parts)


def test_three_sides_are_one_matrix() -> None:
    """Letters say who agrees; the differences of each pair are details."""
    change = changed("column", "public.t.a", ("type", "integer", "bigint"))
    counts = [{"table": "public.b", "counts": [1, 1, 2], "exact": True}]
    why = {"ref": None, "reason": "they come from different sources"}
    text = render(three(schema=[change], counts=counts, ancestor=why), color=False)
    head, matrix, numbers, *_ = text.split("\n\n")
    assert head.splitlines() == [
        "a, pr-42 and c: different",
        "  ancestor   none: they come from different sources",
        "  schema     2 objects not the same everywhere",
        "  counts     1 of 1 table differ",
    ]
    assert [line.split() for line in matrix.splitlines()[2:]] == [
        ["column", "public.t.a", "a", "b", "a"],
        ["table", "public.new", "-", "-", "a"],
        ["1,200", "of", "public.t", "a", "b", "b"],
    ]
    assert numbers.splitlines()[2].split() == ["public.b", "1", "1", "2"]
    assert "integer -> bigint" not in text
    details = render(three(schema=[change]), color=False, details=True)
    assert "~ column public.t.a [pr-42]: type: integer -> bigint" in details
    assert "ancestor" not in details  # none was asked for


def since(**parts: object) -> dict[str, object]:
    return {"conflicts": 0, "schema": [], "counts": [], "rows": [], **parts}


def row(key: str, conflict: bool, **became: object) -> dict[str, object]:
    return {"key": {"id": key}, "by": list(became), "conflict": conflict, "was": {"v": "x"},
            "became": became, "collide": ["v"] if conflict else []}  # fmt: skip


TABLE = {
    "table": "public.t", "key": ["id"], "by": ["a", "b"], "conflict": True,
    "changes": {"a": {"added": 1, "removed": 2, "changed": 3000},
                "b": {"added": 0, "removed": 0, "changed": 1}},
    "conflicts": 2, "agreed": 1, "columns": {"v": 1}, "against": [],
    "sample": [row("7", True, a={"v": "y"}, b={"v": "z"}), row("8", True, a=None, b={"v": "z"}),
               row("9", False, a={"v": "w"})],
}  # fmt: skip


def with_ancestor(**parts: object) -> Report:
    return report(sides=["a", "b"], ancestor={"ref": "main@s", "reason": ""},
                  since=since(**parts), timings_ms={"schema": 1.0, "rows": 1.0})  # fmt: skip


def test_since_an_ancestor_conflicts_come_first() -> None:
    column = {"kind": "column", "name": "public.t.c", "by": ["a", "b"], "conflict": False,
              "was": None, "became": {"a": {"type": "int"}, "b": {"type": "int"}}, "collide": [],
              "against": [], "contains": []}  # fmt: skip
    found = with_ancestor(conflicts=2, schema=[column], rows=[TABLE])
    head, matrix, conflicts = render(found, color=False).strip().split("\n\n")
    assert head.splitlines() == [
        "a and b, since main@s: not everything could be read",  # nothing differs between them
        "  conflicts  2",
        "  schema     1 object changed, 1 alike on several sides",
        "  rows       changed in 1 table, 2 in conflict, 1 alike on several sides",
    ]
    lines = [line.split("  ") for line in matrix.splitlines()]
    told = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert told[0] == ["since main@s", "a", "b"]
    assert told[2:] == [
        ["rows of public.t", "+1 -2 ~3,000", "~1", "2 in conflict (v); 1 alike"],
        ["column public.t.c", "+", "+", "alike"],
    ]
    assert conflicts.splitlines() == [
        "! public.t id=7", "    was v=x", "    a: v=y", "    b: v=z",
        "! public.t id=8", "    was v=x", "    a: removed it", "    b: v=z",
    ]  # fmt: skip
    assert "  public.t id=9\n    was v=x\n    a: v=w\n" in render(found, color=False, details=True)


def test_an_ancestor_that_is_a_side_has_no_column_among_the_changes() -> None:
    found = with_ancestor(conflicts=2, rows=[TABLE])
    found["sides"] = ["main@s", "a", "b"]
    head, matrix, *_ = render(found, color=False).split("\n\n")
    assert head.startswith("a and b, since main@s: ")
    assert matrix.splitlines()[0].split() == ["since", "main@s", "a", "b"]


def test_a_conflict_stands_out() -> None:
    text = render(with_ancestor(conflicts=1, rows=[TABLE]), color=True)
    assert "  conflicts  \x1b[31m\x1b[1m1\x1b[0m\n" in text
    assert "\x1b[31m\x1b[1m! public.t id=7\x1b[0m\n" in text
    none = render(with_ancestor(), color=True)
    assert "  conflicts  none\n" in none


def test_against_a_dropped_table_and_without_a_key() -> None:
    dropped = {**TABLE, "conflicts": 0, "agreed": 0, "columns": {}, "sample": [],
               "changes": {"b": {"added": 5, "removed": 0, "changed": 0}}, "by": ["b"],
               "against": [{"side": "a", "kind": "table", "name": "public.t",
                            "change": "removed"}]}  # fmt: skip
    loose = {**TABLE, "table": "public.loose", "key": [], "conflict": None, "conflicts": None,
             "agreed": None, "columns": {}, "sample": []}  # fmt: skip
    text = render(with_ancestor(conflicts=1, rows=[loose, dropped]), color=False)
    lines = [line.split() for line in text.splitlines() if line.startswith("rows of")]
    assert lines[0][:5] == ["rows", "of", "public.t", "dropped", "+5"]
    assert " ".join(lines[0][5:]) == "against table public.t removed by a"
    assert " ".join(lines[1][-6:]) == "no key: conflicts cannot be told"


def test_the_ancestor_has_a_column_of_its_own_among_the_counts() -> None:
    counts = [{"table": "public.t", "counts": [2, 2], "exact": True},
              {"table": "public.u", "counts": [1, 1], "exact": True}]  # fmt: skip
    line = {"table": "public.t", "by": ["a", "b"], "was": 1, "became": {"a": 2, "b": 2},
            "conflict": False}  # fmt: skip
    found = with_ancestor(counts=[line])
    found["counts"] = counts  # type: ignore[typeddict-item]
    text = render(found, color=False)
    assert ["rows", "in", "main@s", "a", "b"] in [line.split() for line in text.splitlines()]
    assert ["public.t", "1", "2", "2"] in [line.split() for line in text.splitlines()]
    assert "1 table more with the same number of rows on every side" in text


def test_more_than_a_screenful_is_told_on_request() -> None:
    changes = [changed("column", f"public.t.c{n}", ("type", "a", "b")) for n in range(100)]
    notes = [f"note {n}" for n in range(50)]
    short = render(report(schema=changes, not_compared=notes), color=False)
    assert "... 40 lines more (--details)\n" in short
    assert "... 38 notes more (--details)\n" in short
    long = render(report(schema=changes, not_compared=notes), color=False, details=True)
    assert "--details" not in long
    assert "c99" in long and "note 49" in long


def sampled(kept: int, differing: int) -> Report:
    sample = [{"change": "added", "key": {"id": str(n)}, "row": {"id": f"row {n}"}}
              for n in range(kept)]  # fmt: skip
    line = {"table": "public.t", "side": "try-a", "key": ["id"], "added": differing, "removed": 0,
            "changed": 0, "columns": {}, "sample": sample}  # fmt: skip
    return report(rows=[line])


def test_rows_that_are_not_shown_have_a_way_to_them() -> None:
    assert "... 95 more (--details)\n" in render(sampled(20, 100), color=False)
    long = render(sampled(20, 100), color=False, details=True)
    assert "id=row 19\n" in long
    assert "... 80 more (--sample N)\n" in long
    assert "... 100 more (--sample N)\n" in render(sampled(0, 100), color=False)
    assert "more" not in render(sampled(100, 100), color=False, details=True)
    most = render(sampled(10_000, 10_001), color=False, details=True)
    assert "... 1 more\n" in most  # there is no way to more


def test_conflicts_that_are_not_in_the_sample_have_a_way_to_them() -> None:
    rows = [row("1", True, **{"try-a": {"name": "x"}}), row("2", False, **{"try-a": {"name": "y"}})]
    line = {"table": "public.t", "key": ["id"], "by": ["try-a"], "conflict": True,
            "changes": {"try-a": {"added": 0, "removed": 0, "changed": 9}}, "conflicts": 2,
            "agreed": 0, "columns": {}, "against": [], "sample": rows}  # fmt: skip
    for details in (False, True):
        text = render(with_ancestor(conflicts=2, rows=[line]), color=False, details=details)
        assert "... 1 more of public.t in conflict (--sample N)\n" in text


def test_what_was_not_asked_for_is_not_called_the_same() -> None:
    text = render(report(identical=True, timings_ms={"counts": 1.0}), color=False)
    assert "schema" not in text


def test_colours_only_when_asked() -> None:
    change = changed("column", "public.t.a", ("type", "integer", "bigint"))
    plain, colored = (render(report(schema=[change]), color=color) for color in (False, True))
    assert "\x1b" not in plain
    assert "\x1b" in colored
    assert click.unstyle(colored) == plain


def test_names_cannot_write_to_the_terminal() -> None:
    evil = "public.\x1b[2Jt\r"
    change = changed(
        "column", evil, ("default", "\x1b]0;x", "\x07"), ("body", "a\n\x1b", "b\n\x1b")
    )
    counts = [{"table": evil, "counts": [1, 2], "exact": True}]
    text = render(
        report(sides=["a\x1b", "b"], schema=[change], counts=counts, not_compared=[evil]),
        color=False,
    )
    assert all(character.isprintable() or character == "\n" for character in text)
    assert "\\x1b[2Jt" in text


def test_names_of_many_sides_cannot_write_to_the_terminal() -> None:
    evil = "e\x1b[2J\r"
    thing = {"kind": "table", "name": evil, "by": [evil], "conflict": True, "was": {evil: evil},
             "became": {evil: {evil: evil}}, "collide": [evil],
             "against": [{"side": evil, "kind": "table", "name": evil, "change": "removed"}],
             "contains": [evil]}  # fmt: skip
    line = {"table": evil, "key": [evil], "by": [evil], "conflict": True, "conflicts": 1,
            "changes": {evil: {"added": 1, "removed": 0, "changed": 0}}, "agreed": 0,
            "columns": {evil: 1}, "against": thing["against"],
            "sample": [{"key": {evil: evil}, "by": [evil], "conflict": True, "was": {evil: evil},
                        "became": {evil: {evil: evil}}, "collide": [evil]}]}  # fmt: skip
    parts = {"sides": [evil, "b", "c"], "ancestor": {"ref": evil, "reason": ""}}
    told = report(**parts, since=since(schema=[thing], rows=[line]))
    group = {"kind": "table", "name": evil, "groups": [{"sides": [evil], "values": None}]}
    table = {**ROWS, "table": evil, "sides": [evil]}
    reason = {"ref": None, "reason": evil}
    matrix = {"schema": [group], "counts": [], "rows": [table]}
    grouped = report(sides=[evil, "b", "c"], ancestor=reason, matrix=matrix)
    for found in (told, grouped):
        text = render(found, color=False, details=True)
        assert "e\\x1b[2J" in text
        assert all(character.isprintable() or character == "\n" for character in text)
