"""The benchmark's harness runs, on a tiny database; what it measures is nobody's business here."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bench import peers, scenarios, ways
from bench.record import Results
from bench.scenarios.branch import story
from cowdb.config import load
from cowdb.controller.connect import connect
from tests.loopfs import loops, need_filesystem

ROOT = Path(__file__).parents[2]
_TESTED_APART = {"agents", "branch", "diff", "lab", "operations", "storage"}


def test_quick_run_has_the_promised_shape(tmp_path: Path) -> None:
    need_filesystem("btrfs")
    done = subprocess.run(
        [sys.executable, ROOT / "bench/branch.py", "--quick", "--results", tmp_path],
        capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stderr  # 3: a claim about speed did not hold just now
    results: Results = json.loads((tmp_path / "branch-quick.json").read_text())
    assert results["scenario"] == "branch"
    assert results["quick"] is True
    assert {"cpu", "cores", "memory_bytes", "kernel", "filesystem", "postgres", "git_commit",
            "date", "load_average_at_start"} <= results["machine"].keys()  # fmt: skip
    assert "btrfs" in results["machine"]["filesystem"]
    measured = {(item["method"], item["measure"]): item["ms"] for item in results["samples"]}
    assert {measure for method, measure in measured if method == "cowdb"} >= set(story.OPERATIONS)
    major = peers.major_of(results["machine"]["postgres"])
    methods = {peers.COPY, peers.DUMP_FILES, peers.DUMP_PIPE, *peers.template_methods(major)}
    assert {method for method, _ in measured} == {"cowdb", *methods}
    assert all(value > 0 for values in measured.values() for value in values)
    assert len(results["summary"]) == len(results["samples"])
    assert {row["method"] for row in results["ratios"]} == methods
    assert len(results["claims"]) == 1  # one size says nothing of growth
    for method in methods:
        assert method in done.stdout


@pytest.mark.parametrize("scenario", ["agents", "operations"])
def test_quick_run_beside_the_other_ways(scenario: str, tmp_path: Path) -> None:
    """Starts some sixty servers: half a minute."""
    need_filesystem("btrfs")
    words = [sys.executable, "-m", "bench", scenario, "--quick", "--results", tmp_path]
    status, said = _bench(words, 240)
    assert status == 0, said
    results: Results = json.loads((tmp_path / f"{scenario}-quick.json").read_text())
    right = [item for item in results["claims"] if "nobody else's" in item["claim"]]
    assert [item["holds"] for item in right] == [True]
    runs = results["databases"][0]["runs"]
    methods = {item["method"] for item in runs}
    assert {ways.COWDB, ways.WAL_LOG, ways.COPY} <= methods
    assert (ways.CLONE in methods) == (peers.major_of(results["machine"]["postgres"]) >= 18)
    assert not [item for item in runs if item["refusals"] or item["wrong_count"]]
    if scenario == "agents":
        assert all(item["finished"] == item["planned"] for item in runs)
    assert not list(tmp_path.glob("*unfinished*"))


@pytest.mark.parametrize("scenario", sorted(scenarios.find().keys() - _TESTED_APART))
def test_quick_run_is_told(scenario: str, tmp_path: Path) -> None:
    """Of whatever lies in the folder of scenarios: numbers, and a page and a picture of them. Real
    servers, 10 to 30 seconds each."""
    pytest.importorskip("matplotlib")
    need_filesystem("btrfs")
    docs = tmp_path / "docs/bench"
    words = [sys.executable, "-m", "bench", scenario, "--quick", "--results", tmp_path,
             "--docs", docs]  # fmt: skip
    status, said = _bench(words, 240)
    assert status == 0, said
    results: Results = json.loads((tmp_path / f"{scenario}-quick.json").read_text())
    assert (results["scenario"], results["quick"]) == (scenario, True)
    assert {"cpu", "git_commit", "postgres", "load_average_at_end"} <= results["machine"].keys()
    assert results["claims"]
    assert all(item["ms"] and min(item["ms"]) > 0 for item in results["samples"])
    page = (docs / f"{scenario}.md").read_text()
    assert all(" ".join(claim["details"].split()) in " ".join(page.split())
               for claim in results["claims"])  # fmt: skip
    assert f"]({scenario}.svg)" in page
    assert (docs / f"{scenario}.svg").stat().st_size > 5000


def test_a_run_that_is_told_to_end_leaves_nothing_and_goes_on(tmp_path: Path) -> None:
    need_filesystem("btrfs")
    words = [sys.executable, "-m", "bench", "agents", "--quick", "--peers", "--results", tmp_path]
    run = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert run.stderr is not None
    for line in run.stderr:
        if "tree search, turn" in line:  # servers run, workers work
            break
    (agent,) = [child for child in psutil.Process(run.pid).children()
                if "COWDB_CONFIG" in child.environ()]  # fmt: skip
    base = Path(agent.environ()["COWDB_CONFIG"]).parent
    with connect(load(base / "config.toml")) as client:
        place = Path(client.host.pools()[0]["path"]).parent
    assert _working_in(place), "no server of this run was found"
    run.send_signal(signal.SIGTERM)
    _, said = run.communicate(timeout=120)
    assert run.returncode == 130, said
    assert not base.exists()
    assert not agent.is_running()
    assert not place.exists()
    assert loops(place.parent / "image") == []
    assert _working_in(place) == []
    _, said = _bench(words, 120)
    assert "going on where a run was interrupted: 3 parts are done" in said
    results: Results = json.loads((tmp_path / "agents-quick.json").read_text())
    assert len(results["databases"][0]["runs"]) == 5


def _working_in(place: Path) -> list[int]:
    """Processes whose working directory lies there, unmounted or not."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if Path(process.cwd()).is_relative_to(place):
                found.append(process.pid)
    return found


def _bench(words: list[str | Path], seconds: float) -> tuple[int, str]:
    """Exit status, and stderr. One that takes longer is told to end, and so takes down what it
    made, which a killed one could not."""
    run = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                           cwd=ROOT)  # fmt: skip
    try:
        _, said = run.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        run.terminate()
        _, said = run.communicate()
    return run.returncode, said
