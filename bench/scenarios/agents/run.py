"""Run one workload in one way: workers that branch, work, compare and throw away.

A worker keeps its session until it has connected to its next branch, as the benchmark has it; where
sessions are in the way of branching, it ends them with its steps, unless told otherwise. A step
that is refused counts as failed, its branch is thrown away, and what should have come of it comes
of its nearest ancestor that is there.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench import crew
from bench.clock import since
from bench.record import Record
from bench.scenarios import Say
from bench.scenarios.agents.tree import Step, compare_turns, draw
from bench.scenarios.agents.workloads import Story, Workload
from bench.shop import Session, WrongError, note_step, require_trail
from bench.ways import REFUSED, Way

_CHECKED = 100  # of the branches that are left at the end, at most


@dataclass
class Node:
    """What became of a step. Set once, by its worker; the event tells that it was."""

    step: Step
    ended: threading.Event = field(default_factory=threading.Event)
    story: Story | None = None
    """None where there is no branch to come of: refused, or thrown away."""
    left: bool = False
    """A branch of this name exists."""
    depth: int = 0
    """Of the branch, once its work was done: how many branches led there, itself included."""


@dataclass
class Run:
    """:param deadline: on time.monotonic; no step is begun after it.
    :param label: of the database, and `method`: by which samples are kept."""

    workload: Workload
    way: Way
    record: Record
    label: str
    method: str
    deadline: float
    say: Say
    turns: list[list[Step]]
    nodes: dict[str, Node]
    ends_sessions: bool
    lock: threading.Lock = field(default_factory=threading.Lock)
    counts: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def timed(self, operation: str, begun: float) -> None:
        measure = f"{self.workload.name}.{operation}"
        self.record.add(self.label, self.method, **{measure: since(begun)})

    def note(self, operation: str, parts: Mapping[str, float]) -> None:
        named = {f"{self.workload.name}.{operation}.{part}": ms for part, ms in parts.items()}
        self.record.add(self.label, self.method, **named)

    def count(self, what: str, by: int = 1) -> None:
        with self.lock:
            self.counts[what] += by
            self.counts["most_alive"] = max(self.counts["most_alive"], self.counts["alive"])

    def refuse(self, what: str, error: Exception) -> None:
        """Keep what it was refused with: class and code, without names of its own."""
        code = getattr(error, "sqlstate", None) or getattr(error, "code", None)
        kind = f"{what}: {type(error).__name__}{f' {code}' if code else ''}"
        with self.lock:
            self.refusals[kind] += 1
        if self.refusals[kind] == 1:
            self.say(f"{self.label}, {self.method}: {self.workload.name}: {kind}: {error}")

    def ancestor(self, step: Step) -> Node | None:
        """The nearest that is there; None for the root."""
        while step.parent is not None:
            node = self.nodes[step.parent.name]
            if node.story is not None:
                return node
            step = step.parent
        return None


def run(workload: Workload, way: Way, record: Record, label: str, method: str, *,
        budget: float, seed: int, prefix: str, keep_sessions: bool,
        say: Say) -> dict[str, Any]:  # fmt: skip
    """What came of it: steps planned, finished, failed, not reached, and how long it took.

    :param budget: seconds, after which no step is begun.
    :param keep_sessions: also where they are in the way of branching."""
    turns = draw(workload.shape, prefix, seed)
    nodes = {step.name: Node(step) for turn in turns for step in turn}
    found = Run(workload, way, record, label, method, time.monotonic() + budget, say, turns, nodes,
                ends_sessions=way.lonely and not keep_sessions)  # fmt: skip
    begun = time.perf_counter()
    crew.work([_worker(found, number) for number in range(workload.shape.workers)])
    if workload.shape.ends_empty:
        _throw_away(found, "remove")
    took = since(begun)
    _check_what_is_left(found)
    begun = time.perf_counter()
    _throw_away(found, "discard")
    return {**_told(found), "ms": round(took, 1), "discard_ms": round(since(begun), 1)}


def _told(found: Run) -> dict[str, Any]:
    counts, planned = found.counts, found.workload.shape.planned
    ended = counts["finished"] + counts["failed"]
    return {
        "workload": found.workload.name, "method": found.method, "planned": planned,
        "finished": counts["finished"], "failed": counts["failed"],
        "not_reached": planned - ended, "compared": counts["compared"],
        "checked": counts["checked"], "wrong": found.wrong[:5], "wrong_count": len(found.wrong),
        "refusals": dict(found.refusals), "most_alive": counts["most_alive"],
        "deepest": max((node.depth for node in found.nodes.values()), default=0),
    }  # fmt: skip


def _worker(found: Run, number: int) -> crew.Worker:
    def work(stop: threading.Event) -> None:
        compares = compare_turns(found.workload.shape)
        session: Session | None = None
        at: str | None = None
        try:
            for turn, steps in enumerate(found.turns):
                step = steps[number]
                if not _await_parent(found, step, stop):
                    break
                if number == 0 and turn % max(1, len(found.turns) // 5) == 0:
                    found.say(f"{found.label}, {found.method}: {found.workload.name}, turn "
                              f"{turn + 1} of {len(found.turns)}")  # fmt: skip
                session, at = _step(found, step, session, at)
                if number == 0 and turn in compares:
                    _compare(found, turn, stop)
        finally:
            for steps in found.turns:  # nobody shall wait for what does not come
                found.nodes[steps[number].name].ended.set()
            if session is not None:
                session.close()

    return work


def _await_parent(found: Run, step: Step, stop: threading.Event) -> bool:
    """False when there is no more time for the step."""
    if step.parent is not None:
        while not found.nodes[step.parent.name].ended.wait(0.2):
            if stop.is_set():
                return False
    return not stop.is_set() and time.monotonic() < found.deadline


def _step(
    found: Run, step: Step, session: Session | None, at: str | None
) -> tuple[Session | None, str | None]:
    """One branch and the work on it; returns the worker's session, and where that is."""
    node, parent = found.nodes[step.name], found.ancestor(step)
    origin = parent.step.name if parent else None
    story = parent.story if parent and parent.story else Story()
    begun = time.perf_counter()
    try:
        if session is not None and found.way.lonely and at == origin:
            session.close()
            session = None
        parts = _measured(found, "create", lambda: found.way.create(step.name, origin))
        found.note("create", parts)
        node.left = True
        found.count("alive")
        previous, session = session, None
        try:
            session = _measured(found, "connect", lambda: found.way.connect(step.name))
        finally:
            if previous is not None:
                previous.close()
        at = step.name
        story = _work(found, step, story, session)
        if found.ends_sessions:
            session.close()
            session = None
        node.depth = len(story.trail)
        if step.prune:
            if session is not None:
                session.close()
            session = None
            _measured(found, "remove", lambda: found.way.remove(step.name))
            node.left = False
            found.count("alive", -1)
        else:
            node.story = story
        found.count("finished")
        found.timed("step", begun)
    except WrongError as error:
        found.wrong.append(f"{step.name}: {error}")
        found.count("failed")
    except REFUSED as error:
        found.count("failed")
        found.refuse("step", error)
    finally:
        node.ended.set()
    return session, at


def _work(found: Run, step: Step, story: Story, session: Session) -> Story:
    require_trail(session, story.trail)
    operations, after = found.workload.step(step, story)
    for operation in operations:
        _measured(found, operation.kind, lambda run=operation.run: run(session))
    note_step(session, step.name)
    return after


def _measured(found: Run, operation: str, call: Any) -> Any:  # noqa: ANN401
    begun = time.perf_counter()
    answer = call()
    found.timed(operation, begun)
    return answer


def _compare(found: Run, turn: int, stop: threading.Event) -> None:
    """Ask all leaves, once every worker has ended this turn."""
    nodes = [found.nodes[step.name] for steps in found.turns[: turn + 1] for step in steps]
    for node in nodes:
        while not node.ended.wait(0.2):
            if stop.is_set():
                return
    parents = {node.step.parent.name for node in nodes if node.step.parent}
    for node in nodes:
        if node.story is None or node.step.name in parents or stop.is_set():
            continue
        begun = time.perf_counter()
        try:
            with found.way.connect(node.step.name) as session:
                found.workload.check(session, node.story)
            found.timed("compare", begun)
            found.count("compared")
        except WrongError as error:
            found.wrong.append(f"{node.step.name}, compared: {error}")
        except REFUSED as error:
            found.refuse("compare", error)


def _check_what_is_left(found: Run) -> None:
    """That nobody wrote into another's branch, the root's included, while all of them worked."""
    nodes = [node for node in found.nodes.values() if node.story is not None and node.left]
    for node in nodes[:: max(1, len(nodes) // _CHECKED)]:
        _check(found, node.step.name, node.story or Story())
    _check(found, None, Story())


def _check(found: Run, name: str | None, story: Story) -> None:
    found.count("checked")
    try:
        with found.way.connect(name) as session:
            require_trail(session, story.trail)
            found.workload.check(session, story)
    except WrongError as error:
        found.wrong.append(f"{name or 'the root'}, at the end: {error}")
    except REFUSED as error:
        found.refuse("check", error)


def _throw_away(found: Run, operation: str) -> None:
    """Everything that is left, children first, by as many at once as there are workers."""
    left = [node for node in found.nodes.values() if node.left]
    by_depth: dict[int, list[Node]] = {}
    for node in left:
        by_depth.setdefault(node.step.depth, []).append(node)
    for depth in sorted(by_depth, reverse=True):
        waiting = by_depth[depth]

        def work(stop: threading.Event, waiting: list[Node] = waiting) -> None:
            while not stop.is_set():
                try:
                    node = waiting.pop()
                except IndexError:
                    return
                try:
                    _measured(found, operation, lambda name=node.step.name: found.way.remove(name))
                    node.left = False
                    node.story = None
                except REFUSED as error:
                    found.refuse(operation, error)

        crew.work([work] * min(found.workload.shape.workers, len(waiting)))
