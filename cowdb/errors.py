"""The one tree of errors.

Each class owns its machine-readable code, its exit status on the command line and its HTTP
status; a message says what failed, on which object and why, a hint says what to do next.
No message ever carries a secret.
"""

from __future__ import annotations

from typing import ClassVar


class CowdbError(Exception):
    """Anything that cowdb refuses or fails to do, ready to be shown to a person.

    :param message: lower case, names the object and the reason, no full stop.
    :param hint: the way out, as a command or a sentence; empty when there is none to give.
    """

    code: ClassVar[str] = "failed"
    exit_status: ClassVar[int] = 1
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def as_json(self) -> dict[str, str]:
        return {"code": self.code, "message": self.message, "hint": self.hint}


class InvalidError(CowdbError):
    """The request itself is wrong: a bad name, an impossible combination of options."""

    code = "invalid"
    exit_status = 2
    http_status = 400


class NotFoundError(CowdbError):
    """There is no object of that name."""

    code = "not_found"
    exit_status = 4
    http_status = 404


class ConflictError(CowdbError):
    """The object is there already, is protected, has dependents, or is being changed."""

    code = "conflict"
    exit_status = 5
    http_status = 409


class BusyError(ConflictError):
    """Another operation holds the object right now; trying again later may succeed."""

    code = "busy"


class TooManyError(ConflictError):
    """The caller has as many of them as one user may have."""

    code = "too_many"


class LimitsUnavailableError(CowdbError):
    """A limit was asked for that this host, or its pool, cannot hold a branch to."""

    code = "limits_unavailable"
    http_status = 422


class PortError(ConflictError):
    """A port is held by somebody else, or the configured range has none left."""

    code = "port_unavailable"


class UnreachableError(CowdbError):
    """No agent answers on the socket."""

    code = "agent_unreachable"
    exit_status = 6
    http_status = 503


class NotPermittedError(CowdbError):
    """The caller may not do this."""

    code = "not_permitted"
    exit_status = 7
    http_status = 403


class StorageError(CowdbError):
    """The copy-on-write filesystem said no."""

    code = "storage"


class PoolFullError(StorageError):
    """The pool, or a quota on it, has no room left."""

    code = "pool_full"
    http_status = 507


class PoolMissingError(StorageError):
    """The pool is not where it was: unmounted, or its disk is gone."""

    code = "pool_missing"


class NotSharedError(StorageError):
    """The filesystem would copy every block where a clone was asked for."""

    code = "not_shared"


class UnsoundError(CowdbError):
    """A snapshot taken like this could not be recovered to a consistent database."""

    code = "unsound"
    http_status = 422


class ServerError(CowdbError):
    """A Postgres server did not start, died, or refused what the agent asked of it."""

    code = "server"


class SourceDownError(ServerError):
    """The operation needs a running source and its server is down."""

    code = "source_down"
    exit_status = 5
    http_status = 409


class CommandError(CowdbError):
    """An external command failed; the message carries its last lines of stderr."""

    code = "command"


class StoreError(CowdbError):
    """The agent's store cannot be read or is of another version."""

    code = "store"


KINDS: dict[str, type[CowdbError]] = {
    kind.code: kind
    for kind in (
        CowdbError, InvalidError, NotFoundError, ConflictError, BusyError, PortError,
        TooManyError, LimitsUnavailableError,
        UnreachableError, NotPermittedError, StorageError, PoolFullError, PoolMissingError,
        NotSharedError, UnsoundError, ServerError, SourceDownError, CommandError, StoreError,
    )
}  # fmt: skip


def from_json(value: dict[str, str]) -> CowdbError:
    """The error that the other side raised, from its JSON form."""
    kind = KINDS.get(value.get("code", ""), CowdbError)
    return kind(value.get("message", "unknown error"), hint=value.get("hint", ""))
