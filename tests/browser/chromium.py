"""Debian's Chromium, headless, driven by its own chromedriver; nothing of it outlives the block."""

from __future__ import annotations

import contextlib
import ctypes
import json
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

BROWSER, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h
NAME = "cowdb-browser-"  # in the path of the profile, so that its processes can be told
_ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",  # as on a phone: the page is as wide as the window
    # The browser ends when this pipe does: also when chromedriver is killed.
    "--remote-debugging-pipe",
)  # fmt: skip


def missing() -> str:
    """What is not installed; empty where all is there."""
    return " and ".join(path for path in (BROWSER, DRIVER) if not Path(path).exists())


@contextlib.contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    profile = tempfile.mkdtemp(prefix=NAME)
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in (*_ARGUMENTS, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = Service(DRIVER, popen_kw={"preexec_fn": _die_with_us})
    try:
        driver = webdriver.Chrome(options=options, service=service)
        try:
            yield driver
        finally:
            driver.quit()
    finally:
        service.stop()
        _end(profile)
        shutil.rmtree(profile)


def _die_with_us() -> None:
    """In the new process: chromedriver ends when these tests do, also when they are killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(profile: str) -> None:
    """Whatever of the browser has not ended by itself."""
    left = [process for process in psutil.process_iter() if profile in command_line(process)]
    _, alive = psutil.wait_procs(left, timeout=3)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)


def command_line(process: psutil.Process) -> str:
    """In one text; empty of a process that has ended."""
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def requests(driver: webdriver.Chrome) -> list[str]:
    """The URLs asked for since this was last called."""
    messages = [json.loads(line["message"])["message"] for line in driver.get_log("performance")]
    return [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]


def complaints(driver: webdriver.Chrome) -> list[str]:
    """What the browser's console has said since this was last called."""
    return [line["message"] for line in driver.get_log("browser")]


def command(driver: webdriver.Chrome, name: str, **parameters: Any) -> Any:
    """One command of the DevTools protocol."""
    return driver.execute_cdp_cmd(name, parameters)
