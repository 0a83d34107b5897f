"""Runs that are kept: whole or not at all, found again, and gone when there are enough."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cowdb.controller.lab.kept import Kept, Retention, directory, retention
from cowdb.controller.lab.model import LabReport
from cowdb.errors import ConflictError, CowdbError, InvalidError, NotFoundError
from tests.labreports import a_report, a_run, result


def a_kept_report(name: str, days: float = 0) -> LabReport:
    at = datetime.now(UTC) - timedelta(days=days)
    return a_report(result("a", a_run()), id=name,
                    started_at=at.isoformat().replace("+00:00", "Z"))  # fmt: skip


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "state" / "lab")


def ids(kept: Kept) -> list[str]:
    return [entry["id"] for entry in kept.entries()]


def test_what_is_saved_is_read_again_and_nobody_else_reads_it(kept: Kept) -> None:
    report = a_kept_report("3f2a")
    path = kept.save(report, {"branch-1/statements.sql": "select 1;\n\ud800", "lab.yaml": "x"})
    assert kept.read("3f2a") == report
    assert (path / "branch-1" / "statements.sql").read_text() == "select 1;\n\\ud800"
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    (entry,) = kept.entries()
    assert (entry["verdict"], entry["strategies"], entry["recommended"]) == ("pass", ["a"], "a")


def test_runs_are_found_by_the_beginning_of_their_ids(kept: Kept) -> None:
    assert kept.entries() == []
    for name, age in (("3f2a", 2), ("3f9c", 1), ("80", 3), ("8011", 4)):
        kept.save(a_kept_report(name, age))
    assert ids(kept) == ["3f9c", "3f2a", "80", "8011"]
    assert [kept.read(text)["id"] for text in ("3f2", "80", "801", "last")] == [
        "3f2a", "80", "8011", "3f9c",
    ]  # fmt: skip
    for text, message in (("3f", "the beginning of 2 lab runs"), ("x", "there is no lab run 'x'"),
                          ("", "no lab run ''"), ("../8011", "no lab run")):  # fmt: skip
        with pytest.raises(NotFoundError, match=message):
            kept.read(text)


def test_a_run_is_there_as_a_whole_or_not_at_all(kept: Kept, tmp_path: Path) -> None:
    kept.save(a_kept_report("a"))
    with pytest.raises(ConflictError, match="there is a lab run a already"):
        kept.save(a_kept_report("a"))
    with pytest.raises((CowdbError, TypeError)):
        kept.save(a_kept_report("b"), {"x": b"no text"})  # type: ignore[dict-item]
    for name in ("../x", "a/../../x", "/x", ".x", ""):
        with pytest.raises(InvalidError):
            kept.save(a_kept_report("b"), {name: "x"})
        with pytest.raises(InvalidError):
            kept.save(a_kept_report(name))
    root = tmp_path / "state" / "lab"
    assert [path.name for path in root.iterdir()] == ["a"]


def test_the_newest_are_kept(kept: Kept) -> None:
    for name, age in (("a", 10), ("b", 5), ("c", 3)):
        kept.save(a_kept_report(name, age))
    kept.save(a_kept_report("d", 1), retention=Retention(runs=3))
    assert ids(kept) == ["d", "c", "b"]
    kept.save(a_kept_report("e"), retention=Retention(days=4))
    assert ids(kept) == ["e", "d", "c"]
    kept.save(a_kept_report("old", 9), retention=Retention(runs=1, days=2))
    assert ids(kept) == ["e", "old"]  # the newest, and the one that was just asked for


def test_what_a_killed_writer_left_goes_after_a_day(kept: Kept, tmp_path: Path) -> None:
    root = tmp_path / "state" / "lab"
    kept.save(a_kept_report("a"))
    for name in (".b-1", ".c-1"):
        (root / name).mkdir()
    os.utime(root / ".b-1", (1, 1))
    assert kept.prune(Retention()) == []
    assert sorted(path.name for path in root.iterdir()) == [".c-1", "a"]


def test_what_is_broken_is_not_listed(kept: Kept, tmp_path: Path) -> None:
    path = kept.save(a_kept_report("a"))
    (path / "report.json").write_text(json.dumps({"id": "a"}))
    (path.parent / "notes.txt").write_text("mine")
    kept.save(a_kept_report("b"), retention=Retention(runs=1))
    assert ids(kept) == ["b"]
    assert (path.parent / "notes.txt").exists()


def test_where_and_how_long(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert directory() == tmp_path / "cowdb" / "lab"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/alice")
    assert directory() == Path("/home/alice/.local/state/cowdb/lab")
    monkeypatch.delenv("COWDB_LAB_KEEP_RUNS", raising=False)
    monkeypatch.setenv("COWDB_LAB_KEEP_DAYS", "7")
    assert retention() == Retention(50, 7)
    assert retention(3, 4) == Retention(3, 4)
    monkeypatch.setenv("COWDB_LAB_KEEP_RUNS", "0")
    with pytest.raises(InvalidError, match="COWDB_LAB_KEEP_RUNS is '0'"):
        retention()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(CowdbError, match="cannot be kept"):
        Kept(tmp_path / "lab").save(a_kept_report("a"))


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "lab").write_text("")
    with pytest.raises(CowdbError, match="cannot be kept in"):
        Kept(tmp_path / "lab").save(a_kept_report("a"))
