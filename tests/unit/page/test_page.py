"""The page of a comparison: nothing on it comes from data but text, and all of the report is."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cowdb.controller.diff.model import Report
from cowdb.controller.diff.page.render import page
from cowdb.controller.diff.page.text import plain
from tests.reports import (
    HOSTILE,
    SQL,
    THREE_SIDES,
    TWO_SIDES,
    changed,
    hostile_report,
    part,
    report,
    statement,
    whole,
)
from tests.unit.page.parsed import Parsed, parse

NOW = datetime(2026, 11, 20, 8, 50, tzinfo=UTC)

_NASTY = st.sampled_from([*HOSTILE, "<evil onload=evil>", "' evil=\"", "\u202e", "\x00", "&", "\n"])
TEXT = st.lists(_NASTY | st.text(max_size=8), min_size=1, max_size=3).map("".join)
LABEL = TEXT.filter(str.strip)
CELL = st.none() | TEXT
VALUE = CELL | st.booleans() | st.integers() | st.lists(TEXT, max_size=3)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    one, two = draw(st.lists(LABEL, min_size=2, max_size=2, unique=True))
    values = draw(st.lists(VALUE, min_size=2, max_size=2, unique_by=repr))  # or nothing differs
    schema = [
        changed(draw(TEXT), draw(TEXT), (draw(TEXT), *values), side=two),
        whole("added", draw(TEXT), draw(TEXT), two, **{draw(TEXT): draw(VALUE)},
              contains=[part(draw(TEXT), draw(TEXT), **{draw(TEXT): draw(VALUE)})]),
    ]  # fmt: skip
    key, column = draw(st.lists(TEXT, min_size=2, max_size=2, unique=True))
    cells, identity = [draw(CELL), draw(CELL)], {key: draw(CELL)}
    sample = [
        {"change": "changed", "key": identity, "columns": {column: cells}},
        {"change": "added", "key": identity, "row": identity | {column: draw(CELL)}},
    ]  # fmt: skip
    rows = {"table": draw(TEXT), "side": two, "key": [key], "added": 1, "removed": 0, "changed": 1,
            "columns": {column: 1}, "sample": sample}  # fmt: skip
    return report(
        sides=[one, two], schema=schema, rows=[rows], not_compared=[draw(TEXT)],
        counts=[{"table": draw(TEXT), "counts": [1, 2], "exact": draw(st.booleans()),
                 "method": draw(TEXT)}],
        sql=[statement(draw(TEXT), draw(TEXT), draw(TEXT), reason=draw(TEXT), lock=draw(TEXT),
                       long_lock=draw(st.booleans()), in_transaction=draw(st.booleans()))],
        method={draw(TEXT): "full-scan"},
    )  # fmt: skip


TAGS = """
a article b body br button caption code col colgroup dd del details div dl dt footer h1 h2 h3 h4
head header html i input ins kbd label li link main meta nav output p path circle pre script
section span strong style summary svg table tbody td th thead time title tr ul
"""
ATTRIBUTES = """
aria-describedby aria-hidden aria-keyshortcuts aria-label aria-labelledby aria-pressed autocomplete
charset class colspan content cx cy d data-c datetime fill focusable for height hidden href
http-equiv id lang name open placeholder r rel role rowspan scope spellcheck stroke stroke-linecap
stroke-width tabindex type viewbox width
"""
ODD = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff]"
)


def assert_only_our_own(text: str) -> Parsed:
    """No element, attribute or character that acts comes from data."""
    parsed = parse(text)
    assert {name for name, _ in parsed.elements} <= set(TAGS.split())
    assert {name for _, attributes in parsed.elements for name in attributes} <= set(
        ATTRIBUTES.split()
    )
    for link in (*parsed.named("a"), *parsed.named("link")):
        assert (link["href"] or "").startswith(("#", "data:image/svg+xml;base64,"))
    clean = parse(page(TWO_SIDES, NOW))
    assert parsed.raw == clean.raw, "the script or the style sheet is another one"
    for name in ("script", "style", "meta", "title"):
        assert len(parsed.named(name)) == len(clean.named(name))
    assert not ODD.search(text)
    text.encode()
    return parsed


def ids_are_unique(parsed: Parsed) -> bool:
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    return len(ids) == len(set(ids))


def test_a_hostile_report_is_only_text() -> None:
    parsed = assert_only_our_own(page(hostile_report(), NOW))
    for text in HOSTILE:
        assert squeezed(text) in squeezed(parsed.text)


# Each example renders a whole page and reads it again: forty take about a second.
@settings(max_examples=40, deadline=None)
@given(reports())
def test_whatever_the_data_is_the_page_shows_it_as_text(found: Report) -> None:
    parsed = assert_only_our_own(page(found, NOW))
    assert ids_are_unique(parsed)
    told = squeezed(parsed.text)
    for text in texts(found):
        for line in text.split("\n"):
            assert squeezed(line) in told


def squeezed(text: str) -> str:
    """Without spaces and line breaks: lines may be apart, and spaces may be made visible."""
    return re.sub(r"\s|\N{OPEN BOX}|\\n", "", plain(text))


def texts(found: Report) -> Iterator[str]:
    """Every name and value in a report, but for unchanged lines and lists."""
    yield from found["sides"]
    yield from found["not_compared"]
    yield from found["method"]
    for item in found["schema"]:
        yield item["name"]
        details = item["details"]
        if isinstance(details, list):
            for line in details:
                yield line["property"]
                yield from flat(line["values"])
        else:
            for name, value in details.items():
                if name == "contains":
                    for inner in value:  # type: ignore[union-attr]
                        yield from flat(list(inner["details"].values()))  # type: ignore[index]
                else:
                    yield from flat([value])
    for line in found["counts"]:
        yield line["table"]
    for entry in found.get("sql", []):
        yield from (entry["statement"], entry["kind"], entry["name"], entry["reason"])
        yield entry["lock"] if entry["statement"] and entry["long_lock"] else ""
    for rows in found["rows"]:
        yield rows["table"]
        yield from rows["key"]
        for row in rows["sample"]:
            yield from flat(list(row["key"].values()))
            yield from flat([v for pair in row.get("columns", {}).values() for v in pair])
            yield from flat(list(row.get("row", {}).values()))


def flat(values: object) -> Iterator[str]:
    if isinstance(values, str):
        yield values
    elif isinstance(values, list):
        for item in values:
            yield from flat(item)


@pytest.mark.parametrize("found", [TWO_SIDES, THREE_SIDES], ids=["two", "three"])
def test_all_of_a_report_is_on_the_page(found: Report) -> None:
    parsed = assert_only_our_own(page(found, NOW))
    assert ids_are_unique(parsed)
    told = squeezed(parsed.text)
    same = {line for text in texts(found) for line in text.split("\n") if "users.country" in line}
    for text in texts(found):
        for line in text.split("\n"):
            assert line in same or squeezed(line) in told


@pytest.mark.parametrize(
    "found",
    [TWO_SIDES, THREE_SIDES, report(identical=True), report(identical=True, timings_ms={})],
    ids=["two", "three", "same", "nothing"],
)
def test_every_link_leads_somewhere(found: Report) -> None:
    parsed = parse(page(found, NOW))
    targets = {attributes.get("id") for _, attributes in parsed.elements}
    links = [link["href"] for link in parsed.named("a")]
    assert len(links) >= 3
    for link in links:
        assert (link or "")[1:] in targets


def test_what_three_sides_did_is_told_conflicts_first() -> None:
    text = parse(page(THREE_SIDES, NOW)).text
    since = THREE_SIDES["since"]
    assert since is not None
    for value in ("Anna", "Anne", "public.legacy_import.note", "+1 of this row", "as it was"):
        assert value in text
    assert text.index("public.legacy_import") < text.index("public.users_email_idx")
    assert "They differ, and changes collide" in text
    assert "3 conflicts since main@before-v2" in text


def test_the_policy_names_the_digests_of_what_the_page_holds() -> None:
    parsed = parse(page(TWO_SIDES, NOW))
    (policy,) = [m["content"] for m in parsed.named("meta") if m.get("http-equiv")]
    assert policy is not None
    assert "unsafe" not in policy
    assert "http" not in policy
    for kind in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(parsed.raw[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_nothing_on_the_page_is_fetched() -> None:
    text = page(TWO_SIDES, NOW)
    assert not re.search(r"\bsrc=|@import|url\(|https?://(?!www\.w3\.org/2000/svg)", text)


def test_a_sample_says_how_much_it_is_of() -> None:
    assert "3 of 1,015 shown" in parse(page(TWO_SIDES, NOW)).text
    text = parse(page(THREE_SIDES, NOW)).text
    assert "3 of 13 changes shown" in text  # two sides changed one row, one removed another
    assert "1 of 1 change" not in text
    assert "1 of 11 shown" in text


def test_a_sample_says_the_way_to_more() -> None:
    assert "3 of 1,015 shown (more: --sample N, up to 10,000)." in parse(page(TWO_SIDES, NOW)).text


def many_rows(number: int) -> Report:
    sample = [{"change": "added", "key": {"id": str(n)}, "row": {"id": str(n), "v": f"row-{n}"}}
              for n in range(number)]  # fmt: skip
    rows = {"table": "t", "side": "try-a", "key": ["id"], "added": number, "removed": 0,
            "changed": 0, "columns": {}, "sample": sample}  # fmt: skip
    return report(rows=[rows])


def test_a_long_sample_comes_in_portions_that_are_closed_but_for_the_first() -> None:
    parsed = parse(page(many_rows(450), NOW))
    assert ids_are_unique(parsed)
    portions = [item for item in parsed.named("details") if item.get("class") == "portion"]
    assert len(portions) == 2
    assert not any("open" in item for item in portions)
    assert "Rows 401 to 450 of 450" in parsed.text
    assert [f"row-{n}" for n in range(450)] == re.findall(r"\brow-\d+", parsed.text)
    assert "of 450 shown" not in parsed.text
    assert "portion" not in {item.get("class") for item in parse(page(many_rows(200), NOW))
                             .named("details")}  # fmt: skip


def test_versions_of_many_rows_come_in_portions() -> None:
    line = {"table": "t", "key": ["id"], "sides": ["a", "b", "c"], "different": 201,
            "patterns": [{"groups": [["a", "b"], ["c"]], "rows": 201}],
            "sample": [{"key": {"id": str(n)},
                        "groups": [{"sides": ["a", "b"], "values": {"v": "x"}},
                                   {"sides": ["c"], "values": {"v": "y"}}]}
                       for n in range(201)]}  # fmt: skip
    found = report(sides=["a", "b", "c"], matrix={"schema": [], "counts": [], "rows": [line]})
    assert "Rows 201 to 201 of 201" in parse(page(found, NOW)).text


def test_an_empty_sample_still_says_how_many_rows_differ() -> None:
    rows = {"table": "t", "side": "try-a", "key": ["id"], "added": 7, "removed": 0,
            "changed": 0, "columns": {}, "sample": []}  # fmt: skip
    assert "0 of 7 shown" in parse(page(report(rows=[rows]), NOW)).text


def test_a_migration_is_told_with_its_marks_and_where_to_run_it() -> None:
    parsed = assert_only_our_own(page(report(sql=SQL), NOW))
    text = parsed.text
    assert "3 statements to run on main@before-v2, in this order" in text
    assert "it then has the schema of try-a" in text
    for mark in ("loses data", "rewrites the table", "long lock (ACCESS EXCLUSIVE)",
                 "before the transaction", "the column's values are lost",
                 "other databases may need it"):  # fmt: skip
        assert text.count(mark) == 1
    assert text.index("ADD VALUE") < text.index("DROP COLUMN legacy_flag;") < text.index("TYPE num")
    assert text.index("Not done") < text.index("old_app")


def test_a_migration_is_there_only_where_it_was_asked_for() -> None:
    assert "Migration" not in parse(page(TWO_SIDES, NOW)).text
    text = parse(page(report(sql=[]), NOW)).text
    assert "There is no statement to run on main@before-v2." in text


def test_how_rows_were_counted_is_told_apart_from_how_they_were_read() -> None:
    counts = [{"table": "public.kept", "counts": [1, 1], "exact": True,
               "method": "unchanged-blocks"}]  # fmt: skip
    how = parse(page(report(counts=counts, method={"public.read": "full-scan"}), NOW)).text
    how = how[how.rindex("How it was read") :]
    assert how.index("Numbers of rows") < how.index("public.kept") < how.index("public.read")
    assert "which has been counted" in how
    assert "Every row was read." in how
    assert "Every row was counted." not in how


def test_rows_are_in_the_order_of_their_keys() -> None:
    keys = ["10", "-3", "9", None, "b", "a"]
    sample = [{"change": "added", "key": {"id": key}, "row": {"id": key, "v": "x"}} for key in keys]
    rows = {"table": "t", "side": "try-a", "key": ["id"], "added": 6, "removed": 0, "changed": 0,
            "columns": {}, "sample": sample}  # fmt: skip
    text = page(report(rows=[rows]), NOW)
    found = re.findall(r'scope="row" class="k">(?:<i class=nil>)?([^<]*)', text)
    assert found == ["-3", "9", "10", "a", "b", "NULL"]


def test_what_was_not_asked_for_is_not_called_the_same() -> None:
    found = report(identical=True, timings_ms={"counts": 1.0},
                   counts=[{"table": "t", "counts": [1, 1], "exact": True}],
                   not_compared=["schema: not asked for"])  # fmt: skip
    text = parse(page(found, NOW)).text
    assert "No difference in what was compared" in text
    assert "schema: not asked for" in text
    assert "differ in the schema" not in text


def test_nothing_compared_is_said() -> None:
    text = parse(page(report(identical=True, timings_ms={}), NOW)).text
    assert "Nothing was compared" in text


def test_renamed_tables_and_why_a_table_was_read_whole() -> None:
    found = report(
        schema=[changed("table", "public.old", ("name", "public.old", "public.new"))],
        method={"public.old": "full-scan"},
        why_full_scan={"public.old": "its relation file is another one"},
        renamed=[{"kind": "table", "side": "try-a", "names": ["public.old", "public.new"]}],
    )
    text = parse(page(found, NOW)).text
    assert "public.old is called public.new on try-a." in text
    assert "public.old its relation file is another one" in text


def test_the_time_is_told_in_utc() -> None:
    east = timezone(timedelta(hours=5))
    text = page(TWO_SIDES, datetime(2026, 11, 20, 3, 5, tzinfo=east))
    assert "19 November 2026, 22:05 UTC" in text


def test_a_value_of_a_million_characters_does_not_make_the_page_large() -> None:
    value = "x" * 1_000_000
    row = {"change": "added", "key": {}, "row": {"v": value}}
    rows = {"table": "t", "side": "try-a", "key": [], "added": 1, "removed": 0, "changed": 0,
            "columns": {}, "sample": [row]}  # fmt: skip
    schema = [changed("table", "t", ("comment", value + "a", value + "b"))]
    text = page(report(rows=[rows], schema=schema), NOW)
    assert "990,000 characters more, see --json" in text
    assert len(text) < 150_000


def test_of_a_text_of_very_many_lines_the_page_says_what_is_missing() -> None:
    one, two = ("\n".join(f"{word} {n}" for n in range(5_000)) for word in ("a", "b"))
    text = parse(page(report(schema=[changed("function", "f()", ("body", one, two))]), NOW)).text
    assert "7,000 lines more, see --json" in text
    assert "a 2999" in text
    assert "a 3000" not in text


def test_values_that_differ_only_in_spaces_look_different() -> None:
    text = page(report(schema=[changed("column", "t.a", ("default", "x", "x "))]), NOW)
    assert "\N{OPEN BOX}" in text
