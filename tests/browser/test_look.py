"""How the page looks: its widths, its colours, on paper, and to those who do not see it."""

from __future__ import annotations

import itertools
from importlib.resources import files
from pathlib import Path

import pytest

from cowdb.controller.diff.model import Report
from tests.browser.chromium import command
from tests.browser.conftest import Reader
from tests.reports import THREE_SIDES, TWO_SIDES

CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("colors", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_every_text_can_be_read(
    reader: Reader, each_report: Report, colors: str, width: int
) -> None:
    reader.open(each_report, colors=colors, width=width)
    contrasts = reader.evaluate(CONTRAST)
    assert isinstance(contrasts, list)
    assert len(contrasts) > 30
    assert [item for item in contrasts if item[1] < 4.5] == []


@pytest.mark.parametrize("colors", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing(reader: Reader, each_report: Report, colors: str, width: int) -> None:
    reader.open(each_report, colors=colors, width=width)
    reader.walk()
    axe = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    command(reader.driver, "Runtime.evaluate", expression=axe)  # the policy lets no script in
    found = reader.driver.execute_async_script(
        "const done = arguments[0]; axe.run().then(r => done(r.violations.map("
        "v => [v.id, v.nodes.slice(0, 3).map(n => n.html.slice(0, 200))])))"
    )
    assert found == []


@pytest.mark.parametrize("width", [1280, 700, 360])
def test_the_page_never_scrolls_sideways(reader: Reader, each_report: Report, width: int) -> None:
    reader.open(each_report, width=width)
    reader.walk()
    assert reader.js("document.documentElement.scrollWidth") == width


def test_the_page_follows_the_system(reader: Reader) -> None:
    seen = {}
    for colors in ("light", "dark"):
        reader.open(TWO_SIDES, colors=colors)
        seen[colors] = reader.js("getComputedStyle(document.body).backgroundColor")
        assert reader.js("matchMedia('(prefers-color-scheme: dark)').matches") is (colors == "dark")
    assert seen == {"light": "rgb(247, 248, 250)", "dark": "rgb(20, 23, 28)"}


def test_paper_is_white_and_has_no_tools(reader: Reader) -> None:
    reader.open(TWO_SIDES, colors="dark", media="print")
    assert reader.js("getComputedStyle(document.documentElement).colorScheme") == "light"
    assert reader.shown("nav, .tools, .theme") == []
    assert reader.shown("#not-compared h2") == ["Not compared"]


def test_nothing_moves_for_those_who_ask_for_that(reader: Reader) -> None:
    behavior = "getComputedStyle(document.documentElement).scrollBehavior"
    reader.open(TWO_SIDES)
    assert reader.js(behavior) == "smooth"
    reader.open(TWO_SIDES, motion="reduce")
    assert reader.js(behavior) == "auto"


def test_without_scripts_everything_is_there(reader: Reader) -> None:
    reader.open(TWO_SIDES, scripts=False)
    nodes = _tree(reader)
    names = {name for _, name in nodes}
    assert "Search objects, tables and values" not in names
    assert not [role for role, _ in nodes if role in ("button", "searchbox")]
    assert {"public.customer_summary", "gone@example.com", "Not compared"} <= names


def test_what_a_screen_reader_is_told(reader: Reader) -> None:
    reader.open(TWO_SIDES)
    nodes = _tree(reader)
    for expected in [
        ("banner", ""),
        ("search", ""),
        ("navigation", "Contents"),
        ("main", ""),
        ("contentinfo", ""),
        ("searchbox", "Search objects, tables and values"),
        ("button", "Dark"),
        ("group", "Show only"),
        ("link", "Skip to the differences"),
        ("heading", "main@before-v2 and try-a"),
        ("heading", "They differ"),
        ("region", "Not compared"),
        ("article", "added table public.loyalty"),
        ("columnheader", "email"),
        ("rowheader", "type"),
        ("deletion", ""),
        ("insertion", ""),
    ]:
        assert expected in nodes
    assert [
        name for role, name in nodes if role in ("button", "link", "heading") and not name
    ] == []


def test_headings_are_in_order(reader: Reader, each_report: Report) -> None:
    reader.open(each_report)
    levels = reader.js("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    assert isinstance(levels, list)
    assert levels.count(1) == 1
    assert all(two <= one + 1 for one, two in itertools.pairwise(levels))


def test_conflicts_come_first(reader: Reader) -> None:
    reader.open(THREE_SIDES)
    assert reader.shown("main h2")[:2] == [
        "They differ, and changes collide",
        "Who changed what since main@before-v2",
    ]
    assert reader.shown("#since h3")[0] == "Conflicts"
    assert reader.shown("#since .item.obj h4 .conflict") == ["conflict", "conflict"]


def _tree(reader: Reader) -> list[tuple[str, str]]:
    """Role and name of all that the browser tells a screen reader."""
    command(reader.driver, "Accessibility.enable")
    nodes = command(reader.driver, "Accessibility.getFullAXTree")["nodes"]
    return [
        (node["role"]["value"], " ".join(node.get("name", {}).get("value", "").split()))
        for node in nodes
        if not node["ignored"]
    ]
