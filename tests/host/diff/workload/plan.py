"""What one round does: a base with a history, a snapshot, branches and a programme for each.

Pure: a seed and a major make the same plan everywhere. Statements may fail (a column is gone, a
row is locked); the runner goes on, as users do.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.host.diff.workload.statements import Statements
from tests.host.diff.workload.tables import COLLATION, SPARE, TYPES, VIEW, kinds

_BEGIN = (
    *["BEGIN"] * 3, "BEGIN ISOLATION LEVEL REPEATABLE READ", "BEGIN ISOLATION LEVEL SERIALIZABLE",
)  # fmt: skip
_PREPARED = (
    "BEGIN", "UPDATE t_spare SET w = -1 WHERE i < 20", "DELETE FROM t_spare WHERE i > 290",
    "INSERT INTO t_spare (id) VALUES (1000)", "PREPARE TRANSACTION 'in_snapshot'",
)  # fmt: skip
CRASH, KILL, RESTART, RESET = "!crash", "!kill", "!restart", "!reset"
"""One backend dies; the whole server dies; it is stopped and started; the branch is reset."""


@dataclass(frozen=True)
class Step:
    """:param session: which connection. :param data: what a COPY FROM STDIN is sent."""

    session: int
    text: str
    data: str = ""


@dataclass(frozen=True)
class BranchPlan:
    """:param origin: "" for the round's snapshot, or the branch that this one comes from.
    :param via: it comes from a settled snapshot of that branch, not straight from it.
    :param leave_open: whether transactions stay open at the end.
    :param later: what its parent does once this branch exists."""

    name: str
    origin: str
    via: bool
    steps: Sequence[Step]
    leave_open: bool


@dataclass(frozen=True)
class Plan:
    """:param base: statements on the source.
    :param open_in_snapshot: transactions are open at the instant of the snapshot.
    :param prepared_in_snapshot: prepared ones stay in it.
    :param pairs: what is compared, by name; "@" is the snapshot.
    :param noise: committed by others after the comparison took its snapshots: (before the host
        looks at blocks, after)."""

    seed: int
    base: Sequence[Step]
    mode: str
    open_in_snapshot: bool
    prepared_in_snapshot: bool
    branches: Sequence[BranchPlan]
    pairs: Sequence[tuple[str, str]]
    noise: Sequence[tuple[Sequence[str], Sequence[str]]] = field(default=())


def make(seed: int, major: int) -> Plan:
    rng = random.Random(seed)
    prepared = seed % 4 == 3  # so that the test of a minute has one, too
    base = list(_base(rng, major, prepared=prepared))
    twins = [Statements(rng, major, salt=8).twins() for _ in range(5)]
    both = zip(*twins, strict=True)
    branches = [
        BranchPlan(name, "", False, _programme(rng, major, salt, own), rng.random() < 0.5)
        for salt, (name, own) in enumerate(zip("ab", both, strict=True), 1)
    ]
    pairs = [("a", "b"), rng.choice([("b", "a"), ("@", "a"), ("b", "@")])]
    if rng.random() < 0.4:
        via = rng.random() < 0.5
        branches.append(BranchPlan("c", "a", via, _programme(rng, major, 3), rng.random() < 0.5))
        pairs.append(("a", "c"))
        if via:
            branches.append(BranchPlan("d", "a", via, _programme(rng, major, 4), False))
            pairs.append(("c", "d"))
        else:
            pairs.append(("c", "b"))
    statements = Statements(rng, major, salt=9)
    noise = [(_noise(rng, statements), _noise(rng, statements)) for _ in pairs]
    mode = rng.choice(["online", "checkpoint", "stop", "stop"])
    return Plan(
        seed, base, mode, rng.random() < 0.5, prepared, branches,
        pairs, noise,
    )  # fmt: skip


def _noise(rng: random.Random, statements: Statements) -> list[str]:
    rewritten = [statements.rewrite() for _ in range(rng.choice([0, 3]))]
    return [*(statements.safe() for _ in range(rng.choice([0, 2, 5]))), *rewritten]


def _base(rng: random.Random, major: int, *, prepared: bool) -> Iterator[Step]:
    """Tables, their rows, and a past."""
    yield from (Step(0, text) for text in (*COLLATION, *filter(None, TYPES.splitlines())))
    rows = {}
    for kind in kinds(major):
        rows[kind.name] = rng.choice([0, 40, 400, 400, 1500] if not kind.unlogged else [400])
        yield from (Step(0, text) for text in kind.create())
    for kind in kinds(major):
        if rows[kind.name]:
            yield Step(0, kind.insert(1, rows[kind.name]))
    yield from (Step(0, text) for text in (VIEW, *SPARE))
    yield Step(0, "ALTER TABLE t_dropped DROP COLUMN gone")
    yield Step(0, "ALTER TABLE t_dropped ADD COLUMN early text DEFAULT 'early'")
    history = Statements(rng, major, salt=0, gentle=True)
    yield from _interleaved(rng, [
        list(_transactions(rng, history, session, rng.randrange(2, 8))) for session in range(3)
    ])  # fmt: skip
    if rng.random() < 0.6:
        yield Step(3, rng.choice(["VACUUM (FREEZE, ANALYZE)", "VACUUM", "VACUUM (FREEZE)"]))
    if prepared:
        yield from (Step(4, text) for text in _PREPARED)
    for session in range(2):  # some of these may be open when the snapshot is taken
        yield Step(session, "BEGIN")
        for _ in range(rng.randrange(1, 4)):
            yield from _steps(session, history.change())
    if rng.random() < 0.3:
        yield Step(3, "CHECKPOINT")


def _programme(rng: random.Random, major: int, salt: int, twins: Sequence[str] = ()) -> list[Step]:
    """:param twins: what another branch does as well, or nearly so."""
    statements = Statements(rng, major, salt=salt)
    sessions = rng.randrange(2, 5)
    size = rng.choice([0, 2, 5, 9])
    steps = list(_interleaved(rng, [
        *(list(_transactions(rng, statements, session, size)) for session in range(sessions)),
        [step for text in twins for step in _steps(5, text)],
    ]))  # fmt: skip
    steps += [Step(7, text) for text in statements.touches()]
    if salt <= 2:  # where it is in the snapshot, the branches end it differently
        steps.insert(0, Step(6, f"{['COMMIT', 'ROLLBACK'][salt - 1]} PREPARED 'in_snapshot'"))
    for event, chance in ((CRASH, 0.12), (KILL, 0.1), (RESTART, 0.06), (RESET, 0.06)):
        if rng.random() < chance:
            steps.insert(rng.randrange(len(steps) + 1), Step(0, event))
    return steps


def _transactions(
    rng: random.Random, statements: Statements, session: int, count: int
) -> Iterator[Step]:
    """Statements by themselves, transactions with savepoints, and two-phase commits."""
    for _ in range(count):
        form = rng.random()
        if form < 0.3:
            yield from _steps(session, statements.anything())
        else:
            yield from _block(rng, statements, session)


def _block(rng: random.Random, statements: Statements, session: int) -> Iterator[Step]:
    yield Step(session, rng.choice(_BEGIN))
    depth = 0
    for _ in range(rng.randrange(1, 6)):
        what = rng.random()
        if what < 0.3 and depth < 4:
            depth += 1
            yield Step(session, f"SAVEPOINT s{depth}")
        elif what < 0.45 and depth:
            yield Step(session, f"ROLLBACK TO s{depth}")
            depth -= rng.choice([0, 1])
        elif what < 0.5 and depth:
            yield Step(session, f"RELEASE s{depth}")
            depth -= 1
        elif what < 0.62:
            yield from _steps(session, statements.shape())
        else:
            yield from _steps(session, statements.change())
    end = rng.random()
    if end < 0.6:
        yield Step(session, "COMMIT")
    elif end < 0.8:
        yield Step(session, "ROLLBACK")
    elif end < 0.95:
        gid = statements.gid()
        yield Step(session, f"PREPARE TRANSACTION '{gid}'")
        yield Step(session, "ROLLBACK")  # where it could not be prepared
        if rng.random() < 0.7:
            yield Step(session, f"{rng.choice(['COMMIT', 'COMMIT', 'ROLLBACK'])} PREPARED '{gid}'")
    # else the transaction goes on with whatever this session does next


def _steps(session: int, text: str) -> Iterator[Step]:
    """A statement; several in one text are separated by ";;" and one COPY's data by "<<"."""
    for piece in text.split(";;"):
        statement, _, data = piece.partition("<<")
        yield Step(session, statement, data)


def _interleaved(rng: random.Random, queues: list[list[Step]]) -> Iterator[Step]:
    queues = [queue[::-1] for queue in queues if queue]
    while queues:
        queue = rng.choice(queues)
        yield queue.pop()
        queues = [item for item in queues if item]
