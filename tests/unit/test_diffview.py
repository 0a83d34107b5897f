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
        "main and pr-42: the same schema; the same number of rows in 1 table\n"
        "\n"
        "not compared: row contents: not asked for\n"
    )


def test_an_added_column_reads_like_its_definition() -> None:
    details = {"type": "text", "default": "'standard'", "not_null": True, "comment": None}
    change = {"kind": "column", "name": "public.users.premium_level", "change": "added",
              "side": "pr-42", "details": details}  # fmt: skip
    lines = render(report(schema=[change]), color=False).splitlines()
    assert lines[0].startswith("main and pr-42: 1 difference in the schema (1 added); ")
    assert lines[2] == "+ column public.users.premium_level text not null default 'standard'"


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
    assert lines[0].endswith("2 of 3 tables with another number of rows")
    assert lines[2].split() == ["rows", "in", "main", "pr-42"]
    assert [line.split() for line in lines[4:6]] == [
        ["public.b", "1,234,567", "1,234,568"],
        ["public.c", "5", "-"],
    ]
    assert lines[6] == "1 table more with the same number of rows on every side"


def test_with_three_sides_each_line_says_whose_it_is() -> None:
    change = changed("column", "public.t.a", ("type", "integer", "bigint"))
    counts = [{"table": "public.b", "counts": [1, 1, 2], "exact": True}]
    text = render(report(sides=["a", "pr-42", "c"], schema=[change], counts=counts), color=False)
    assert "~ column public.t.a [pr-42]: type: integer -> bigint" in text
    assert text.startswith("a and pr-42, c: ")


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
