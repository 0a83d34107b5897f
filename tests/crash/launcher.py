"""The agent, made to die at a chosen instant: `python launcher.py ORDER`.

It serves as `cowdb agent serve` does, with a bomb in the seams between the journal and the
effects, so that the package itself knows nothing of tests. ORDER is a file; while it is there,

    {"kinds": ["branch create"], "at": 3}

the instants of operations of these kinds are counted, and at number 3 the process is gone by
SIGKILL: nothing is flushed, no handler runs. Kind "recovery" is what happens at a start.

    intent written · each step (a volume announced, a program spawned, the step done) ·
    committed · each cleanup step · done; in a recovery also each step taken back
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cowdb.agent import compose, effects, recover
from cowdb.agent.background import Background
from cowdb.agent.engines.postgres import runner, server
from cowdb.agent.operations import Operations
from cowdb.agent.storage.directory import Layout
from cowdb.config import load


class Bomb:
    """Counts the instants of the kinds that the order names, from each new order on."""

    def __init__(self, order: Path) -> None:
        self._order, self._text, self._count = order, "", 0
        self._lock = threading.Lock()
        self._thread = threading.local()

    @property
    def kind(self) -> str:
        return getattr(self._thread, "kind", "")

    @kind.setter
    def kind(self, kind: str) -> None:
        self._thread.kind = kind

    def tick(self, what: str, last_act: Callable[[], object] = lambda: None) -> None:
        """An instant: perhaps the last one, and then after `last_act`."""
        with self._lock:
            try:
                text = self._order.read_text()
            except FileNotFoundError:
                return
            if text != self._text:
                self._text, self._count = text, 0
            order = json.loads(text)
            if self.kind not in order["kinds"]:
                return
            if self._count == order["at"]:
                last_act()
                self._order.with_suffix(".died").write_text(f"{self.kind}: {what}")
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)
            self._count += 1


def arm_operations(bomb: Bomb) -> None:
    forward, clean_up, recovery = Operations._forward, Operations.clean_up, recover.recover
    begin, finish = Operations._begin, Operations.finish

    def _begin(self: Operations, caller: str, prepare: Any, state: str) -> Any:
        operation = begin(self, caller, prepare, state)
        if state == "committed":
            bomb.kind = operation.kind
            bomb.tick("intent written and committed")
        return operation

    def _finish(self: Operations, operation: Any, *rest: Any, **more: Any) -> None:
        bomb.kind = operation.kind
        finish(self, operation, *rest, **more)

    def _forward(self: Operations, operation: Any, *rest: Any) -> None:
        bomb.kind = operation.kind
        bomb.tick("intent written")
        forward(self, operation, *rest)

    def _clean_up(self: Operations, operation: Any, attempt: Any, **more: Any) -> None:
        bomb.tick("committed")
        clean_up(self, operation, attempt, **more)
        bomb.tick("done")

    def _recover(context: Any) -> None:
        bomb.kind = "recovery"
        recovery(context)

    Operations._forward = _forward  # type: ignore[method-assign]
    Operations.clean_up = _clean_up  # type: ignore[method-assign]
    Operations._begin = _begin  # type: ignore[method-assign, assignment]
    Operations.finish = _finish  # type: ignore[method-assign]
    recover.recover = _recover


def arm_effects(bomb: Bomb) -> None:
    do, undo, spawn, announce = effects.do, effects.undo, server.spawn, Layout._announce

    def _do(step: Any, host: Any, attempt: Any) -> None:
        do(step, host, attempt)
        bomb.tick(f"done: {step.describe()}")

    def _undo(step: Any, host: Any, attempt: Any) -> None:
        undo(step, host, attempt)
        bomb.tick(f"undone: {step.describe()}")

    def _spawn(*words: Any, **options: Any) -> Any:
        child = spawn(*words, **options)
        bomb.tick("spawned postgres")
        return child

    def _announce(self: Layout, *rest: Any) -> None:
        announce(self, *rest)
        bomb.tick("announced a volume")

    effects.do, effects.undo, server.spawn = _do, _undo, _spawn  # type: ignore[assignment]
    Layout._announce = _announce  # type: ignore[method-assign]


def arm_runner(bomb: Bomb) -> None:
    """Dying while pg_ctl stops an attached source: pg_ctl goes on without the agent."""
    stop = runner.stop

    def _stop(keeper: Any, process: Any, datadir: Path, user: Any) -> None:
        pg_ctl = Path(keeper.argv[0]).resolve().with_name("pg_ctl")
        argv = [pg_ctl, "stop", "-D", datadir, "-m", "fast", "-w"]
        bomb.tick(
            "pg_ctl stop under way",
            lambda: subprocess.Popen(argv, user=user.uid, group=user.gid, cwd="/"),
        )
        stop(keeper, process, datadir, user)

    runner.stop = _stop


def arm_background() -> None:
    """Snapshots settle when a test says so, not some time later."""
    put = Background.put

    def _put(self: Background, task: Any) -> None:
        if self.name != "background":
            put(self, task)

    Background.put = _put  # type: ignore[method-assign]


def main() -> None:
    bomb = Bomb(Path(sys.argv[1]))
    arm_operations(bomb)
    arm_effects(bomb)
    arm_runner(bomb)
    arm_background()
    compose.serve(load(), logging.INFO)


if __name__ == "__main__":
    main()
