"""Which branch each agent makes of which: the benchmark's trees, drawn beforehand. Pure.

Workers take turns. In each turn every worker makes one branch of a parent drawn from those that
were kept in earlier turns and from the root, works on it, and keeps it or throws it away. Drawn
beforehand, the tree is the same for every way to branch, however fast.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Shape:
    """:param steps: of each worker.
    :param fanout: children that the root, and that any other branch, may have at a time.
    :param depth: of the deepest branch that may have children; the root's is 0.
    :param prune: how likely a branch is thrown away at the end of its step.
    :param compares: how often all leaves are asked the same question.
    :param ends_empty: throwing away what is left belongs to the workload."""

    workers: int
    steps: int
    fanout: tuple[int, int]
    depth: int
    prune: float
    compares: int = 0
    ends_empty: bool = False

    def scaled(self, share: float) -> Shape:
        """With a part of the steps, for trying."""
        if share >= 1:
            return self
        steps = max(2, round(self.steps * share))
        return Shape(self.workers, steps, self.fanout, self.depth, self.prune, self.compares,
                     self.ends_empty)  # fmt: skip

    @property
    def planned(self) -> int:
        return self.workers * self.steps


@dataclass
class Step:
    """One branch, and the work on it. Its parent is None where that is the root."""

    name: str
    worker: int
    turn: int
    parent: Step | None
    prune: bool
    seed: int
    depth: int = field(init=False)
    children: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        self.depth = 1 + (self.parent.depth if self.parent else 0)


def draw(shape: Shape, prefix: str, seed: int) -> list[list[Step]]:
    """The steps of each turn, in the order of the workers; names are prefix, worker and turn.

    :raises ValueError: the shape has no room for so many."""
    chance = random.Random(seed)
    kept: list[Step] = []
    turns = []
    from_root = 0
    for turn in range(shape.steps):
        steps: list[Step] = []
        for worker in range(shape.workers):
            parents: list[Step | None] = [
                step for step in kept
                if step.depth <= shape.depth and step.children < shape.fanout[1]
            ]  # fmt: skip
            parents += [None] if from_root < shape.fanout[0] else []
            if not parents:
                raise ValueError(f"no branch may have a further child in turn {turn}")
            parent = chance.choice(parents)
            if parent is None:
                from_root += 1
            else:
                parent.children += 1
            prune = chance.random() < shape.prune
            name = f"{prefix}-{worker}-{turn}"
            steps.append(Step(name, worker, turn, parent, prune, chance.getrandbits(32)))
        for step in steps:
            if not step.prune:
                kept.append(step)
            elif step.parent is None:
                from_root -= 1
            else:
                step.parent.children -= 1
        turns.append(steps)
    return turns


def compare_turns(shape: Shape) -> set[int]:
    """After which turns the leaves are compared: evenly spread, the last one among them."""
    return {shape.steps * (number + 1) // shape.compares - 1 for number in range(shape.compares)}
