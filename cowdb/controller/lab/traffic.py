"""The load of an attempt, where one was asked for; else nothing that can be begun and ended."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from cowdb.controller.lab.model import LoadResult
from cowdb.controller.lab.probe.instruments import own_dsn
from cowdb.controller.lab.spec.model import Load

APPLICATION = "cowdb load"


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
def traffic(dsn: str, load: Load | None, directory: Path) -> Iterator[Traffic]:
    """Its sessions are known by their application name, and not logged by the server."""
    if load is None:
        yield _Nothing()
        return
    raise NotImplementedError(own_dsn(dsn, APPLICATION), directory)
