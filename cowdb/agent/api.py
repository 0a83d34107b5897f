"""The agent's API as a table of routes: the server dispatches by it, a root user without an
agent calls it in process, and the OpenAPI document is made of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import msgspec

from cowdb import __version__
from cowdb.agent import journal, requests
from cowdb.agent.audit import Audit
from cowdb.agent.engines.postgres import binaries
from cowdb.agent.host import Report
from cowdb.agent.http import openapi
from cowdb.agent.operations import Planned, planning
from cowdb.agent.policy import Caller
from cowdb.agent.routes import VERSION, Call, Route
from cowdb.agent.service import views
from cowdb.agent.service.ancestry import Ancestry
from cowdb.agent.service.branches import Branches
from cowdb.agent.service.changes import Changes
from cowdb.agent.service.clearance import Clearance
from cowdb.agent.service.context import Context
from cowdb.agent.service.doctor import Doctor
from cowdb.agent.service.hostpools import HostPools
from cowdb.agent.service.logs import Logs
from cowdb.agent.service.newbranch import ordinary
from cowdb.agent.service.rebuild import Rebuild
from cowdb.agent.service.sleep import Sleep
from cowdb.agent.service.snapshots import Snapshots
from cowdb.agent.service.sources import Sources
from cowdb.agent.service.spares import Spares
from cowdb.errors import CowdbError, InvalidError, NotFoundError
from cowdb.wire import (
    AncestorInfo,
    BranchInfo,
    ChangesInfo,
    Finding,
    KeptInfo,
    LogInfo,
    OperationInfo,
    PlanInfo,
    PoolInfo,
    RemovedInfo,
    SnapshotInfo,
    SourceInfo,
    StatusInfo,
    WrittenInfo,
)


class Api:
    def __init__(
        self, context: Context, audit: Audit, kind: Literal["daemon", "in-process"]
    ) -> None:
        self._context, self._audit, self._kind = context, audit, kind
        self.snapshots = Snapshots(context)
        self.sources = Sources(context)
        self.spares = Spares(context, partial(ordinary, context))
        self.branches = Branches(context, self.snapshots, self.spares)
        self.logs = Logs(context)
        self.pools = HostPools(context)
        self.clearance = Clearance(context, self.branches, self.snapshots, self.sources)
        self.doctor = Doctor(context, self.spares)
        self.changes = Changes(context)
        self.ancestry = Ancestry(context)
        self.rebuild = Rebuild(context)
        self.sleep = Sleep(context)
        self.routes = self._routes()

    def _routes(self) -> tuple[Route, ...]:
        return (
            *self._host_routes(), *self._source_routes(),
            *self._snapshot_routes(), *self._branch_routes(),
        )  # fmt: skip

    def _host_routes(self) -> tuple[Route, ...]:
        return (
            Route("GET", "/status", "What runs here", None, StatusInfo, self._status),
            Route("GET", "/openapi.json", "This document", None, dict[str, Any], self._openapi),
            Route("GET", "/operations", "The latest operations", None, list[OperationInfo],
                  lambda call: journal.recent(self._context.store)),
            Route("POST", "/doctor", "Compare what was meant with what is", requests.Repair,
                  list[Finding],
                  lambda call: self.doctor.examine(call.caller, repair=call.body.repair)),
            Route("POST", "/changes", "Blocks in which two branches differ", requests.Changes,
                  ChangesInfo, lambda call: self.changes.between(call.body, call.caller)),
            Route("POST", "/written", "What branches have written since their common snapshot",
                  requests.Written, WrittenInfo,
                  lambda call: self.changes.written(call.body, call.caller)),
            Route("POST", "/counts", "Keep numbers of rows in a snapshot", requests.KeepCounts,
                  KeptInfo, lambda call: self.changes.keep(call.body, call.caller)),
            Route("POST", "/ancestor", "The nearest snapshot that all of them descend from",
                  requests.Ancestor, AncestorInfo, lambda call: self.ancestry.common(call.body)),
            Route("POST", "/doctor/rebuild", "Make the store anew from what the pools hold",
                  requests.Rebuild, list[Finding],
                  lambda call: self.rebuild.run(call.body.pools, call.caller)),
            Route("GET", "/pools", "The pools of this host", None, list[PoolInfo],
                  lambda call: self.pools.listing()),
            Route("POST", "/pools", "Make a pool", requests.InitPool, PoolInfo,
                  lambda call: self.pools.init(call.body, call.caller)),
            Route("DELETE", "/pools", "Forget all pools, remove those that cowdb made", None, None,
                  self._remove_pools),
        )  # fmt: skip

    def _source_routes(self) -> tuple[Route, ...]:
        sources = self.sources
        return (
            Route("GET", "/sources", "All sources", None, list[SourceInfo],
                  lambda call: sources.listing(call.caller)),
            Route("POST", "/sources", "Add a source", requests.AddSource, SourceInfo,
                  lambda call: sources.add(call.body, call.caller, call.report)),
            Route("GET", "/sources/{name}", "One source", None, SourceInfo,
                  lambda call: sources.show(call.names[0], call.caller)),
            Route("DELETE", "/sources/{name}", "Remove a source", None, None,
                  lambda call: sources.remove(call.names[0], call.caller, call.report),
                  planned=True),
            Route("POST", "/sources/{name}/start", "Start a managed source", requests.Empty,
                  SourceInfo,
                  lambda call: sources.start(call.names[0], call.caller, call.report)),
            Route("POST", "/sources/{name}/stop", "Stop a managed source", requests.Empty,
                  SourceInfo,
                  lambda call: sources.stop(call.names[0], call.caller, call.report)),
            Route("POST", "/sources/{name}/loaded", "Say that a new source has its data",
                  requests.Empty, SourceInfo,
                  lambda call: sources.loaded(call.names[0], call.caller)),
        )  # fmt: skip

    def _snapshot_routes(self) -> tuple[Route, ...]:
        snapshots = self.snapshots
        return (
            Route("GET", "/snapshots", "All snapshots", None, list[SnapshotInfo],
                  lambda call: snapshots.listing(sizes=call.sizes)),
            Route("POST", "/snapshots", "Take a snapshot", requests.CreateSnapshot, SnapshotInfo,
                  lambda call: snapshots.create(call.body, call.caller, call.report), planned=True),
            Route("GET", "/snapshots/{ref}", "One snapshot", None, SnapshotInfo,
                  lambda call: snapshots.show(call.names[0], call.caller)),
            Route("DELETE", "/snapshots/{ref}", "Remove a snapshot", None, RemovedInfo,
                  lambda call: snapshots.remove(
                      call.names[0], call.caller, call.report, promote=call.promote),
                  planned=True,
                  switches={"promote": "branches of it stay, and cannot be reset any more"}),
            Route("POST", "/snapshots/{ref}/warm", "Say how many spares a snapshot is to have",
                  requests.WarmSnapshot, SnapshotInfo,
                  lambda call: self.spares.warm(call.names[0], call.body, call.caller)),
            Route("POST", "/snapshots/{ref}/protect", "Protect a snapshot, or no longer",
                  requests.Protect, SnapshotInfo,
                  lambda call: snapshots.protect(
                      call.names[0], call.caller, protected=call.body.protected)),
        )  # fmt: skip

    def _branch_routes(self) -> tuple[Route, ...]:
        branches = self.branches
        return (
            Route("GET", "/branches", "All branches", None, list[BranchInfo],
                  lambda call: branches.listing(call.caller, sizes=call.sizes)),
            Route("POST", "/branches", "Make a branch", requests.CreateBranch, BranchInfo,
                  lambda call: branches.create(call.body, call.caller, call.report), planned=True),
            Route("GET", "/branches/{name}", "One branch", None, BranchInfo,
                  lambda call: branches.show(call.names[0], call.caller)),
            Route("GET", "/branches/{name}/log", "What its server has printed", None, LogInfo,
                  lambda call: self.logs.read(
                      call.names[0], call.caller, call.number("after"), call.number("last")),
                  numbers={"after": "from this byte on",
                           "last": "else from so many bytes before its end"}),
            Route("DELETE", "/branches/{name}", "Remove a branch", None, RemovedInfo,
                  lambda call: branches.remove(
                      call.names[0], call.caller, call.report, promote=call.promote),
                  planned=True,
                  switches={"promote": "its snapshots pass to what it came from"}),
            Route("POST", "/branches/{name}/reset", "Back to its snapshot", requests.Empty,
                  BranchInfo,
                  lambda call: branches.reset(call.names[0], call.caller, call.report),
                  planned=True),
            Route("POST", "/branches/{name}/start", "Start its server", requests.Empty, BranchInfo,
                  lambda call: branches.start(call.names[0], call.caller, call.report),
                  planned=True),
            Route("POST", "/branches/{name}/stop", "Stop its server", requests.Empty, BranchInfo,
                  lambda call: branches.stop(call.names[0], call.caller, call.report),
                  planned=True),
            Route("POST", "/branches/{name}/protect", "Protect a branch, or no longer",
                  requests.Protect, BranchInfo,
                  lambda call: branches.protect(
                      call.names[0], call.caller, protected=call.body.protected)),
        )  # fmt: skip

    def call(
        self, method: str, path: str, query: Mapping[str, str], body: bytes, caller: Caller,
        report: Report,
    ) -> object:  # fmt: skip
        """The answer as a JSON value; raises CowdbError."""
        route, names = self.find(method, path)
        decoded = _decode(route, body)
        request = Call(caller, names, query, decoded, report)
        if method == "GET":
            return route.handler(request)
        if query.get("dry_run") == "1":
            return _plan_of(route, request)
        with self._audit.entry(caller, method, path, decoded):
            return route.handler(request)

    def find(self, method: str, path: str) -> tuple[Route, tuple[str, ...]]:
        prefix, below = path[: len(VERSION) + 1], path[len(VERSION) + 1 :]
        if prefix != f"/{VERSION}":
            raise NotFoundError(
                f"this agent speaks {VERSION}, not {path.split('/')[1][:20]!r}",
                hint="install the same version of cowdb on both sides",
            )
        for route in self.routes:
            names = route.match(below) if route.method == method else None
            if names is not None:
                return route, names
        raise NotFoundError(f"the agent knows no {method} {path[:100]}")

    def _remove_pools(self, call: Call) -> None:
        if call.query.get("everything") == "1":
            self.clearance.remove_everything(call.caller, call.report)
        self.pools.remove_all(call.caller)

    def _status(self, call: Call) -> StatusInfo:
        with self._context.store.transaction() as tx:
            sources, ports = tx.sources.count(), len(tx.ports())
            snapshots = tx.snapshots.count("not json_extract(doc, '$.implicit')")
        first, last = self._context.host.config.ports
        found = binaries.find(self._context.host.config.bindirs)
        return {
            "version": __version__,
            "agent": self._kind,
            "pid": os.getpid(),
            "pools": self.pools.listing(),
            "sources": sources,
            "snapshots": snapshots,
            "branches": self.branches.states(),
            "spares": self.spares.status(),
            "ports": {"first": first, "last": last, "used": ports},
            "postgres": [item.version for _, item in sorted(found.items())],
            "limits": views.capacity_info(self._context.host),
        }

    def _openapi(self, call: Call) -> dict[str, Any]:

        return openapi.document(self.routes)


def _plan_of(route: Route, request: Call) -> PlanInfo:
    """What the request would do; raises InvalidError where that cannot be said."""
    if not route.planned:
        raise InvalidError(
            f"{route.method} {route.path} has no plan to show", hint="leave dry_run out"
        )
    token = planning.set(True)
    try:
        route.handler(request)
    except Planned as planned:
        return {"plan": list(planned.steps)}
    finally:
        planning.reset(token)
    return {"plan": []}


def _decode(route: Route, body: bytes) -> Any:  # noqa: ANN401
    if route.request is None:
        return None
    try:
        return msgspec.json.decode(body or b"{}", type=route.request)
    except msgspec.DecodeError as error:
        raise InvalidError(
            f"the request is not valid: {error}", hint=f"GET /{VERSION}/openapi.json says what is"
        ) from error


def failure(error: BaseException) -> CowdbError:
    """Any exception as one that a client can be told; what was not foreseen is named as such."""
    if isinstance(error, CowdbError):
        return error
    return CowdbError(
        f"the agent failed: {type(error).__name__}",
        hint="the agent's log has the details; please report this",
    )
