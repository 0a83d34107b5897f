"""What a reader does with the page: search, filter, follow links, by keyboard and by mouse."""

from __future__ import annotations

import http.server
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.chromium import NAME, chromium, command_line, complaints, requests
from tests.browser.conftest import Reader, need_browser
from tests.reports import ROWS, SCHEMA, THREE_SIDES, TWO_SIDES, hostile_report, report

OBJECTS, RECORDS = ".obj h4 .name", ".rec"


def press(reader: Reader, *keys: str) -> None:
    reader.driver.switch_to.active_element.send_keys(*keys)


def search(reader: Reader, text: str) -> None:
    """Type, and wait as long as the page does at most before it searches: its timer runs first."""
    field = reader.driver.find_element(By.ID, "q")
    field.clear()
    field.send_keys(text)
    reader.driver.execute_async_script("setTimeout(arguments[0], 150)")


def test_typing_leaves_only_what_matches(reader: Reader) -> None:
    reader.open(TWO_SIDES)
    assert len(reader.shown(OBJECTS)) == len(SCHEMA)
    search(reader, "PREMIUM_level check")
    assert reader.shown(OBJECTS) == ["public.users.users_premium_level_check"]
    assert reader.shown(RECORDS) == []
    assert reader.shown("nav .to .name") == ["public.users.users_premium_level_check"]
    assert reader.shown("#hits") == ["1 of 11 entries"]
    search(reader, "cem@example")
    assert reader.shown(OBJECTS) == []
    (record,) = reader.shown(RECORDS)
    assert "Cem Öz" in record
    search(reader, "public.audit_log")
    assert len(reader.shown(RECORDS)) == 1
    search(reader, "no such thing anywhere")
    assert reader.shown(".nothing") == ["Nothing here matches. Show everything"]
    reader.driver.find_element(By.CSS_SELECTOR, ".clear").click()
    assert len(reader.shown(OBJECTS)) == len(SCHEMA)
    assert reader.shown(".nothing, #hits:not(:empty)") == []


def test_what_was_searched_for_is_marked(reader: Reader) -> None:
    reader.open(TWO_SIDES)
    search(reader, "returned")
    assert reader.js("[...CSS.highlights.get('found')].map(String)") == ["returned"]


def test_the_slash_key_goes_to_the_search_and_escape_ends_it(reader: Reader) -> None:
    reader.open(TWO_SIDES)
    press(reader, "/")
    assert reader.js("document.activeElement.id") == "q"
    assert reader.js("q.value") == ""
    press(reader, "audit/")
    assert reader.js("q.value") == "audit/"
    press(reader, Keys.ESCAPE)
    assert reader.js("q.value") == ""
    assert len(reader.shown(OBJECTS)) == len(SCHEMA)


def test_chips_leave_only_their_sort_of_change(reader: Reader) -> None:
    reader.open(TWO_SIDES)
    chips = {
        chip.get_attribute("data-c"): chip
        for chip in reader.driver.find_elements(By.CSS_SELECTOR, ".chip")
    }
    assert list(chips) == ["added", "removed", "changed"]
    chips["removed"].click()
    assert chips["removed"].get_attribute("aria-pressed") == "true"
    assert reader.shown(OBJECTS) == ["public.users.legacy_flag"]
    assert ["gone@example.com" in text for text in reader.shown(RECORDS)] == [True]
    chips["added"].click()
    assert len(reader.shown(OBJECTS)) == 4
    chips["removed"].click()
    chips["added"].click()
    assert len(reader.shown(OBJECTS)) == len(SCHEMA)


def test_the_conflict_chip(reader: Reader) -> None:
    reader.open(THREE_SIDES)
    reader.driver.find_element(By.CSS_SELECTOR, ".chip.conflict").click()
    assert reader.shown(OBJECTS) == ["public.users.level", "public.legacy_import"]
    (record,) = reader.shown(RECORDS)
    assert "Anna" in record
    assert reader.shown("main h2") == [
        "They differ, and changes collide",
        "Who changed what since main@before-v2",
        "How it was read",
    ]


def test_the_button_changes_the_colours_and_that_is_kept(reader: Reader) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    reader.open(TWO_SIDES)
    button = reader.driver.find_element(By.CSS_SELECTOR, ".theme")
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert reader.js(background) == "rgb(20, 23, 28)"
    reader.driver.refresh()
    assert reader.js(background) == "rgb(20, 23, 28)"
    reader.driver.find_element(By.CSS_SELECTOR, ".theme").click()
    assert reader.js(background) == "rgb(247, 248, 250)"


def test_everything_can_be_reached_with_the_tab_key(reader: Reader) -> None:
    reader.open(TWO_SIDES)
    focused = "document.activeElement.className || document.activeElement.id"
    seen = []
    for _ in range(6):
        press(reader, Keys.TAB)
        seen.append(reader.js(focused))
        outline = "getComputedStyle(document.activeElement)"
        assert reader.js(f"{outline}.outlineStyle") == "solid"
        assert reader.js(f"{outline}.outlineWidth") == "2px"
    assert seen == ["skip", "theme", "q", "chip added", "chip removed", "chip changed"]


def test_the_first_link_skips_to_the_differences(reader: Reader) -> None:
    reader.open(TWO_SIDES)
    press(reader, Keys.TAB)
    assert reader.js("document.activeElement.getBoundingClientRect().top") == 8
    press(reader, Keys.ENTER)
    assert reader.js("document.activeElement.id") == "main"


def test_a_table_wider_than_a_phone_scrolls_by_itself_and_by_keyboard(reader: Reader) -> None:
    reader.open(TWO_SIDES, width=360)
    box = "document.querySelectorAll('#rows .box')[1]"
    reader.driver.execute_script(f"{box}.scrollIntoView()")
    WebDriverWait(reader.driver, 10).until(lambda _: reader.js(f"{box}.tabIndex") == 0)
    reader.driver.execute_script(f"{box}.focus()")
    press(reader, Keys.ARROW_RIGHT)
    WebDriverWait(reader.driver, 10).until(lambda _: reader.js(f"{box}.scrollLeft > 0"))
    assert reader.js("scrollX") == 0


def test_a_link_to_what_is_filtered_away_shows_it(reader: Reader) -> None:
    reader.open(TWO_SIDES)
    search(reader, "audit")
    reader.driver.execute_script("location.hash = 'o0'")
    WebDriverWait(reader.driver, 10).until(lambda _: len(reader.shown(OBJECTS)) == len(SCHEMA))
    assert reader.js("document.querySelector(':target').id") == "o0"


def test_hostile_data_does_nothing(reader: Reader) -> None:
    reader.open(hostile_report())
    search(reader, "script")
    reader.driver.execute_script(
        "for (const e of document.querySelectorAll('main *'))"
        " for (const name of ['mouseover', 'focus', 'click', 'error', 'load'])"
        " e.dispatchEvent(new Event(name))"
    )
    assert reader.js("window.pwned") is None
    assert reader.js("document.title").endswith("· cowdb diff")  # type: ignore[attr-defined]


def test_two_thousand_objects_and_ten_thousand_rows(reader: Reader) -> None:
    """The largest page that anybody should have to open: a few megabytes, and it can be searched.
    Takes a few seconds, since it is that large."""
    objects = [{**item, "name": f"{item['name']}_{n}"} for n in range(334) for item in SCHEMA]
    sample = [{"change": "changed", "key": {"id": f"{n}"},
               "columns": {"email": [f"A{n}@EXAMPLE.com", f"a{n}@example.com"],
                           "note": ["the brown fox jumps over it", "the brown cat jumps over it"]}}
              for n in range(20)]  # fmt: skip
    rows = [{**ROWS[0], "table": f"public.table_{n}", "sample": sample} for n in range(500)]
    reader.open(report(schema=objects, rows=rows))
    assert reader.js("document.documentElement.outerHTML.length") < 8_000_000  # type: ignore[operator]
    assert reader.js("document.querySelectorAll('.rec').length") == 10_000
    search(reader, "public.table_77 a19@")
    assert len(reader.shown(RECORDS)) == 1
    assert reader.shown("#hits") == ["1 of 2,504 entries"]


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """A web server that notes what it is asked for."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_the_policy_lets_nothing_in_and_nothing_out(
    reader: Reader, driver: Chrome, tmp_path: Path
) -> None:
    reader.open(TWO_SIDES)
    with served(tmp_path) as (address, asked):
        driver.get(f"{address}/page.html")
        driver.execute_script(
            """
            const add = (tag, values) =>
              document.body.append(Object.assign(document.createElement(tag), values));
            add('img', {src: arguments[0] + '/image'});
            add('script', {src: arguments[0] + '/script'});
            add('script', {textContent: 'window.pwned = 1'});
            add('link', {rel: 'stylesheet', href: arguments[0] + '/style'});
            add('iframe', {src: arguments[0] + '/frame'});
            add('style', {textContent: 'body { display: none }'});
            """,
            address,
        )
        refused = driver.execute_async_script(
            "const [url, done] = arguments;"
            " fetch(url + '/fetched').then(() => done(false), () => done(true))",
            address,
        )
        assert refused
        assert reader.js("window.pwned") is None
        assert reader.shown("h1")
        assert asked == ["/page.html"]
        assert len(complaints(driver)) >= 6
        requests(driver)


def test_nothing_of_a_browser_is_left_when_a_test_fails() -> None:
    need_browser()
    with pytest.raises(RuntimeError, match="a test"), chromium() as driver:
        profile = driver.capabilities["chrome"]["userDataDir"]
        assert NAME in profile
        assert _pids(profile)
        raise RuntimeError("a test")
    assert _pids(profile) == []
    assert not Path(profile).exists()


def test_nothing_of_a_browser_is_left_when_the_tests_are_killed() -> None:
    """It takes a second or two to start another browser."""
    need_browser()
    script = (
        "from tests.browser.chromium import chromium\n"
        "with chromium() as driver:\n"
        "    print(driver.capabilities['chrome']['userDataDir'], flush=True)\n"
        "    input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    ) as tests:  # fmt: skip
        assert tests.stdout is not None
        profile = tests.stdout.readline().strip()
        assert NAME in profile
        driver = psutil.Process(tests.pid).children()
        found = [psutil.Process(pid) for pid in _pids(profile)]
        assert driver
        assert found
        tests.kill()
    _, alive = psutil.wait_procs([*driver, *found], timeout=30)
    shutil.rmtree(profile)
    assert alive == []


def _pids(profile: str) -> list[int]:
    return [process.pid for process in psutil.process_iter() if profile in command_line(process)]
