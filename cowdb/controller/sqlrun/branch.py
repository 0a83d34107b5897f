"""Which server a name means: a branch that runs and belongs to the caller, and nothing else."""

from __future__ import annotations

from urllib.parse import urlsplit

from cowdb.controller.branching import Connect
from cowdb.errors import ConflictError, InvalidError, NotFoundError, NotPermittedError
from cowdb.names import parse_ref
from cowdb.wire import BranchInfo


def branch_of(connect: Connect, name: str) -> BranchInfo:
    """:raises InvalidError: it is the name of a source or a snapshot, or a URL.
    :raises NotFoundError: there is nothing of that name.
    :raises NotPermittedError: it is somebody else's.
    :raises ConflictError: its server does not run."""
    if "://" in name or "=" in name:
        # The text is not repeated: it may hold a password.
        raise InvalidError("a connection string is not a branch",
                           hint="only branches can be used here, by their name")  # fmt: skip
    if parse_ref(name).snapshot is not None:
        raise InvalidError(
            f"{name!r} is a snapshot, not a branch",
            hint=f"make a branch of it: cowdb branch create NAME --from {name}",
        )
    with connect() as client:
        try:
            found = client.branches.show(name)
        except NotFoundError:
            if any(source["name"] == name for source in client.sources.list()):
                raise InvalidError(
                    f"{name!r} is a source, not a branch: nothing is run on sources",
                    hint=f"make a branch of it: cowdb branch create NAME --from {name}",
                ) from None
            raise
    if urlsplit(found["dsn"]).password is None:
        raise NotPermittedError(
            f"branch {name!r} belongs to {found['owner']}",
            hint=f"make a branch of your own of it: cowdb branch create NAME --from {name}",
        )
    if found["state"] not in ("running", "sleeping"):
        raise ConflictError(f"{name!r} is {found['state']}", hint=f"cowdb branch start {name}")
    return found
