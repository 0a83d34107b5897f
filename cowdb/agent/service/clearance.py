"""Everything that cowdb holds on this host removed, whoever owns it and however it is protected:
what root asks for who takes cowdb away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cowdb.agent.host import Report
from cowdb.agent.policy import Caller, require_root
from cowdb.agent.service.branches import Branches
from cowdb.agent.service.context import Context
from cowdb.agent.service.snapshots import Snapshots
from cowdb.agent.service.sources import Sources
from cowdb.agent.store import NAMED, Transaction
from cowdb.errors import ConflictError


class Clearance:
    def __init__(
        self, context: Context, branches: Branches, snapshots: Snapshots, sources: Sources
    ) -> None:
        self._context = context
        self._branches, self._snapshots, self._sources = branches, snapshots, sources

    def remove_everything(self, caller: Caller, report: Report) -> None:
        """Leaves first, for as long as something goes.

        :raises ConflictError: what others come from in a circle, or what is busy, is left.
        """
        require_root(caller, "remove everything")
        self._unprotect()
        while names := self._round(caller, report):
            refusal = self._attempt(names)
            if refusal is not None:
                raise refusal

    def _unprotect(self) -> None:
        with self._context.store.transaction() as tx:
            for branch in tx.branches.all():
                tx.branches.put(replace(branch, protected=False))
            for snapshot in tx.snapshots.all():
                tx.snapshots.put(replace(snapshot, protected=False))

    def _round(self, caller: Caller, report: Report) -> list[Callable[[], object]]:
        """A removal for each thing that is there now."""
        with self._context.store.transaction() as tx:
            return [
                *(self._removal(self._branches.remove, item.name, caller, report)
                  for item in tx.branches.all()),
                *(self._removal(self._snapshots.remove, ref, caller, report)
                  for ref in _refs(tx)),
                *(self._removal(self._sources.remove, item.name, caller, report)
                  for item in tx.sources.all()),
            ]  # fmt: skip

    def _removal(
        self, remove: Callable[[str, Caller, Report], object], name: str, caller: Caller,
        report: Report,
    ) -> Callable[[], object]:  # fmt: skip
        return lambda: remove(name, caller, report)

    def _attempt(self, removals: list[Callable[[], object]]) -> ConflictError | None:
        """Try each; None when at least one thing went."""
        refusal: ConflictError | None = None
        went = False
        for remove in removals:
            try:
                remove()
                went = True
            except ConflictError as error:
                refusal = error
        return None if went else refusal


def _refs(tx: Transaction) -> list[str]:
    """Named snapshots; the implicit ones go with their branches."""
    return [f"{item.parent_name}@{item.name}" for item in tx.snapshots.all(NAMED)]
