"""One round on a real host: the plan is played, and every pair of sides is compared three ways:
through changed blocks, by reading everything, and by the oracle."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from cowdb.controller.diff.branchhost import BranchHost
from cowdb.controller.diff.compare import compare
from cowdb.controller.diff.model import Report, Wanted
from cowdb.controller.diff.sides import resolve
from cowdb.errors import CowdbError, ServerError
from cowdb.wire import WrittenInfo
from tests.agenthost import AgentHost
from tests.host.diff.workload import oracle
from tests.host.diff.workload.plan import BranchPlan, Plan, make
from tests.host.diff.workload.sessions import Host, Sessions, Tally, connected
from tests.host.diff.workload.verdict import disagreements

ROWS = Wanted(schema=False, counts=False, rows=True)


@dataclass
class Score:
    """What a run has compared.

    :param lost: rounds that ended since a server could not recover from a crash.
    :param methods: of tables, but for pairs whose blocks did not tell of any; `differing` of those
        whose rows differ.
    :param whole: why tables were read whole."""

    rounds: int = 0
    lost: int = 0
    pairs: int = 0
    methods: Counter[str] = field(default_factory=Counter)
    differing: Counter[str] = field(default_factory=Counter)
    whole: Counter[str] = field(default_factory=Counter)
    tally: Tally = field(default_factory=Tally)


def prepare(host: AgentHost, source: str, major: str) -> None:
    """A source for many rounds."""
    dsn = host.json("source", "add", source, "--empty", "--pg-version", major)["dsn"]
    host.sql(dsn, "ALTER SYSTEM SET max_prepared_transactions = 20",
             "ALTER SYSTEM SET autovacuum = off")  # fmt: skip
    host.run("source", "stop", source)
    host.run("source", "start", source)
    if int(major) >= 15:
        host.sql(dsn, "SET allow_in_place_tablespaces = on", "CREATE TABLESPACE other LOCATION ''",
                 "CHECKPOINT")  # fmt: skip


def play(host: AgentHost, source: str, seed: int, major: int, score: Score) -> list[str]:
    """:returns: disagreements; none in a good world."""
    plan = make(seed, major)
    game = _Game(host, source, plan, score)
    with contextlib.ExitStack() as stack:
        stack.callback(game.close)
        try:
            game.base()
            game.branches()
        except ServerError as error:
            # Postgres's own: see Sessions._flush_aborts, which keeps most of it away.
            if "could not create file" not in error.message:
                raise
            score.lost += 1
            return []
        found = [text for number in range(len(plan.pairs)) for text in game.compare(number)]
    score.rounds += 1
    return found


class _Noisy(BranchHost):
    """Others work on the branches while the host is asked for the first time.

    :param noise: what they do before it looks, and after."""

    def __init__(self, connect: Any, noise: Sequence[Callable[[], None]]) -> None:
        super().__init__(connect)
        self._noise = list(noise)
        self.reason = ""

    def _next(self) -> None:
        if self._noise:
            self._noise.pop(0)()

    def written(self, branches: Sequence[str], *, search: bool = True) -> WrittenInfo:
        self._next()
        found = super().written(branches, search=search)
        self._next()
        return found

    def changes(self, first: str, other: str) -> Any:
        self._next()
        found = super().changes(first, other)
        self._next()
        self.reason = found[1]
        return found


class _Game:
    def __init__(self, host: AgentHost, source: str, plan: Plan, score: Score) -> None:
        self._host, self._source, self._plan, self._score = host, source, plan, score
        self._sessions: dict[str, Sessions] = {}
        self._lock = threading.Lock()

    @property
    def _ref(self) -> str:
        return f"{self._source}@s{self._plan.seed}"

    def _connect(self) -> contextlib.AbstractContextManager[Any]:
        return self._host.client()

    def base(self) -> None:
        with self._connect() as client:
            dsn = client.sources.show(self._source)["dsn"]
        nothing: Callable[[], None] = lambda: None  # noqa: E731
        source = Host(lambda: str(dsn), Path, nothing, nothing, nothing)
        sessions = self._sessions[""] = Sessions(source, self._score.tally)
        with connected(source.dsn) as db:
            db.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            sessions.run(self._plan.base)
            keep = "'in_snapshot'" if self._plan.prepared_in_snapshot else "''"
            for (gid,) in db.execute(
                f"SELECT gid FROM pg_prepared_xacts WHERE gid <> {keep}".encode()
            ).fetchall():
                db.execute(f"ROLLBACK PREPARED '{gid}'".encode())
        if not self._plan.open_in_snapshot:
            sessions.close()
        with self._connect() as client:
            client.snapshots.create(self._ref, mode=self._plan.mode, settle=True)
        sessions.settle(leave_open=False)

    def branches(self) -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self._branch, [item for item in self._plan.branches if not item.origin]))
        children = [item for item in self._plan.branches if item.origin]
        if any(item.via for item in children):
            with self._connect() as client:
                client.snapshots.create("a@x", settle=True)
        for item in children:
            self._branch(item)

    def _branch(self, item: BranchPlan) -> None:
        origin = self._ref if not item.origin else f"{item.origin}@x" if item.via else item.origin
        with self._connect() as client:
            client.branches.create(item.name, origin)
        host = self._server(item.name)
        with self._lock:
            sessions = self._sessions[item.name] = Sessions(host, self._score.tally)
        sessions.run(item.steps)
        sessions.settle(leave_open=item.leave_open)

    def _server(self, name: str) -> Host:
        def ask(field: str) -> str:
            with self._connect() as client:
                return str(client.branches.show(name)[field])

        def act(*verbs: str) -> None:
            with self._connect() as client:
                for verb in verbs:
                    getattr(client.branches, verb)(name)

        return Host(
            partial(ask, "dsn"), lambda: Path(ask("datadir")), partial(act, "start"),
            partial(act, "stop", "start"), partial(act, "reset"),
        )  # fmt: skip

    def compare(self, number: int) -> list[str]:
        one, other = (self._ref if name == "@" else name for name in self._plan.pairs[number])
        before, after = self._plan.noise[number]
        with resolve(self._connect, [one, other]) as sides:
            dsns = [side.dsn for side in sides if side.branch and not side.branch.startswith("_")]
            host = _Noisy(self._connect, [partial(self._noise, dsns, item)
                                          for item in (before, after)])  # fmt: skip
            # Counting takes locks first: half of the time there is no VACUUM FULL to be met.
            wanted = replace(ROWS, counts=number % 2 == 1)
            with contextlib.ExitStack() as stack:
                then = [stack.enter_context(oracle.opened(partial(str, side.dsn)))
                        for side in sides]  # fmt: skip
                by_blocks = compare(sides, wanted, changes=host.changes, host=host)
                truth = [oracle.read(conn) for conn in then]
            whole = compare(sides, ROWS)
            with contextlib.ExitStack() as stack:
                now = [oracle.read(stack.enter_context(oracle.opened(partial(str, side.dsn))))
                       for side in sides]  # fmt: skip
        self._note(by_blocks, host.reason)
        name = f"seed {self._plan.seed}, {one} against {other}"
        return [
            f"{name}, {how}: {text}"
            for how, report, (left, right) in (
                ("everything read", whole, now), ("changed blocks", by_blocks, truth),
            )
            for text in disagreements(report, left, right)
        ]  # fmt: skip

    def _noise(self, dsns: Sequence[str], statements: Sequence[str]) -> None:
        """Committed while the comparison is under way."""
        for place, text in enumerate(statements):
            dsn = dsns[place % len(dsns)]
            with connected(partial(str, dsn)) as db, contextlib.suppress(psycopg.Error):
                for piece in text.split(";;"):
                    if "<<" not in piece:
                        db.execute(piece.encode())

    def _note(self, report: Report, reason: str) -> None:
        score = self._score
        score.pairs += 1
        if reason:
            score.whole[reason] += 1
            return
        score.whole.update(report["why_full_scan"].values())
        score.methods.update(report["method"].values())
        score.differing.update(report["method"][line["table"]] for line in report["rows"])

    def close(self) -> None:
        for sessions in self._sessions.values():
            sessions.close()
        with self._connect() as client:
            for _ in range(4):  # what others come from goes after them
                for item in client.branches.list():
                    with contextlib.suppress(CowdbError):
                        client.branches.remove(item["name"])
                for snapshot in client.snapshots.list():
                    with contextlib.suppress(CowdbError):
                        client.snapshots.remove(snapshot["ref"])
