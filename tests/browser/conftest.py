"""One browser for the session, and pages in it as a reader opens them: from files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from cowdb.controller.diff.model import Report
from cowdb.controller.diff.page.render import page
from tests.browser.chromium import chromium, command, complaints, missing, requests
from tests.reports import THREE_SIDES, TWO_SIDES, hostile_report

NOW = datetime(2026, 11, 20, 8, 50, tzinfo=UTC)


def need_browser() -> None:
    """Where hostprep/test has installed a browser, a missing one is a failure."""
    if missing() and os.environ.get("COWDB_TEST_BROWSER") == "required":
        pytest.fail(f"no {missing()}")
    if missing():
        pytest.skip(f"no {missing()} (Debian: chromium chromium-driver)")


class Reader:
    """Somebody who looks at pages: what the tests ask the browser for.

    :param colors: light or dark, as the reader's system says.
    """

    def __init__(self, driver: Chrome, folder: Path) -> None:
        self.driver, self._folder = driver, folder

    def open(
        self, report: Report | str, *, width: int = 1280, height: int = 900, colors: str = "light",
        media: str = "", scripts: bool = True, motion: str = "no-preference",
    ) -> None:  # fmt: skip
        """:param report: a comparison, or a whole page."""
        file = self._folder / "page.html"
        text = report if isinstance(report, str) else page(report, NOW)
        file.write_text(text, encoding="utf-8")
        features = [{"name": "prefers-color-scheme", "value": colors},
                    {"name": "prefers-reduced-motion", "value": motion}]  # fmt: skip
        command(self.driver, "Emulation.setEmulatedMedia", media=media, features=features)
        command(self.driver, "Emulation.setScriptExecutionDisabled", value=not scripts)
        command(self.driver, "Emulation.setDeviceMetricsOverride", width=width, height=height,
                deviceScaleFactor=1, mobile=False)  # fmt: skip
        self.url = file.as_uri()
        requests(self.driver), complaints(self.driver)
        self.driver.get(self.url)

    def js(self, expression: str) -> object:
        return self.driver.execute_script(f"return {expression}")

    def evaluate(self, script: str) -> object:
        """What a script that is one expression comes to."""
        found = command(self.driver, "Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def walk(self) -> None:
        """Down the whole page: what is far away is laid out when it comes near."""
        self.driver.execute_async_script(
            """
            const done = arguments[0], frame = () => new Promise(requestAnimationFrame);
            (async () => {
              for (let y = 0; y < document.documentElement.scrollHeight; y += innerHeight / 2) {
                scrollTo({top: y, behavior: 'instant'});
                await frame();
                await frame();
              }
              done();
            })();
            """
        )

    def shown(self, selector: str) -> list[str]:
        """The text of the elements that are to be seen, in order, laid out yet or not."""
        found = self.js(
            f"[...document.querySelectorAll({selector!r})]"
            ".filter(e => e.checkVisibility()).map(e => e.textContent.trim().replace(/\\s+/g, ' '))"
        )
        assert isinstance(found, list)
        return found


@pytest.fixture(scope="session")
def driver() -> Iterator[Chrome]:
    need_browser()
    with chromium() as found:
        yield found


@pytest.fixture
def reader(driver: Chrome, tmp_path: Path) -> Iterator[Reader]:
    """After each test: the page has asked for nothing but itself, and nothing went wrong in it."""
    found = Reader(driver, tmp_path)
    yield found
    assert [url for url in requests(driver) if not url.startswith(("data:", found.url))] == []
    assert complaints(driver) == []
    driver.get("about:blank")
    driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"})


@pytest.fixture(params=["two", "three", "hostile"])
def each_report(request: pytest.FixtureRequest) -> Report:
    reports = {"two": TWO_SIDES, "three": THREE_SIDES, "hostile": hostile_report()}
    return reports[request.param]
