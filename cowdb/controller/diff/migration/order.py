"""Orders objects so that each comes after what it depends on."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from cowdb.controller.diff.migration.facts import Facts
from cowdb.controller.diff.model import ObjectKey

Node = TypeVar("Node")


def ordered(
    nodes: Iterable[Node], needs: Mapping[Node, Iterable[Node]], rank: Callable[[Node], Any]
) -> list[Node]:
    """Every node after all that it needs; among free ones the lowest rank first.

    In a circle the node of the lowest rank goes first, without waiting for its needs.

    :param needs: may name nodes that are not among `nodes`: they are ignored.
    :param rank: a total order, so that the result depends on nothing else.
    """
    everything = set(nodes)
    waiting = {
        node: {need for need in needs.get(node, ()) if need in everything and need != node}
        for node in everything
    }
    users: dict[Node, list[Node]] = {node: [] for node in everything}
    for node, wanted in waiting.items():
        for need in wanted:
            users[need].append(node)
    by_rank = dict(enumerate(sorted(everything, key=rank)))
    place_of = {node: place for place, node in by_rank.items()}
    free = [place_of[node] for node, wanted in waiting.items() if not wanted]
    heapq.heapify(free)
    done: list[Node] = []
    taken: set[Node] = set()
    first = 0
    while len(done) < len(everything):
        if free:
            node = by_rank[heapq.heappop(free)]
        else:
            while by_rank[first] in taken:
                first += 1
            node = _in_a_circle(by_rank[first], waiting, place_of)
        if node in taken:
            continue
        taken.add(node)
        done.append(node)
        for user in users[node]:
            waiting[user].discard(node)
            if user not in taken and not waiting[user]:
                heapq.heappush(free, place_of[user])
    return done


def _in_a_circle(
    node: Node, waiting: Mapping[Node, set[Node]], place_of: Mapping[Node, int]
) -> Node:
    """Follows what is waited for from `node` on until it comes round; the circle's lowest rank."""
    path: list[Node] = []
    while node not in path:
        path.append(node)
        node = min(waiting[node], key=place_of.__getitem__)
    return min(path[path.index(node) :], key=place_of.__getitem__)


def needs_of(facts: Facts) -> dict[ObjectKey, set[ObjectKey]]:
    """What each object of a side lies in or depends on."""
    needs: dict[ObjectKey, set[ObjectKey]] = {
        key: set(described.inside) for key, described in facts.schema.items()
    }
    for key, edges in facts.edges.items():
        needs.setdefault(key, set()).update(edges)
    _break_circles(facts, needs)
    return needs


def _break_circles(facts: Facts, needs: dict[ObjectKey, set[ObjectKey]]) -> None:
    """A base type needs its functions, and they need it: as a shell, which comes before."""
    for key, edges in facts.edges.items():
        if key.kind in ("base type", "range type"):
            for function in edges:
                needs.get(function, set()).discard(key)
