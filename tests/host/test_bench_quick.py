"""The benchmark's harness runs, on a tiny database; what it measures is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench import peers
from bench.record import Results
from bench.scenarios.branch import story
from tests.loopfs import need_filesystem

ROOT = Path(__file__).parents[2]


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
