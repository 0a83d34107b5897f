"""A load by pgbench's scripts: a process for each client, started again when an error ended it.

pgbench gives a client up at its first error, so that one process with many clients would lose one
after the other. Each writes a log with a line for each transaction, which is read at the end:

    client transaction microseconds script epoch microseconds [lag]
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from cowdb.controller import programs
from cowdb.controller.lab.load.clients import APPLICATION, connect, message
from cowdb.controller.lab.load.recorder import Recorder
from cowdb.errors import CommandError, InvalidError

_LONGEST = 7 * 24 * 3600  # seconds
_START = 10.0  # seconds
_PAUSE = 0.1  # seconds before another start
_PATIENCE = 1.0  # seconds for a transaction to end
_ERRORS = (
    re.compile(r"\b(?:ERROR|FATAL|PANIC): +(.+)"),
    re.compile(r"^pgbench: error: (?!Run was aborted)(.+)"),
)


class Pgbench:
    """:param script: a file of pgbench's.
    :param rate: transactions a second of all together."""

    def __init__(
        self, dsn: str, script: Path, number: int, rate: float | None, recorder: Recorder,
        bindirs: Sequence[str],
    ) -> None:  # fmt: skip
        self._dsn, self._script, self._recorder = dsn, script, recorder
        self._rate, self._number, self._bindirs = rate, number, bindirs
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._running: dict[subprocess.Popen[str], str] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="cowdb-load-")
        self._offset = time.monotonic() - time.time()
        self._threads = [
            threading.Thread(target=self._client, args=(n,), name=f"load-{n}", daemon=True)
            for n in range(number)
        ]

    def start(self) -> None:
        """:raises InvalidError: the script fails as it stands. CommandError: there is no pgbench,
        or nobody can connect."""
        try:
            with contextlib.closing(connect(self._dsn)) as connection:
                major = connection.info.server_version // 10000
        except psycopg.OperationalError as error:
            raise CommandError(f"the load cannot connect: {message(error)}") from error
        self._program = programs.find("pgbench", major, self._bindirs)
        tried = subprocess.run(
            [self._program, "-n", "-t", "1", "-f", str(self._script)], env=self._environment(),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=300, check=False,
        )  # fmt: skip
        if tried.returncode:
            told = next(errors(tried.stderr.splitlines()), tried.stderr.strip()[-300:])
            raise InvalidError(f"the pgbench script {self._script} fails: {told}",
                               hint="it is tried once before the strategy begins")  # fmt: skip
        for thread in self._threads:
            thread.start()
        self._await_sessions()

    def _await_sessions(self) -> None:
        """The programs need a moment to start, which is no time without answers."""
        until = time.monotonic() + _START
        with contextlib.closing(connect(self._dsn)) as connection:
            while time.monotonic() < until:
                row = connection.execute(
                    "select count(*) from pg_stat_activity where application_name = %s "
                    "and pid <> pg_backend_pid() and query <> ''", [APPLICATION],
                ).fetchone()  # fmt: skip
                if row is not None and row[0] >= self._number:
                    return
                time.sleep(0.02)

    def stop(self) -> None:
        """Returns when every process and its session have gone, and the logs are read."""
        self._stop.set()
        until = time.monotonic() + _PATIENCE
        for process in self._processes():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGALRM)  # its own timer's: it ends, and writes its log
        for process in self._processes():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.05, until - time.monotonic()))
        stuck = [name for process, name in self._running.items() if process.poll() is None]
        self._end_sessions()
        for process in self._processes():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1)
            process.kill()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        with self._folder as folder:
            logs = {path.name.rpartition(".")[0]: path.read_text("ascii", "replace").splitlines()
                    for path in Path(folder).iterdir()}  # fmt: skip
        replay(logs, self._offset, self._recorder, stuck)

    def _processes(self) -> list[subprocess.Popen[str]]:
        with self._lock:
            return list(self._running)

    def _end_sessions(self) -> None:
        """A killed client's session would wait on for its lock."""
        with contextlib.suppress(psycopg.Error), contextlib.closing(connect(self._dsn)) as other:
            other.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where application_name = %s and pid <> pg_backend_pid() and usename = user",
                [APPLICATION],
            )

    def _client(self, number: int) -> None:
        run = 0
        while not self._stop.is_set():
            argv = [self._program, "-n", "-c", "1", "-T", str(_LONGEST), "-f", str(self._script),
                    "-l", f"--log-prefix={self._folder.name}/{number}.{run}"]  # fmt: skip
            if self._rate is not None:
                argv += ["-R", str(self._rate / self._number)]
            with subprocess.Popen(
                argv, env=self._environment(), stdin=subprocess.DEVNULL, text=True,
                errors="replace", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            ) as process:  # fmt: skip
                with self._lock:
                    self._running[process] = f"{number}.{run}"
                assert process.stderr is not None
                if self._stop.is_set():
                    process.kill()
                for told in errors(process.stderr):
                    if not self._stop.is_set():
                        self._recorder.failed(time.monotonic(), told, begun=False)
            with self._lock:
                del self._running[process]
            run += 1
            self._stop.wait(_PAUSE)

    def _environment(self) -> dict[str, str]:
        """The password travels here; what leads elsewhere in the caller's does not."""
        parts = {name: str(value) for name, value in conninfo_to_dict(self._dsn).items()}
        own = {f"PG{'DATABASE' if name == 'dbname' else name.upper()}": parts[name]
               for name in ("host", "port", "user", "password", "dbname", "options")
               if name in parts}  # fmt: skip
        inherited = {name: value for name, value in os.environ.items()
                     if not name.startswith("PG")}  # fmt: skip
        return inherited | own | {"PGAPPNAME": APPLICATION, "LC_ALL": "C"}


def errors(lines: Iterable[str]) -> Iterator[str]:
    """What pgbench complains of. The server's own words where it tells them."""
    for line in lines:
        found = next((match for pattern in _ERRORS if (match := pattern.search(line))), None)
        if found is not None:
            yield found[1].strip()


def replay(
    logs: Mapping[str, Sequence[str]], offset: float, recorder: Recorder, stuck: Sequence[str] = ()
) -> None:
    """Give the recorder what the logs say, by client.

    :param offset: what makes the recorder's clock of the epoch's seconds.
    :param stuck: clients that waited for an answer at the end; what they waited for since their
        last one is in no log."""
    events: list[tuple[float, int, float]] = []
    for name, lines in logs.items():
        last = None
        for fields in map(str.split, lines):
            if len(fields) >= 6 and fields[2].isdigit():
                took = int(fields[2]) / 1e6
                last = int(fields[4]) + int(fields[5]) / 1e6 + offset
                events += [(last - took, 0, 0.0), (last, 1, took)]
        if name in stuck and last is not None:
            events.append((last, 0, 0.0))
    for at, kind, took in sorted(events):
        if kind:
            recorder.answered(at, took * 1000)
        else:
            recorder.begun(at)
