"""The storage benchmark runs, tiny, and tells what it measured; no time is asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.record import Results, merged
from bench.scenarios import storage
from bench.scenarios.storage.measure import DRIVERS
from tests.loopfs import filesystems, need_filesystem

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("driver", [name for name in DRIVERS if DRIVERS[name] in filesystems()])
def test_quick_run_has_the_promised_shape(driver: str, tmp_path: Path) -> None:
    need_filesystem(DRIVERS[driver])
    done = subprocess.run(
        [sys.executable, ROOT / "bench/storage.py", "--driver", driver, "--quick", "--results",
         tmp_path],
        capture_output=True, text=True, check=False, timeout=200, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results: Results = json.loads((tmp_path / f"storage-{driver}-quick.json").read_text())
    (facts,) = results["databases"]
    assert facts["label"] == driver
    assert facts["machine"]["filesystem"].startswith(DRIVERS[driver])
    assert facts["space"]["clones"] == 3
    assert facts["space"]["clones_bytes"] < facts["datadir_bytes"], "clones share their blocks"
    assert all(
        tps > 0 for sides in facts["tps"].values() for side in sides.values() for tps in side
    )
    measured = {(item["method"], item["measure"]): item["ms"] for item in results["samples"]}
    assert len(measured["chain", "create"]) == 3
    assert len(measured["cowdb", "clone"]) == 2
    assert all(value > 0 for values in measured.values() for value in values)
    assert "clone + start" in done.stdout
    page = storage.page(merged([results]))
    assert f"storage-{driver}.json" in page
