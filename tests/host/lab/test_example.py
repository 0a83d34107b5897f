"""What `cowdb lab init` writes, run as it stands on the demo's data; its reports everywhere."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from cowdb.cli.lab.example import TEMPLATE
from tests.agenthost import AgentHost
from tests.host.lab import labfile

STRATEGIES = ["add-column-with-default", "add-column-backfill", "rollback-test"]


@pytest.fixture(scope="module")
def demo(btrfs_host: AgentHost) -> Iterator[AgentHost]:
    """The demo's source and snapshot, on a thousandth part of its data, without its branches."""
    with labfile.cleaned(btrfs_host) as host:
        host.json("demo", "--scale", "0.01")
        for name in STRATEGIES:
            host.run("branch", "rm", name)
        yield host


@pytest.fixture
def example(demo: AgentHost) -> Iterator[Path]:
    folder = demo.base / "example"
    demo.json("lab", "init", str(folder / "lab.yaml"))
    yield folder / "lab.yaml"
    shutil.rmtree(folder)


def loaded(text: str) -> str:
    """The example with its load taken in, for a moment's traffic."""
    start = text.index("    # load:")
    end = text.index("\n\n", start)
    load = text[start:end].replace("# ", "", 1)
    load = re.sub(r"^    # ", "    ", load, flags=re.MULTILINE).replace(": 3s ", ": 500ms ")
    return text[:start] + load.replace("after: 3s", "after: 500ms") + text[end:]


def test_the_example_runs_and_is_told_everywhere(demo: AgentHost, example: Path) -> None:
    files = {name: example.parent / f"report.{name}" for name in ("html", "junit", "markdown")}
    words = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    done = labfile.run(demo, example, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    for expected in (*STRATEGIES, "validation     no-nulls holds", "Recommendation: Use add-column",
                     "after rollback schema and rows match the checkpoint"):  # fmt: skip
        assert expected in done.stdout
    assert "FAIL" not in done.stdout
    (kept,) = [item for item in demo.json("lab", "list") if item["id"] in done.stdout]
    assert kept["recommended"] == "add-column-with-default"
    assert (Path(kept["path"]) / "lab.yaml").read_text() == TEMPLATE.read_text()

    suites = ElementTree.parse(files["junit"]).getroot()
    cases = [case.get("name") for case in suites.iter("testcase")]
    assert cases == [STRATEGIES[0], "no-nulls", STRATEGIES[1], "no-nulls", STRATEGIES[2]]
    assert suites.get("failures") == "0"
    for path in (files["html"], files["markdown"]):
        assert all(name in path.read_text() for name in STRATEGIES)

    shown = json.loads(demo.run("lab", "show", kept["id"], "--json").stdout)
    (first, second, back) = shown["strategies"]
    assert [item["verdict"] for item in shown["strategies"]] == ["pass", "pass", "pass"]
    assert back["runs"][0]["same_as_checkpoint"] is True
    assert shown["ends"]["schema"] is True
    assert shown["ends"]["rows"] is False  # the backfill knows the shop's best customers
    assert first["runs"][0]["disk"]["wal_bytes"] < second["runs"][0]["disk"]["wal_bytes"]
    assert demo.json("branch", "list") == []


def test_the_example_under_its_load(demo: AgentHost, example: Path) -> None:
    example.write_text(loaded(example.read_text()))
    found: dict[str, Any] = labfile.report(demo, example)
    for item in found["strategies"]:
        load = item["runs"][0]["load"]
        assert [phase["phase"] for phase in load["phases"]] == ["before", "during", "after"]
        assert load["phases"][0]["transactions"] > 20
        assert load["errors"] == {}
    again = demo.run("lab", "compare", found["id"], "last")
    assert "add-column-backfill: same" in again.stdout
