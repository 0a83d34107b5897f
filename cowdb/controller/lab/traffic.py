"""The load of an attempt, where one was asked for; else nothing that can be begun and ended."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from cowdb.controller.lab.load import running
from cowdb.controller.lab.load.clients import APPLICATION
from cowdb.controller.lab.model import LoadResult
from cowdb.controller.lab.probe.instruments import own_dsn
from cowdb.controller.lab.spec.model import Load
from cowdb.controller.lab.steps.command import Stop


class Traffic(Protocol):
    def begin(self) -> None:
        """The strategy begins when this returns."""

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
) -> Iterator[Traffic]:
    """Its sessions are known by their application name. The server does not log them, which would
    cost more than they do."""
    if load is None:
        yield _Nothing()
        return
    own = own_dsn(dsn, APPLICATION)
    with running(own, load, directory, bindirs=bindirs, stopped=lambda: stop.said) as found:
        yield found
