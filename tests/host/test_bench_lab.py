"""The lab's benchmark runs, tiny, and finds what there is to find; no time is asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench.record import Results
from bench.scenarios import lab
from bench.scenarios.lab import measure, serial, watched
from tests.loopfs import need_filesystem

ROOT = Path(__file__).parents[2]


def test_quick_run_has_the_promised_shape(tmp_path: Path) -> None:
    """A lab run and seven strategies' worth of servers: ten seconds."""
    need_filesystem("btrfs")
    run = subprocess.Popen(
        [sys.executable, "-m", "bench", "lab", "--quick", "--results", tmp_path],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    try:
        shown, said = run.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        run.terminate()  # it takes down what it made, which a killed one could not
        _, said = run.communicate()
    assert run.returncode == 0, said
    results: Results = json.loads((tmp_path / "lab-quick.json").read_text())
    ways = {measure.COWDB, *serial.ALL}
    measured = {(item["method"], item["measure"]): item["ms"] for item in results["samples"]}
    assert {way for way, part in measured if part == "total"} == ways
    assert {part for way, part in measured if way == serial.RESTORE} >= {"total", *serial.PARTS}
    assert all(value > 0 for values in measured.values() for value in values)
    names = {watched.BACKFILL, watched.CHECK, watched.DDL, watched.STATEMENTS}
    for way in (watched.BARE, watched.LAB):
        assert {name for method, name in measured if method == way} == names
    (right,) = [item for item in results["claims"] if "every way finds" in item["claim"]]
    assert (right["value"], right["holds"]) == (9, True)
    assert all(
        len(item["reported_overhead"]) == 1 for item in results["databases"][0]["migrations"]
    )
    assert all(way in shown for way in ways)
    page = lab.page(results)
    assert "| whom it blocks" in page
    assert results["databases"][0]["recommendation"] in page
