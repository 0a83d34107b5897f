"""The lab's page as it is looked at: widths, colours, and to those who do not see it."""

from __future__ import annotations

import itertools
from importlib.resources import files

import pytest

from cowdb.controller.lab.reports.html import html
from tests.browser.chromium import command
from tests.browser.conftest import Reader
from tests.browser.test_look import CONTRAST
from tests.labreports import whole_report
from tests.unit.lab.test_report_files import hostile

PAGES = {"whole": html(whole_report()), "hostile": html(hostile())}
WIDTHS, COLORS = [1280, 360], ["light", "dark"]


@pytest.fixture(params=list(PAGES))
def page(request: pytest.FixtureRequest) -> str:
    return PAGES[request.param]


@pytest.mark.parametrize("colors", COLORS)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_text_can_be_read(reader: Reader, page: str, colors: str, width: int) -> None:
    reader.open(page, colors=colors, width=width)
    contrasts = reader.evaluate(CONTRAST)
    assert isinstance(contrasts, list)
    assert len(contrasts) > 20
    assert [item for item in contrasts if item[1] < 4.5] == []


@pytest.mark.parametrize("colors", COLORS)
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing(reader: Reader, page: str, colors: str, width: int) -> None:
    reader.open(page, colors=colors, width=width)
    reader.walk()
    axe = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    command(reader.driver, "Runtime.evaluate", expression=axe)
    found = reader.driver.execute_async_script(
        "const done = arguments[0]; axe.run().then(r => done(r.violations.map("
        "v => [v.id, v.nodes.slice(0, 3).map(n => n.html.slice(0, 200))])))"
    )
    assert found == []


@pytest.mark.parametrize("width", [1280, 700, 360])
def test_the_page_never_scrolls_sideways(reader: Reader, page: str, width: int) -> None:
    reader.open(page, width=width)
    reader.walk()
    assert reader.js("document.documentElement.scrollWidth") == width


def test_locks_and_traffic_stand_one_below_the_other(reader: Reader) -> None:
    """The wide lock and the hole in the traffic are at the same place of the screen."""
    reader.open(PAGES["whole"])
    where = """(() => {
        const rect = (selector) => document.querySelector('#s1 ' + selector).getBoundingClientRect();
        const bars = [...document.querySelectorAll('#s1 rect.answers')]
            .filter((bar) => bar.height.baseVal.value === 0).map((b) => b.getBoundingClientRect());
        const lock = rect('.reads rect');
        return [lock.left, lock.right, bars[0].left, bars[bars.length - 1].right, lock.top, bars[0].top];
    })()"""  # noqa: E501
    found = reader.js(where)
    assert isinstance(found, list)
    left, right, hole_left, hole_right, lock_top, hole_top = found
    assert abs(left - hole_left) < 5
    assert abs(right - hole_right) < 5
    assert right - left > 300
    assert hole_top > lock_top + 30


def test_headings_and_links(reader: Reader) -> None:
    reader.open(PAGES["whole"])
    levels = reader.js("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    assert isinstance(levels, list)
    assert levels.count(1) == 1
    assert all(two <= one + 1 for one, two in itertools.pairwise(levels))
    assert reader.shown("main h2")[0] == "Recommended: add-column-backfill"
    broken = (
        "[...document.querySelectorAll('a')].filter(a => !document.querySelector(a.hash)).length"
    )
    assert reader.js(broken) == 0


def test_the_button_turns_the_colours(reader: Reader) -> None:
    reader.open(PAGES["whole"])
    seen = "getComputedStyle(document.body).backgroundColor"
    before = reader.js(seen)
    reader.driver.execute_script("document.querySelector('.theme').click()")
    assert reader.js(seen) != before
