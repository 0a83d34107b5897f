"""The agent's use cases as Python calls; answers are the JSON shapes of wire.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast
from urllib.parse import quote

from cowdb.controller.transport import Report, Transport, quiet
from cowdb.wire import (
    AncestorInfo,
    BranchInfo,
    ChangesInfo,
    Durability,
    Finding,
    LogInfo,
    Mode,
    OperationInfo,
    PlanInfo,
    PoolInfo,
    RemovedInfo,
    SnapshotInfo,
    SourceInfo,
    StatusInfo,
    WrittenInfo,
)

_V = "/v1"


def _path(*parts: str) -> str:
    return "/".join([_V, *(quote(part, safe="@", errors="replace") for part in parts)])


def _given(**values: object) -> dict[str, Any]:
    """A body without what the caller left out."""
    return {name: value for name, value in values.items() if value is not None}


class Client:
    """Everything that can be asked of one host, by noun."""

    def __init__(self, transport: Transport) -> None:
        self.host = Host(transport)
        self.sources = Sources(transport)
        self.snapshots = Snapshots(transport)
        self.branches = Branches(transport)
        self.plans = Plans(transport)


class Plans:
    """What operations would do, step by step, without doing them (`--dry-run`)."""

    def __init__(self, transport: Transport) -> None:
        self._call = transport.call

    def snapshot(self, ref: str, mode: Mode) -> list[str]:
        return self._ask("POST", _path("snapshots"), {"ref": ref, "mode": mode})

    def branch(
        self, name: str, origin: str, port: int | None = None, *,
        sleep_seconds: int | None = None, **limits: float | None,
    ) -> list[str]:  # fmt: skip
        """:param limits: memory_bytes, cpus and disk_bytes, as for Branches.create."""
        body = _given(name=name, origin=origin, port=port, sleep_seconds=sleep_seconds, **limits)
        return self._ask("POST", _path("branches"), body)

    def reset(self, name: str) -> list[str]:
        return self._ask("POST", _path("branches", name, "reset"), {})

    def remove(
        self, kind: Literal["sources", "snapshots", "branches"], name: str, *, promote: bool = False
    ) -> list[str]:
        return self._ask("DELETE", _path(kind, name), None, "&promote=1" if promote else "")

    def _ask(
        self, method: str, path: str, body: dict[str, Any] | None, more: str = ""
    ) -> list[str]:
        answer = self._call(method, f"{path}?dry_run=1{more}", body, quiet)
        return cast(PlanInfo, answer)["plan"]


class Host:
    def __init__(self, transport: Transport) -> None:
        self._call = transport.call

    def status(self) -> StatusInfo:
        return cast(StatusInfo, self._call("GET", _path("status"), None, quiet))

    def operations(self) -> list[OperationInfo]:
        return cast(list[OperationInfo], self._call("GET", _path("operations"), None, quiet))

    def doctor(self, *, repair: bool = False) -> list[Finding]:
        body = {"repair": repair}
        return cast(list[Finding], self._call("POST", _path("doctor"), body, quiet))

    def changes(self, first: str, other: str) -> ChangesInfo:
        """Where two branches can differ; call it when the snapshots to compare are taken."""
        body = {"first": first, "other": other}
        return cast(ChangesInfo, self._call("POST", _path("changes"), body, quiet))

    def written(self, branches: Sequence[str], *, search: bool = True) -> WrittenInfo:
        """What branches have written since the snapshot that all of them come from; call it when
        the snapshots to compare are taken.

        :param search: False only tells which snapshot that is."""
        body = {"branches": list(branches), "search": search}
        return cast(WrittenInfo, self._call("POST", _path("written"), body, quiet))

    def keep_counts(self, ancestor: str, counts: Mapping[str, int]) -> None:
        """:param ancestor: as `written` told it. :param counts: rows in it, by relation file."""
        body = {"ancestor": ancestor, "counts": dict(counts)}
        self._call("POST", _path("counts"), body, quiet)

    def ancestor(self, names: Sequence[str]) -> AncestorInfo:
        """The nearest snapshot that all of these branches, sources and snapshots descend from."""
        body = {"names": list(names)}
        return cast(AncestorInfo, self._call("POST", _path("ancestor"), body, quiet))

    def rebuild(self, pools: Sequence[str] = ()) -> list[Finding]:
        """:param pools: directories, or zfs:POOL/DATASET; none for where `cowdb init` makes one."""
        body = {"pools": list(pools)}
        return cast(list[Finding], self._call("POST", _path("doctor", "rebuild"), body, quiet))

    def pools(self) -> list[PoolInfo]:
        return cast(list[PoolInfo], self._call("GET", _path("pools"), None, quiet))

    def init_pool(
        self, *, path: str | None = None, size: int | None = None, driver: str | None = None,
        allow_copy: bool = False,
    ) -> PoolInfo:  # fmt: skip
        """:param size: bytes of the loop file that is made when there is no `path`."""
        body = _given(path=path, size=size, driver=driver, allow_copy=allow_copy)
        return cast(PoolInfo, self._call("POST", _path("pools"), body, quiet))

    def remove_pools(self, *, everything: bool = False, report: Report = quiet) -> None:
        """:param everything: with all branches, snapshots and sources, protected or not."""
        query = "?everything=1" if everything else ""
        self._call("DELETE", _path("pools") + query, None, report)


class Sources:
    def __init__(self, transport: Transport) -> None:
        self._call = transport.call

    def add(
        self, name: str, *, attach: str | None = None, dsn: str | None = None,
        loading: bool = False, database: str | None = None, superuser: str | None = None,
        version: str | None = None, port: int | None = None, report: Report = quiet,
    ) -> SourceInfo:  # fmt: skip
        """Without `attach` and `dsn` an empty managed source.

        :param loading: this process will load it and say `loaded`; until then nobody may use it,
            and it goes if this process dies.
        """
        body = _given(
            name=name, attach=attach, dsn=dsn, loading=loading, database=database,
            superuser=superuser, version=version, port=port,
        )  # fmt: skip
        return cast(SourceInfo, self._call("POST", _path("sources"), body, report))

    def loaded(self, name: str) -> SourceInfo:
        return self._act(name, "loaded", quiet)

    def start(self, name: str, report: Report = quiet) -> SourceInfo:
        return self._act(name, "start", report)

    def stop(self, name: str, report: Report = quiet) -> SourceInfo:
        return self._act(name, "stop", report)

    def _act(self, name: str, verb: str, report: Report) -> SourceInfo:
        return cast(SourceInfo, self._call("POST", _path("sources", name, verb), {}, report))

    def list(self) -> list[SourceInfo]:
        return cast("list[SourceInfo]", self._call("GET", _path("sources"), None, quiet))

    def show(self, name: str) -> SourceInfo:
        return cast(SourceInfo, self._call("GET", _path("sources", name), None, quiet))

    def remove(self, name: str, report: Report = quiet) -> None:
        self._call("DELETE", _path("sources", name), None, report)


class Snapshots:
    def __init__(self, transport: Transport) -> None:
        self._call = transport.call

    def create(
        self, ref: str, *, mode: Mode = "checkpoint", settle: bool = False, freeze: bool = False,
        protected: bool = False, report: Report = quiet,
    ) -> SnapshotInfo:  # fmt: skip
        """:param settle: wait until branches of it start without recovery.
        :param freeze: settle it with its rows frozen, so that reading them dirties no block."""
        body = {"ref": ref, "mode": mode, "settle": settle, "protected": protected}
        body |= {"freeze": True} if freeze else {}
        return cast(SnapshotInfo, self._call("POST", _path("snapshots"), body, report))

    def list(self, *, sizes: bool = False) -> list[SnapshotInfo]:
        path = _path("snapshots") + ("?sizes=1" if sizes else "")
        return cast("list[SnapshotInfo]", self._call("GET", path, None, quiet))

    def show(self, ref: str) -> SnapshotInfo:
        return cast(SnapshotInfo, self._call("GET", _path("snapshots", ref), None, quiet))

    def remove(self, ref: str, report: Report = quiet, *, promote: bool = False) -> RemovedInfo:
        """:param promote: branches of it stay, and cannot be reset any more."""
        path = _path("snapshots", ref) + ("?promote=1" if promote else "")
        return cast(RemovedInfo, self._call("DELETE", path, None, report))

    def warm(self, ref: str, spares: int | None) -> SnapshotInfo:
        """:param spares: how many servers are to be ready for branches; None leaves that to the
        agent."""
        path = _path("snapshots", ref, "warm")
        return cast(SnapshotInfo, self._call("POST", path, {"spares": spares}, quiet))

    def protect(self, ref: str, *, protected: bool = True) -> SnapshotInfo:
        path = _path("snapshots", ref, "protect")
        return cast(SnapshotInfo, self._call("POST", path, {"protected": protected}, quiet))


class Branches:
    def __init__(self, transport: Transport) -> None:
        self._call = transport.call

    def create(
        self, name: str, origin: str, *, port: int | None = None, ttl_seconds: int | None = None,
        sleep_seconds: int | None = None, hidden: bool = False,
        durability: Durability | None = None, memory_bytes: int | None = None,
        cpus: float | None = None, disk_bytes: int | None = None, report: Report = quiet,
    ) -> BranchInfo:  # fmt: skip
        """:param origin: a snapshot, or a bare source or branch, of which one is taken.
        :param sleep_seconds: without a client, after which it sleeps; 0 for never.
        :param durability: "fast" (the default) or "full", see docs/security.md."""
        body = _given(
            name=name, origin=origin, port=port, ttl_seconds=ttl_seconds,
            sleep_seconds=sleep_seconds, hidden=hidden, durability=durability,
            memory_bytes=memory_bytes, cpus=cpus, disk_bytes=disk_bytes,
        )  # fmt: skip
        return cast(BranchInfo, self._call("POST", _path("branches"), body, report))

    def list(self, *, sizes: bool = False) -> list[BranchInfo]:
        path = _path("branches") + ("?sizes=1" if sizes else "")
        return cast("list[BranchInfo]", self._call("GET", path, None, quiet))

    def show(self, name: str) -> BranchInfo:
        return cast(BranchInfo, self._call("GET", _path("branches", name), None, quiet))

    def log(self, name: str, *, after: int | None = None, last: int | None = None) -> LogInfo:
        """A piece of what its server has printed, up to 1 MiB.

        :param after: from this byte on. :param last: else from so many bytes before its end."""
        given = _given(after=after, last=last)
        query = "&".join(f"{key}={value}" for key, value in given.items())
        path = _path("branches", name, "log") + (f"?{query}" if query else "")
        return cast(LogInfo, self._call("GET", path, None, quiet))

    def remove(self, name: str, report: Report = quiet, *, promote: bool = False) -> RemovedInfo:
        """:param promote: its snapshots pass to what it came from, under new names."""
        path = _path("branches", name) + ("?promote=1" if promote else "")
        return cast(RemovedInfo, self._call("DELETE", path, None, report))

    def reset(self, name: str, report: Report = quiet) -> BranchInfo:
        return self._act(name, "reset", {}, report)

    def start(self, name: str, report: Report = quiet) -> BranchInfo:
        return self._act(name, "start", {}, report)

    def stop(self, name: str, report: Report = quiet) -> BranchInfo:
        return self._act(name, "stop", {}, report)

    def protect(self, name: str, *, protected: bool = True) -> BranchInfo:
        return self._act(name, "protect", {"protected": protected}, quiet)

    def _act(self, name: str, verb: str, body: dict[str, Any], report: Report) -> BranchInfo:
        return cast(BranchInfo, self._call("POST", _path("branches", name, verb), body, report))
