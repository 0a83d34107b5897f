"""Runs the demo's SQL files, step by step and with progress.

A step begins at a comment line ``-- step: title`` and ends before the next one. Steps marked
``-- step[parallel]: title`` that follow one another form a group whose members may run at the same
time on several connections; every other step runs alone, on the main connection, so that session
settings and temporary tables last from one to the next. The same files work with ``psql -f``: the
``\\set`` lines above the first step are for psql and skipped here.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from cowdb.errors import CommandError, InvalidError

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[object, ...]]

SQL = Path(__file__).parent / "sql"

# Given to each connection unless the caller says otherwise: sorts of 1.5 million keys fit into
# memory, and two steps at a time leave no processor for workers inside a query.
SESSION: Mapping[str, str] = {
    "work_mem": "128MB",
    "maintenance_work_mem": "256MB",
    "synchronous_commit": "off",
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
}

_MARKER = re.compile(
    r"^-- step(?P<parallel>\[parallel\])?:[ \t]*(?P<title>\S.*?)[ \t]*$", re.MULTILINE
)
_PREFACE = re.compile(r"^(--.*|\\set .*|\s*)$")


@dataclass(frozen=True)
class Step:
    """Statements that are sent together, under the title that progress shows."""

    title: str
    sql: str
    parallel: bool = False


@dataclass(frozen=True)
class Progress:
    """What a step is doing: ``seconds`` is None when it starts, its duration when it has ended."""

    step: Step
    number: int
    total: int
    seconds: float | None = None


def data_files() -> list[Path]:
    """The files that build the database, in order."""
    return sorted(SQL.glob("[0-9][0-9]-*.sql"))


def steps(text: str) -> list[Step]:
    """The steps of one file, in order.

    :raises InvalidError: SQL stands above the first marker, or a step has none.
    """
    markers = list(_MARKER.finditer(text))
    preface = text[: markers[0].start()] if markers else text
    for line in preface.splitlines():
        if not _PREFACE.match(line):
            raise InvalidError(f"SQL before the first step: {line.strip()!r}")
    ends = [*(marker.start() for marker in markers), len(text)][1:]
    found = [
        Step(marker["title"], text[marker.end() : end].strip(), bool(marker["parallel"]))
        for marker, end in zip(markers, ends, strict=True)
    ]
    for step in found:
        if all(_PREFACE.match(line) for line in step.sql.splitlines()):
            raise InvalidError(f"step {step.title!r} has no SQL")
    return found


def groups(sequence: Sequence[Step]) -> Iterator[list[Step]]:
    """Steps that may run together; a step that is not parallel is a group of its own."""
    for parallel, members in groupby(sequence, key=lambda step: step.parallel):
        if parallel:
            yield list(members)
        else:
            yield from ([step] for step in members)


def run_script(
    dsn: str,
    files: Sequence[Path],
    *,
    progress: Callable[[Progress], None],
    workers: int = 2,
    settings: Mapping[str, str] | None = None,
) -> list[Progress]:
    """Run the files on one database; the durations of their steps, in the order of their ends.

    :param progress: called before and after each step, from one thread at a time.
    :param workers: how many connections the steps of a parallel group share.
    :param settings: session settings, such as ``demo.seed`` and ``demo.scale``.
    :raises CommandError: a step failed (the message names it), or the server does not answer;
        steps that run beside it are cancelled.
    """
    read = [(path, steps(path.read_text("utf-8"))) for path in files]
    with ExitStack() as stack:
        run = _Run(
            [
                stack.enter_context(_connect(dsn, {**SESSION, **(settings or {})}))
                for _ in range(workers)
            ],
            progress,
            total=sum(len(found) for _, found in read),
        )
        for _, found in read:
            for group in groups(found):
                run.group(group)
        return run.done


def _connect(dsn: str, settings: Mapping[str, str]) -> Connection:
    import psycopg

    try:
        connection = psycopg.connect(dsn, autocommit=True, application_name="cowdb demo")
    except psycopg.OperationalError as error:
        raise CommandError(f"cannot connect for the demo: {str(error).strip()}") from error
    try:
        for name, value in settings.items():
            connection.execute("select set_config(%s, %s, false)", (name, value))
    except psycopg.Error as error:
        connection.close()
        raise CommandError(f"setting {name!r} was refused: {str(error).strip()}") from error
    return connection


class _Run:
    """The connections of one run, what it has done, and who may speak."""

    def __init__(
        self,
        connections: list[Connection],
        progress: Callable[[Progress], None],
        total: int,
    ) -> None:
        self.done: list[Progress] = []
        self._connections = connections
        self._progress = progress
        self._total = total
        self._started = 0
        self._speaking = threading.Lock()

    def group(self, members: list[Step]) -> None:
        """Run the members; a failure of one cancels the others, and is raised when all are over."""
        if len(members) == 1:
            self._step(self._connections[0], members[0])
            return
        waiting = deque(members)
        stopped = threading.Event()
        with ThreadPoolExecutor(len(self._connections), "demo") as pool:
            running = [
                pool.submit(self._work, connection, waiting, stopped)
                for connection in self._connections
            ]
            try:
                for future in running:
                    future.result()
            except BaseException:  # Ctrl-C too: the pool waits for its threads.
                stopped.set()
                self._cancel()
                raise

    def _work(self, connection: Connection, waiting: deque[Step], stopped: threading.Event) -> None:
        """Take steps and run them until there are none or one has failed somewhere."""
        while not stopped.is_set():
            try:
                step = waiting.popleft()
            except IndexError:
                return
            try:
                self._step(connection, step)
            except BaseException:
                # Who is stopped already was cancelled for the failure of another: no news.
                if not stopped.is_set():
                    stopped.set()
                    self._cancel()
                    raise

    def _cancel(self) -> None:
        import psycopg

        for connection in self._connections:
            # A server that cannot be reached has ended the statement as well.
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=5)

    def _step(self, connection: Connection, step: Step) -> None:
        import psycopg

        with self._speaking:
            self._started += 1
            number = self._started
            self._progress(Progress(step, number, self._total))
        start = time.perf_counter()
        try:
            connection.execute(step.sql.encode())
        except psycopg.Error as error:
            raise CommandError(f"step {step.title!r} failed: {str(error).strip()}") from error
        ended = Progress(step, number, self._total, time.perf_counter() - start)
        with self._speaking:
            self.done.append(ended)
            self._progress(ended)
