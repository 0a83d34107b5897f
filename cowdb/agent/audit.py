"""Who asked for what, and what came of it: one JSON line for each request that changes
something, in a file that is only ever appended to."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from cowdb.agent.policy import Caller
from cowdb.agent.requests import KeepCounts
from cowdb.errors import CowdbError

_SECRET_FIELDS = frozenset({"dsn"})


class Audit:
    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextlib.contextmanager
    def entry(self, caller: Caller, method: str, path: str, body: object) -> Iterator[None]:
        """Write the line when the request is over."""
        line = {
            "at": datetime.now(UTC).isoformat(),
            "uid": caller.uid,
            "user": caller.name,
            "pid": caller.pid,
            "request": f"{method} {path}",
            "body": _shown(body),
        }
        outcome = "done"
        try:
            yield
        except CowdbError as error:
            outcome = error.code
            raise
        except BaseException as error:
            outcome = type(error).__name__
            raise
        finally:
            # One write call to a descriptor opened for appending: lines never mix.
            os.write(self._file, (json.dumps({**line, "outcome": outcome}) + "\n").encode())

    def close(self) -> None:
        os.close(self._file)


def _shown(body: object) -> object:
    if body is None:
        return None
    values = msgspec.to_builtins(body)
    if isinstance(body, KeepCounts):
        values["counts"] = f"{len(body.counts)} numbers"
    return {name: "***" if name in _SECRET_FIELDS and value else value
            for name, value in values.items()}  # fmt: skip
