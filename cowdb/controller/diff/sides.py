"""What `cowdb diff` may be given: branches, sources, snapshots, and any postgresql:// URL."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from urllib.parse import urlsplit

from cowdb.controller.branching import Connect, throw_away
from cowdb.controller.diff.model import Side
from cowdb.controller.transport import Report, quiet
from cowdb.errors import ConflictError, InvalidError, NotFoundError
from cowdb.names import parse_ref

_URLS = ("postgresql://", "postgres://")


@contextlib.contextmanager
def resolve(connect: Connect, names: Sequence[str], report: Report = quiet) -> Iterator[list[Side]]:
    """The sides, connectable for the length of a block; a snapshot gets a hidden branch."""
    if len(names) < 2:
        raise InvalidError("a comparison needs two sides", hint="cowdb diff A B")
    with ExitStack() as stack:
        yield [side_of(connect, name, stack, report) for name in names]


def side_of(connect: Connect, name: str, stack: ExitStack, report: Report) -> Side:
    """:param stack: keeps what had to be made for it."""
    if is_url(name):
        return Side(_label(name), name)
    ref = parse_ref(name, implicit=True)
    if ref.snapshot is not None:
        branch = stack.enter_context(throw_away(connect, name, "diff", hidden=True, report=report))
        return Side(name, branch["dsn"], branch["name"])
    held = False
    with connect() as client:
        try:
            found_branch = client.branches.show(name)
            dsn: str | None = found_branch["dsn"]
            state = found_branch["state"]
            branch_name: str | None = name
        except NotFoundError:
            found = client.sources.show(name)
            dsn, state, branch_name = found["dsn"], found["state"], None
            held = found["kind"] == "managed"
    if dsn is None or state not in ("running", "sleeping"):
        raise ConflictError(f"{name!r} is {state}", hint=f"cowdb branch start {name}")
    return Side(name, dsn, branch_name, held)


def is_url(name: str) -> bool:
    return name.startswith(_URLS)


def _label(url: str) -> str:
    """A URL without its password."""
    parts = urlsplit(url)
    user = f"{parts.username}@" if parts.username else ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{user}{parts.hostname or ''}{port}{parts.path}"
