"""The harness of `bench diff`, on a tiny table and without peers, which would come from PyPI."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.kept import Kept
from bench.record import Results
from bench.scenarios.diff.measure import Cell, amount, cells_of, claims, shown
from bench.scenarios.diff.peers import without_passwords
from tests.loopfs import need_filesystem

ROOT = Path(__file__).parents[2]


def test_quick_run_has_the_promised_shape(tmp_path: Path) -> None:
    need_filesystem("btrfs")
    done = subprocess.run(
        [sys.executable, ROOT / "bench/diff.py", "--quick", "--peers-up-to", "1",
         "--results", tmp_path],
        capture_output=True, text=True, check=False, timeout=250, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results: Results = json.loads((tmp_path / "diff-quick.json").read_text())
    assert [item["label"] for item in results["databases"]] == [
        "20,000 rows, 10 changed", "20,000 rows, 1,000 changed",
    ]  # fmt: skip
    assert all(item["peak_bytes"]["cowdb"] > 20e6 for item in results["databases"])
    assert {item["method"] for item in results["samples"]} == {"cowdb", "cowdb, reading everything"}
    measures = {item["measure"] for item in results["samples"]}
    assert {"first", "command", "command.rows", "command.total"} <= measures
    assert "20,000 rows, 1,000 changed" in done.stdout
    assert not list(tmp_path.glob("*unfinished*"))


def test_a_run_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "unfinished.json"
    kept = Kept.found(path, {"rows": [1]}, fresh=False)
    kept.record.add("cell", "cowdb", command=5.0)
    kept.cells["cell"] = {"peak_bytes": {"cowdb": 1}}
    kept.finish("cell")
    again = Kept.found(path, {"rows": [1]}, fresh=False)
    assert (again.done, again.cells) == ({"cell"}, kept.cells)
    assert again.record.samples == {("cell", "cowdb", "command"): [5.0]}
    assert Kept.found(path, {"rows": [1]}, fresh=True).done == set()
    assert Kept.found(path, {"rows": [2]}, fresh=False).done == set()


@pytest.mark.parametrize(("text", "number"), [("10", 10), ("100k", 100_000), ("10M", 10**7)])
def test_amounts(text: str, number: int) -> None:
    assert amount(text) == number
    assert amount(shown(number).replace(",", "")) == number


def test_cells_and_claims() -> None:
    cells = cells_of(10**7, (10, 1000, 10**6, 10**7))
    assert [cell.changes for cell in cells] == [10, 1000, 10**6, 10**6]
    assert [cell.together for cell in cells] == [False, False, False, True]
    cell = Cell(10**7, 1000)
    samples = [
        {"database": cell.label, "method": method, "measure": "command", "ms": [ms]}
        for method, ms in (("cowdb", 800.0), ("reladiff", 90_000.0))
    ]
    facts = {item.label: {"peak_bytes": {"cowdb": 10**8}} for item in cells}
    assert [claim["holds"] for claim in claims(samples, [cell], facts)] == [True, True]  # type: ignore[arg-type]
    samples[1]["ms"] = [60_000.0]
    assert [claim["holds"] for claim in claims(samples, [cell], facts)] == [True, False]  # type: ignore[arg-type]


def test_no_password_reaches_an_argument_list(tmp_path: Path) -> None:
    plain, environment = without_passwords(["postgresql://u:secret@127.0.0.1:1/app"], tmp_path)
    assert plain == ["postgresql://u@127.0.0.1:1/app"]
    passfile = Path(environment["PGPASSFILE"])
    assert passfile.read_text() == "127.0.0.1:1:*:u:secret\n"
    assert passfile.stat().st_mode & 0o077 == 0
