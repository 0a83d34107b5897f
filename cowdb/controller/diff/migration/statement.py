"""What a migration consists of: statements with their marks, and what is left undone."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cowdb.controller.diff.model import ObjectKey, StatementEntry

EXCLUSIVE = "ACCESS EXCLUSIVE"
SHARE = "SHARE"
SHARE_ROW = "SHARE ROW EXCLUSIVE"
SHARE_UPDATE = "SHARE UPDATE EXCLUSIVE"


@dataclass(frozen=True)
class Statement:
    """One SQL statement without its semicolon.

    :param sql: empty for what is not done: then `reason` says what and why.
    :param lock: the strongest lock taken on a relation that exists already; empty for none.
    :param long_lock: the lock is held while a table is read, written or indexed.
    :param rewrites: a table is written anew.
    """

    sql: str
    kind: str
    name: str
    lock: str = ""
    long_lock: bool = False
    rewrites: bool = False
    loses_data: bool = False
    reason: str = ""

    def marked(self, reason: str, **marks: bool | str) -> Statement:
        """With more marks; reasons add up."""
        both = "; ".join(part for part in (self.reason, reason) if part)
        return replace(self, reason=both, **marks)  # type: ignore[arg-type]

    def entry(self, in_transaction: bool) -> StatementEntry:
        return {
            "statement": self.sql,
            "kind": self.kind,
            "name": self.name,
            "loses_data": self.loses_data,
            "lock": self.lock,
            "long_lock": self.long_lock,
            "rewrites": self.rewrites,
            "in_transaction": in_transaction and bool(self.sql),
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Migration:
    """The statements of a migration, in order.

    :param before: run one by one before the transaction: what must be committed to be of use.
    :param inside: run in one transaction.
    :param undone: what no statement here does, each with its reason.
    """

    before: tuple[Statement, ...]
    inside: tuple[Statement, ...]
    undone: tuple[Statement, ...]

    def entries(self) -> list[StatementEntry]:
        return [
            *(one.entry(False) for one in self.before),
            *(one.entry(True) for one in self.inside),
            *(one.entry(False) for one in self.undone),
        ]


def about(key: ObjectKey, sql: str, lock: str = "") -> Statement:
    return Statement(sql, key.kind, key.name, lock)


def undone(key: ObjectKey, reason: str) -> Statement:
    return Statement("", key.kind, key.name, reason=reason)
