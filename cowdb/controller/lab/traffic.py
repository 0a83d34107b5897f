"""The load of an attempt, where one was asked for; else nothing that can be begun and ended."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from cowdb.controller.lab.load import running
from cowdb.controller.lab.model import LoadResult
from cowdb.controller.lab.probe.instruments import QUIET
from cowdb.controller.lab.spec.model import Load, seconds
from cowdb.controller.lab.steps.command import Stop


class Traffic(Protocol):
    def begin(self) -> None:
        """The strategy is about to begin."""

    def end(self) -> None:
        """It has ended."""

    def result(self) -> LoadResult | None:
        """When all is over."""


class _Nothing:
    def begin(self) -> None: ...

    def end(self) -> None: ...

    def result(self) -> None:
        return None


@contextlib.contextmanager
def traffic(
    dsn: str, load: Load | None, directory: Path, bindirs: Sequence[str], stop: Stop
) -> Iterator[Traffic]:  # fmt: skip
    """For the length of a block, and before and after it for as long as the load says. The server
    does not log its sessions, which would cost more than they do."""
    if load is None:
        yield _Nothing()
        return
    quiet = f"{dsn}?options={quote(QUIET, safe='')}"
    with running(quiet, load, directory, bindirs=bindirs) as found:
        stop.wait(seconds(load.before))
        yield found
        stop.wait(seconds(load.after))
