"""Who runs an attached source, and how to stop and start it through them.

Three keepers are known: systemd, Debian's pg_ctlcluster, and nobody (pg_ctl, whose server
belongs to init). Anything else that is the server's parent (Patroni, a container's supervisor)
would start it again behind our back: that is refused.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path

import msgspec

from cowdb.agent import processes, system
from cowdb.agent.engines.postgres.control import read_pid_file
from cowdb.agent.system import OsUser
from cowdb.errors import CommandError, ServerError, UnsoundError
from cowdb.model import Process

_DEBIAN = re.compile(r"/etc/postgresql/(\d+)/([^/]+)/postgresql\.conf")
_UNIT = re.compile(r"/([^/]+\.service)$", re.MULTILINE)
_IN_FLIGHT = 1.0  # seconds that pg_ctl may need between its start and its signal
_PATIENCE = 300  # seconds: a shutdown checkpoint of a large production server takes its time


class Runner(msgspec.Struct, frozen=True, kw_only=True):
    """How to stop and start one attached server again, noted while it still runs.

    :param how: "systemd", "pg_ctlcluster" or "pg_ctl".
    :param name: the unit, or "VERSION/CLUSTER", or empty.
    :param argv: the server's own command line, for "pg_ctl".
    :param log: the file that its stderr led to, empty when it was none.
    :param process: the server itself.
    """

    how: str
    name: str
    argv: tuple[str, ...]
    log: str
    process: Process | None = None


def runner_of(process: Process, config_file: str) -> Runner:
    """:raises UnsoundError: a supervisor that cowdb does not know keeps this server."""
    base = Path(f"/proc/{process.pid}")
    argv = tuple((base / "cmdline").read_text().rstrip("\0").split("\0"))
    log = os.readlink(base / "fd/2")  # noqa: PTH115
    log = log if log.startswith("/") and Path(log).is_file() else ""
    unit = _UNIT.search((base / "cgroup").read_text())
    if Path("/run/systemd/system").is_dir() and unit and _is_main(process, unit[1]):
        return Runner(how="systemd", name=unit[1], argv=argv, log=log, process=process)
    if debian := _DEBIAN.fullmatch(config_file):
        name = f"{debian[1]}/{debian[2]}"
        return Runner(how="pg_ctlcluster", name=name, argv=argv, log=log, process=process)
    parent = processes.parent_of(process.pid)
    if parent != 1:
        with contextlib.suppress(FileNotFoundError):
            name = Path(f"/proc/{parent}/comm").read_text().strip()
            raise UnsoundError(
                f"the source's server is kept by process {parent} ({name}), which would interfere "
                "with a stop",
                hint="use --mode checkpoint, or stop it yourself and take the snapshot then",
            )
    return Runner(how="pg_ctl", name="", argv=argv, log=log, process=process)


def _is_main(process: Process, unit: str) -> bool:
    """Whether the unit is the server's own, and not that of whoever started or supervises it
    (cron, a CI runner, Patroni): to stop that would be to stop something else."""
    try:
        shown = system.run(["systemctl", "show", "--property=MainPID", "--value", unit], timeout=10)
    except CommandError:
        return False
    return shown.stdout.strip() == str(process.pid)


def stop(runner: Runner, process: Process, datadir: Path, user: OsUser) -> None:
    """A fast, clean shutdown; raises ServerError when the server is still there afterwards."""
    if runner.how == "systemd":
        system.run(["systemctl", "stop", runner.name], timeout=_PATIENCE)
    elif runner.how == "pg_ctlcluster":
        version, cluster = runner.name.split("/", 1)
        system.run(["pg_ctlcluster", "--mode", "fast", version, cluster, "stop"], timeout=_PATIENCE)
    else:
        pg_ctl = Path(runner.argv[0]).resolve().with_name("pg_ctl")
        system.run(
            [pg_ctl, "stop", "-D", datadir, "-m", "fast", "-w", "-t", str(_PATIENCE)],
            user=user, timeout=_PATIENCE + 10,
        )  # fmt: skip
    if not processes.wait(process, _PATIENCE):
        raise ServerError(f"the server in {datadir} did not stop")


def start(runner: Runner, datadir: Path, user: OsUser) -> None:
    """Start it the way it ran before; harmless when it runs."""
    if runner.how == "systemd":  # harmless by itself, and it knows of a stop under way
        system.run(["systemctl", "start", runner.name], timeout=_PATIENCE)
        return
    _await_stop(runner, datadir)
    if _is_up(datadir):
        return
    if runner.how == "pg_ctlcluster":
        version, cluster = runner.name.split("/", 1)
        system.run(["pg_ctlcluster", version, cluster, "start"], timeout=_PATIENCE)
    else:
        _start_alone(runner, datadir, user)


def _await_stop(runner: Runner, datadir: Path) -> None:
    """When the agent dies while it stops a server, the stop goes on without it: the server that
    was noted is "up" and will be down in a moment. Unless it is about to go, it stays."""
    if runner.process is None:
        return
    deadline = time.monotonic() + _IN_FLIGHT
    while processes.alive(runner.process) and time.monotonic() < deadline:
        found = read_pid_file(datadir)
        if found is not None and found.status == "stopping":
            deadline = time.monotonic() + _PATIENCE
        processes.wait(runner.process, 0.1)


def _is_up(datadir: Path) -> bool:
    """A lock file may outlive its server and name anybody's pid by now."""
    found = read_pid_file(datadir)
    if found is None:
        return False
    try:
        return os.readlink(f"/proc/{found.pid}/cwd") == str(datadir)  # noqa: PTH115
    except OSError:
        return False


def _start_alone(runner: Runner, datadir: Path, user: OsUser) -> None:
    """pg_ctl start with the very options the server had, waiting until it takes connections."""
    program = Path(runner.argv[0])
    pg_ctl = program.resolve().with_name("pg_ctl")
    words = list(runner.argv[1:])
    options = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
    argv: list[str | Path] = [pg_ctl, "start", "-D", datadir, "-w", "-t", str(_PATIENCE)]
    argv += ["-l", runner.log or "/dev/null"]
    if options:
        argv += ["-o", options]
    system.run(argv, user=user, timeout=_PATIENCE + 10)
