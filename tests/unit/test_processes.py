"""Processes of the host: known, paused, found again, ended, spawned. Needs the kernel; one test
needs root."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cowdb.agent import processes, system
from cowdb.errors import CommandError


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as made:
        yield made
        made.kill()


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_process_is_known_until_it_ends(child: subprocess.Popen[bytes]) -> None:
    known = processes.identify(child.pid)
    assert known is not None
    assert processes.alive(known)
    assert processes.parent_of(child.pid) == os.getpid()
    assert not processes.wait(known, 0.01)
    child.kill()
    assert processes.wait(known, 10)
    assert not processes.alive(known)  # a zombie is not alive
    assert processes.identify(child.pid) is None


def test_a_reused_pid_is_not_mistaken(child: subprocess.Popen[bytes]) -> None:
    known = processes.identify(child.pid)
    assert known is not None
    for other in (replace(known, started=known.started - 1), replace(known, boot="another")):
        assert not processes.alive(other)
        assert not processes.send(other, processes.signal.SIGKILL)
        assert processes.wait(other, 0)
        processes.resume(other)
    assert child.poll() is None
    assert not processes.alive(None)


def test_a_paused_process_and_its_children_stand_still_and_go_on() -> None:
    script = "sleep 60 & sleep 60 & echo ready; wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        known = processes.identify(parent.pid)
        assert known is not None
        family = [parent.pid, *processes.descendants(parent.pid)]
        assert len(family) == 3
        try:
            processes.pause(known)
            assert [state_of(pid) for pid in family] == ["T"] * 3
            processes.resume(known)
            deadline = time.monotonic() + 5
            while "T" in [state_of(pid) for pid in family]:
                assert time.monotonic() < deadline
        finally:
            for pid in reversed(family):
                os.kill(pid, processes.signal.SIGKILL)


def test_whoever_works_in_a_directory_is_found_and_ended(tmp_path: Path) -> None:
    stubborn = "import signal, time; signal.signal(signal.SIGQUIT, signal.SIG_IGN); time.sleep(60)"
    inside = subprocess.Popen([sys.executable, "-c", stubborn], cwd=tmp_path)
    script = "import time; time.sleep(60)"
    naming = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd="/")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "PG_VERSION").touch()
    of_another_server = [sys.executable, "-c", script, str(tmp_path)]
    other = subprocess.Popen(of_another_server, cwd=elsewhere)
    try:
        time.sleep(0.3)  # for the signal to be ignored
        assert set(processes.working_in(tmp_path)) == {inside.pid, naming.pid}

        def left() -> list[int]:
            for process in (inside, naming):
                process.poll()
            return processes.working_in(tmp_path)

        assert processes.end(left, 1.0) == []
        assert other.poll() is None
    finally:
        for process in (inside, naming, other):
            process.kill()
            process.wait()


def test_what_a_server_leaves_is_found_among_its_ancestors_children(tmp_path: Path) -> None:
    """A program that left its parent, and one that such a program started; not what works
    elsewhere, nor what belongs to another server."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "PG_VERSION").touch()
    script = f"""
        deep='cd {tmp_path} && sh -c "echo deep \\$\\$; sleep 60"'
        ( exec setsid sh -c "echo left \\$\\$; ($deep) ; :" ) &
        ( cd / && exec setsid sh -c 'echo away $$; sleep 60' ) &
        ( cd {other} && exec setsid sh -c 'echo other $$; sleep 60' ) &
        wait
    """
    with subprocess.Popen(["sh", "-c", script], cwd=tmp_path, stdout=subprocess.PIPE,
                          text=True) as server:  # fmt: skip
        assert server.stdout is not None
        pids = dict(server.stdout.readline().split() for _ in range(4))
        above = processes.ancestors(server.pid)
        assert above[0] == os.getpid()
        try:
            server.kill()
            server.wait()
            found = processes.orphans(above, tmp_path, os.getuid())
            assert found is not None
            assert {int(pids["left"]), int(pids["deep"])} <= set(found)
            assert not {int(pids["away"]), int(pids["other"])} & set(found)
        finally:
            for pid in pids.values():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(os.getpgid(int(pid)), processes.signal.SIGKILL)


def test_children_are_reaped_while_others_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python may let another thread go on in the midst of a walk through a dict: when it frees
    what takes a moment."""

    class Slow:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            time.sleep(0.0001)

    def some(numbers: range) -> None:
        for number in numbers:
            if ended.is_set():
                return
            children.add(cast(Any, SimpleNamespace(pid=number, poll=lambda: None)))

    found = processes.Process(pid=1, started=1, boot="b")
    monkeypatch.setattr(processes, "identify", lambda _: found)
    children, ended = processes.Children(), threading.Event()
    some(range(4000))
    adding = threading.Thread(target=some, args=(range(4000, 10_000_000),))
    adding.start()
    try:
        for _ in range(100):
            Slow()
            children.reap()
    finally:
        ended.set()
        adding.join()
        children.release()


def test_a_program_begins_only_when_its_number_is_known(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    seen: list[int] = []

    def first(pid: int) -> None:
        seen.append(pid)
        assert not trace.exists()

    writes = ["sh", "-c", f"cat; echo $$ >{trace}"]  # reads nothing: its stdin is empty
    child = system.spawn(writes, first=first)
    assert child.wait(10) == 0
    assert [int(trace.read_text())] == seen == [child.pid]
    trace.unlink()

    def refuse(pid: int) -> None:
        seen.append(pid)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        system.spawn(writes, first=refuse)
    assert not processes.alive(processes.identify(seen[-1]))
    assert not trace.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("tool", ["setpriv", None])
def test_a_program_is_spawned_as_another_user_in_a_session_of_its_own(
    tool: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By setpriv and without: the same user, groups, umask and environment, and the same pid."""
    monkeypatch.setattr(system, "_SETPRIV", tool and shutil.which(tool))
    nobody = system.user_named("nobody")
    script = 'echo "$$"; id -u; id -G; umask; pwd; readlink /proc/self/ns/ipc;'
    script += 'env | cut -d= -f1 | sort | tr "\\n" " "'
    with (tmp_path / "said").open("wb") as file:
        child = system.spawn(
            ["/bin/sh", "-c", script], user=nobody, env={"MORE": "1"}, stdout=file.fileno(), cwd="/"
        )
        assert os.getsid(child.pid) == child.pid
        assert child.wait(10) == 0
    said = (tmp_path / "said").read_text().split("\n")
    groups = " ".join(str(group) for group in system.groups_of(nobody))
    assert said[:5] == [str(child.pid), str(nobody.uid), groups, "0077", "/"]
    assert said[5].startswith("ipc:[")
    assert said[5] != os.readlink("/proc/thread-self/ns/ipc")  # noqa: PTH115
    assert {"LC_ALL", "MORE", "PATH"} <= set(said[6].split())
    with pytest.raises(CommandError, match="not installed"):
        system.spawn(["/nowhere/postgres"], user=nobody)
