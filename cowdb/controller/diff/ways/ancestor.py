"""The database that changes are told from: the nearest common snapshot, or what the user names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from cowdb.controller.branching import Connect
from cowdb.controller.diff.model import NO_ORIGIN, Origin, Side
from cowdb.controller.diff.sides import is_url, side_of
from cowdb.controller.transport import Report, quiet
from cowdb.errors import CowdbError, NotFoundError


@contextlib.contextmanager
def find_origin(
    connect: Connect, names: Sequence[str], sides: Sequence[Side], base: str | None = None,
    wanted: bool | None = None, report: Report = quiet,
) -> Iterator[Origin]:  # fmt: skip
    """The ancestor, connectable for the length of a block: a snapshot gets a hidden branch, unless
    it is one of the sides.

    :param names: what the sides were called by.
    :param base: what to take for it: a branch, a source, a snapshot or a URL.
    :param wanted: whether to look for one; None for three sides and more.
    :raises NotFoundError: one is wanted, and there is none.
    """
    if base is None and not (len(names) > 2 if wanted is None else wanted):
        yield NO_ORIGIN
        return
    with ExitStack() as stack:
        ref, reason = (base, "") if base is not None else _common(connect, names)
        if ref is None:
            if wanted:
                raise NotFoundError(
                    f"the sides have no common ancestor: {reason}",
                    hint="name what to tell changes from: --base SIDE",
                )
            yield Origin(None, reason)
        elif ref in names:
            yield Origin(sides[names.index(ref)])
        else:
            yield _made(connect, ref, stack, report, needed=base is not None or bool(wanted))


def _made(connect: Connect, ref: str, stack: ExitStack, report: Report, *, needed: bool) -> Origin:
    """:param needed: somebody asked for it; else a host without room for one more branch is no
    reason not to compare the sides."""
    try:
        return Origin(side_of(connect, ref, stack, report))
    except CowdbError as error:
        if needed:
            raise
        return Origin(None, f"{ref} could not be looked at: {error.message}")


def _common(connect: Connect, names: Sequence[str]) -> tuple[str | None, str]:
    """(the snapshot's reference, else why there is none)."""
    if any(map(is_url, names)):
        return None, "a postgresql:// URL says nothing of where its database comes from (--base)"
    with connect() as client:
        found = client.host.ancestor(names)
    return found["ref"], found["reason"]
