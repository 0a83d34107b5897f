"""Sources: attached where they live, or managed by cowdb; started, stopped, forgotten."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import replace
from pathlib import Path

from cowdb.agent import plan, ports, processes
from cowdb.agent.effects.servers import LOOPBACK, process_of
from cowdb.agent.engines.postgres import attached, binaries, imports
from cowdb.agent.engines.postgres.binaries import Binaries
from cowdb.agent.engines.postgres.control import major_version, read_pid_file
from cowdb.agent.engines.postgres.imports import Remote, RemoteFacts
from cowdb.agent.host import Attempt, Report
from cowdb.agent.operations import Intent
from cowdb.agent.policy import Caller, require_owner, require_root
from cowdb.agent.requests import AddSource
from cowdb.agent.service import views
from cowdb.agent.service.context import (
    Context,
    find_source,
    new_id,
    refuse_dependents,
    require_ready,
    timings,
)
from cowdb.agent.service.portchoice import claim_port, on_another_port
from cowdb.agent.steps import MakeRooms, Plan, Step
from cowdb.agent.store import Transaction
from cowdb.errors import ConflictError, CowdbError, InvalidError, NotFoundError
from cowdb.model import Cluster, SourceRecord, Wanted
from cowdb.names import source_name
from cowdb.wire import ServerState, SourceInfo

log = logging.getLogger("cowdb.sources")
SUPERUSER = "postgres"


class Sources:
    def __init__(self, context: Context) -> None:
        self._context = context

    def add(self, request: AddSource, caller: Caller, report: Report) -> SourceInfo:
        source_name(request.name)
        if request.attach is not None:
            require_root(caller, "attach a data directory of this host")
            return self._attach(request, caller)
        if request.superuser:
            raise InvalidError("--superuser goes with --attach", hint="leave it out")
        if request.dsn is not None:
            return self._copy(request, caller, report)
        return self._create_empty(request, caller, report)

    def _attach(self, request: AddSource, caller: Caller) -> SourceInfo:
        """Look at everything that a snapshot will need, and remember the directory."""
        assert request.attach is not None
        if not request.attach.startswith("/"):
            raise InvalidError(
                f"--attach {request.attach!r} is not an absolute path", hint="begin it with /"
            )
        datadir = attached.resolve(Path(request.attach))
        owner = attached.owner_of(datadir)
        superuser, database = request.superuser or owner.name, request.database or "postgres"
        pool, _ = self._context.pools.for_paths(attached.territory(datadir).paths)
        version = major_version(datadir)
        if attached.running(datadir):
            with attached.session(datadir, superuser) as db:
                facts = attached.facts(db)
            version, superuser = facts.version, facts.superuser
            database = request.database or facts.database
        binaries.pick(self._context.host.config.bindirs, version)
        source = SourceRecord(
            id=new_id("so"),
            name=request.name,
            kind="attached",
            state="ready",
            pool=pool.id,
            version=version,
            database=database,
            superuser=superuser,
            owner_uid=caller.uid,
            created_at=self._context.now(),
            datadir=str(datadir),
        )
        with self._context.store.transaction() as tx:
            for other in tx.sources.all():
                if other.datadir == source.datadir:
                    raise ConflictError(f"{datadir} is already source {other.name!r}")
            tx.claim_name(source.name, "source", source.id)
            tx.sources.put(source)
        return self.show(source.name, caller)

    def _copy(self, request: AddSource, caller: Caller, report: Report) -> SourceInfo:
        assert request.dsn is not None
        conninfo, password = imports.split_secret(request.dsn)
        facts = imports.inspect(Remote(conninfo, password))
        tools = binaries.pick(self._context.host.config.bindirs, facts.version)
        attempt = Attempt(report=report, secrets={"password": password}, settings=facts.settings)
        return self._make(request, caller, attempt, tools, (conninfo, facts))

    def _create_empty(self, request: AddSource, caller: Caller, report: Report) -> SourceInfo:
        tools = binaries.pick(self._context.host.config.bindirs, request.version)
        return self._make(request, caller, Attempt(report=report), tools, None)

    def _make(
        self, request: AddSource, caller: Caller, attempt: Attempt, tools: Binaries,
        remote: tuple[str, RemoteFacts] | None,
    ) -> SourceInfo:  # fmt: skip
        def work(current: Attempt) -> None:
            self._run_make(request, caller, current, tools, remote)

        on_another_port(request.port, attempt, work)
        return self.show(request.name, caller)

    def _run_make(
        self, request: AddSource, caller: Caller, attempt: Attempt, tools: Binaries,
        remote: tuple[str, RemoteFacts] | None,
    ) -> None:  # fmt: skip
        before = time.perf_counter()
        source_id = new_id("so")

        def prepare(tx: Transaction) -> Intent:
            tx.claim_name(request.name, "source", source_id)
            pool = self._context.pools.default()
            self._context.pools.require_room(pool.id)
            port = claim_port(self._context, tx, request.port, source_id, attempt)
            reserved.callback(ports.listening(LOOPBACK, port, 1).close)
            source = self._record(request, caller, source_id, pool.id, port, tools, remote)
            tx.sources.put(source)
            return Intent("source add", request.name, source_id, self._plan(source, remote))

        def commit(tx: Transaction, done: Attempt) -> None:
            source = tx.sources.get(source_id)
            assert source is not None and source.cluster is not None
            cluster = replace(source.cluster, process=done.process)
            took = timings(done.timings, (time.perf_counter() - before) * 1000)
            tx.sources.put(
                replace(
                    source,
                    state="loading" if request.loading else "ready",
                    cluster=cluster,
                    loader=processes.identify(caller.pid) if request.loading else None,
                    quarantined=(*source.quarantined, *done.quarantined),
                    timings=took,
                )
            )

        with contextlib.ExitStack() as reserved:  # to load it may take hours

            def passed(step: Step) -> None:
                if isinstance(step, MakeRooms):  # the server is started next
                    reserved.close()

            attempt.passed = passed
            self._context.operations.run(caller.name, prepare, commit, attempt)

    def _plan(self, source: SourceRecord, remote: tuple[str, RemoteFacts] | None) -> Plan:
        if remote is None:
            return plan.create_managed(source)
        conninfo, facts = remote
        return plan.copy_managed(source, conninfo, facts.tablespaces)

    def _record(
        self, request: AddSource, caller: Caller, source_id: str, pool: str, port: int,
        tools: Binaries, remote: tuple[str, RemoteFacts] | None,
    ) -> SourceRecord:  # fmt: skip
        facts = remote[1] if remote else None
        superuser = facts.superuser if facts else SUPERUSER
        database = request.database or (facts.database if facts else request.name)
        cluster = Cluster(
            id=source_id,
            pool=pool,
            volume=source_id,
            data="data",
            port=port,
            version=tools.version,
            superuser=superuser,
            database=database,
            durable=True,
        )
        return SourceRecord(
            id=source_id,
            name=request.name,
            kind="managed",
            state="creating",
            pool=pool,
            version=tools.version,
            database=database,
            superuser=superuser,
            owner_uid=caller.uid,
            created_at=self._context.now(),
            cluster=cluster,
        )

    def loaded(self, name: str, caller: Caller) -> SourceInfo:
        """The caller has loaded its data: the source is whole."""
        with self._context.store.transaction() as tx:
            source = find_source(tx, name)
            require_owner(caller, source.owner_uid, f"finish loading source {name!r}")
            if source.state == "loading":
                tx.sources.put(replace(source, state="ready", loader=None))
        return self.show(name, caller)

    def show(self, name: str, caller: Caller) -> SourceInfo:
        with self._context.store.transaction() as tx:
            source = find_source(tx, name)
        return self._view(source, caller)

    def listing(self, caller: Caller) -> list[SourceInfo]:
        with self._context.store.transaction() as tx:
            found = tx.sources.all()
        return [self._view(source, caller) for source in found]

    def _view(self, source: SourceRecord, caller: Caller) -> SourceInfo:
        state = _attached_state(source) if source.kind == "attached" else None
        return views.source_info(source, self._context.host, caller, state)

    def start(self, name: str, caller: Caller, report: Report) -> SourceInfo:
        return self._switch(name, caller, report, running=True)

    def stop(self, name: str, caller: Caller, report: Report) -> SourceInfo:
        return self._switch(name, caller, report, running=False)

    def _switch(self, name: str, caller: Caller, report: Report, *, running: bool) -> SourceInfo:
        verb = "start" if running else "stop"
        with self._context.store.transaction() as tx:
            source = find_source(tx, name)
        require_owner(caller, source.owner_uid, f"{verb} source {name!r}")
        if source.cluster is None:
            raise InvalidError(
                f"source {name!r} is attached: cowdb does not run it",
                hint=f"{verb} it through what runs it",
            )

        def prepare(tx: Transaction) -> Intent:
            current = find_source(tx, name)
            require_ready(current, f"source {name!r}")
            if running:
                self._context.pools.require_present(current.pool)
            server = plan.server_of(current)
            now = process_of(server, self._context.host) is not None
            switch = plan.start_server if running else plan.stop_server
            steps = switch(server, running=now)
            return Intent(f"source {verb}", name, current.id, steps)

        def commit(tx: Transaction, done: Attempt) -> None:
            current = find_source(tx, name)
            assert current.cluster is not None
            wanted: Wanted = "running" if running else "stopped"
            process = done.process or current.cluster.process
            cluster = replace(current.cluster, wanted=wanted, process=process)
            tx.sources.put(replace(current, cluster=cluster))

        with self._context.claims.hold(source.id, name):
            self._context.operations.run(caller.name, prepare, commit, Attempt(report=report))
        return self.show(name, caller)

    def remove(self, name: str, caller: Caller, report: Report) -> None:
        """A managed source goes with its data; an attached one is only forgotten."""
        with self._context.store.transaction() as tx:
            source = find_source(tx, name)
        require_owner(caller, source.owner_uid, f"remove source {name!r}")
        with self._context.claims.hold(source.id, name):
            self._context.operations.resume(source.id)
            with self._context.store.transaction() as tx:
                gone = source.state == "deleting" and tx.sources.get(source.id) is None
            if not gone:
                self._remove(source.id, caller.name, Attempt(report=report))

    def _remove(
        self, source_id: str, caller: str, attempt: Attempt, *, unloaded: bool = False
    ) -> None:
        """:param unloaded: only if it still waits for its data."""

        def prepare(tx: Transaction) -> Intent:
            source = tx.sources.get(source_id)
            if source is None:
                raise NotFoundError("the source was removed meanwhile")
            if unloaded and source.state != "loading":
                raise ConflictError(f"source {source.name!r} was loaded meanwhile")
            if source.state != "loading":
                require_ready(source, f"source {source.name!r}")
            refuse_dependents(tx, source_id, f"source {source.name!r}")
            if source.cluster is not None:
                self._context.pools.require_present(source.pool)
            tx.sources.put(replace(source, state="deleting"))
            return Intent("source rm", source.name, source_id, plan.remove_source(source))

        self._context.operations.run(caller, prepare, lambda tx, done: None, attempt)

    def expire_loaders(self) -> None:
        """A source whose loader died half-way is not what anybody wanted."""
        with self._context.store.transaction() as tx:
            lost = [item for item in tx.sources.all()
                    if item.state == "loading" and not processes.alive(item.loader)]  # fmt: skip
        for source in lost:
            try:
                with self._context.claims.hold(source.id, source.name):
                    self._remove(source.id, "agent", Attempt(), unloaded=True)
            except CowdbError as error:  # tried again in the next round
                log.warning("not removed: %s", error.message, extra={"target": source.name})


def _attached_state(source: SourceRecord) -> tuple[ServerState, int | None, str | None]:
    """(state, port, DSN) of a server that somebody else runs. cowdb has no password for it: the
    DSN names its Unix socket, where its own users get in as they always do."""
    try:
        found = read_pid_file(Path(source.datadir))
        running = attached.running(Path(source.datadir))
    except (CowdbError, OSError):
        return "crashed", None, None
    if found is None or running is None:
        return "stopped", None, None
    address = f"postgresql:///{source.database}?host={found.socket_dir}&port={found.port}"
    return "running", found.port, address
