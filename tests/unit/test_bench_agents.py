"""The agents' workloads and the operations: trees, answers, claims, words. No server, no times."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench import crew, gather, scenarios
from bench.record import Record, Results, summary
from bench.scenarios.agents import measure, story
from bench.scenarios.agents.tree import Shape, Step, compare_turns, draw
from bench.scenarios.agents.workloads import ALL, SEARCH, SIMULATION, Story
from bench.scenarios.operations import measure as operations
from bench.scenarios.operations import story as operations_story
from bench.stats import growth, medians_along
from bench.ways import CLONE, COWDB

BY_NAME = {item.name: item for item in ALL}


def _alive(turns: list[list[Step]]) -> list[Step]:
    return [step for steps in turns for step in steps if not step.prune]


@pytest.mark.parametrize("workload", ALL, ids=lambda item: item.name)
def test_a_tree_keeps_to_its_shape_and_is_the_same_again(workload: Any) -> None:
    shape = workload.shape
    turns = draw(shape, "x", 7)
    assert [len(steps) for steps in turns] == [shape.workers] * shape.steps
    assert draw(shape, "x", 7) == turns
    assert max(step.depth for steps in turns for step in steps) <= shape.depth + 1
    children = Counter(step.parent.name if step.parent else None for step in _alive(turns))
    assert children.pop(None, 0) <= shape.fanout[0]
    assert all(count <= shape.fanout[1] for count in children.values())
    for steps in turns:
        for step in steps:
            assert step.parent is None or (step.parent.turn < step.turn and not step.parent.prune)


def test_trees_of_the_benchmark() -> None:
    assert BY_NAME[SEARCH].shape.planned == BY_NAME[SIMULATION].shape.planned == 1000
    turns = draw(BY_NAME[SEARCH].shape, "x", measure.SEED)
    assert 850 < len(_alive(turns)) < 950
    assert draw(BY_NAME[SEARCH].shape, "x", 8) != turns
    assert all(step.parent is None for steps in draw(BY_NAME[SIMULATION].shape, "x", 1)
               for step in steps)  # fmt: skip


def test_a_shape_without_room_says_so() -> None:
    with pytest.raises(ValueError, match="turn 1"):
        draw(Shape(2, 2, (2, 0), 0, 0.0), "x", 1)


def test_leaves_are_compared_at_even_distances_and_at_the_end() -> None:
    assert compare_turns(Shape(10, 20, (10, 3), 3, 0.0, 2)) == {9, 19}
    assert compare_turns(Shape(10, 20, (10, 3), 3, 0.0, 1)) == {19}
    assert compare_turns(Shape(10, 20, (10, 3), 3, 0.0)) == set()


@pytest.mark.parametrize("workload", ALL, ids=lambda item: item.name)
def test_steps_do_what_the_benchmark_counts(workload: Any) -> None:
    """Schema changes, statements and queries of one step."""
    kinds = {"software development": (2, 1, 2), "failure reproduction": (5, 45, 1),
             "data curation": (1, 1, 1), "tree search": (0, 1, 1),
             "simulation": (0, 50, 1)}  # fmt: skip
    step = draw(workload.shape, "x", 7)[0][0]
    found, after = workload.step(step, Story())
    counts = Counter(item.kind for item in found)
    assert (counts["ddl"], counts["dml"], counts["query"]) == kinds[workload.name]
    assert after.trail == (step.name,)


def test_a_slice_is_cleaned_once() -> None:
    """What was dropped cannot be filled in by a later step."""
    curate = BY_NAME["data curation"].step
    drop = Step("a", 1, 0, None, False, 0)
    fill = Step("b", 0, 1, drop, False, 0)
    assert (drop.worker + drop.turn) == (fill.worker + fill.turn)
    _, first = curate(drop, Story())
    _, second = curate(fill, first)
    assert second.cleaned == first.cleaned == {1: False}


def test_growth_and_medians_along() -> None:
    assert growth([1.0] * 10 + [2.0] * 80 + [3.0] * 10) == 3.0
    assert growth([1.0] * 9) is None
    assert medians_along([1.0, 1.0, 5.0, 5.0], 2) == [(1.0, 1.0), (3.0, 5.0)]
    assert medians_along([4.0], 3) == [(0.5, 4.0)]


def test_one_worker_s_error_ends_all() -> None:
    ended = []

    def waits(stop: threading.Event) -> None:
        ended.append(stop.wait(30))

    def fails(_: threading.Event) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        crew.work([waits, fails, waits])
    assert ended == [True, True]


def _run(workload: str, method: str, took: float, **changes: Any) -> dict[str, Any]:
    return {"workload": workload, "method": method, "planned": 10, "finished": 10, "failed": 0,
            "not_reached": 0, "compared": 3, "checked": 4, "wrong": [], "wrong_count": 0,
            "refusals": {}, "most_alive": 9, "deepest": 4, "discard_ms": 9.0,
            **{"ms": took, **changes}}  # fmt: skip


def _databases(**changes: Any) -> list[dict[str, Any]]:
    """cowdb's run of the tree search on a small database with these changes."""
    return [
        {"label": "20MB", "runs": [_run(SEARCH, COWDB, 1000.0, **changes),
                                   _run(SEARCH, CLONE, 2000.0)]},
        {"label": "1GB", "runs": [_run(SEARCH, COWDB, 1100.0),
                                  _run(SEARCH, CLONE, 9000.0, finished=9, failed=1)]},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "fails"),
    [
        ({}, []),
        ({"finished": 9, "failed": 1}, [0]),
        ({"refusals": {"remove: X": 1}}, [0]),
        ({"wrong_count": 1}, [1]),
        ({"ms": 2100.0}, [2]),
        ({"ms": 800.0}, [4]),
    ],
)
def test_claims_of_the_workloads(changes: dict[str, Any], fails: list[int]) -> None:
    holds = [claim["holds"] for claim in measure.claims(_databases(**changes))]
    assert [number for number, held in enumerate(holds) if not held] == fails
    assert len(holds) == 5


def test_a_peer_s_time_is_of_the_steps_that_it_finished() -> None:
    found = {row["database"]: row["ratio"] for row in measure.ratios(_databases())}
    assert found == {"20MB": 2.0, "1GB": round(1000 / 110, 2)}


MACHINE = {"cpu": "A", "cores": 2, "memory_bytes": 2**34, "kernel": "6", "os": "Debian",
           "date": "2026-11-20T12:00:00", "load_average_at_start": [0.1, 0.2, 0.3],
           "git_commit": "abc", "git_dirty": False, "postgres": "18.0"}  # fmt: skip
CONDITIONS = {"server_settings": {"a": "1"}, "copy_settings": {"a": "1"},
              "branch_settings": {"a": "1"}, "spares": 0, "first_branches_of": "running",
              "sessions_kept": False,
              "page_cache": "warm"}  # fmt: skip


def _agents() -> Results:
    record = Record()
    for database in _databases():
        for method in (COWDB, CLONE):
            for turn in range(20):
                record.add(database["label"], method, **{f"{SEARCH}.create": 40.0 + turn,
                                                         f"{SEARCH}.step": 80.0})  # fmt: skip
    samples, databases = record.series(), _databases()
    return {
        "format": 1, "scenario": "agents", "quick": False, "machine": dict(MACHINE),
        "parameters": {"peer_budget": 60.0, "copy_budget": 10.0,
                       "shapes": {item.name: vars(item.shape) for item in ALL}},
        "conditions": CONDITIONS, "databases": databases, "samples": samples,
        "summary": summary(samples), "ratios": measure.ratios(databases),
        "claims": measure.claims(databases),
    }  # fmt: skip


def _operations(deep: float) -> Results:
    """Results in which reads at the end of the deep tree take `deep` times as long."""
    record = Record()
    for label in ("20MB", "1GB"):
        for method, factor in ((COWDB, 1.0), (CLONE, 2.0)):
            for turn in range(20):
                record.add(
                    label,
                    method,
                    **{
                        f"{shape}.1.create": (50 + turn % 3) * factor
                        for shape in operations.PARENTS
                    },
                )
                record.add(label, method, **{"deep.create": 50.0, "deep.root": 0.1,
                                             "deep.last": 0.1, "deep.root.again": 0.05,
                                             "deep.last.again": 0.05 * deep})  # fmt: skip
    samples = record.series()
    run = {"method": COWDB, "refusals": {}, "wrong_count": 0, "looked_at": 5}
    databases = [{"label": label, "runs": [run]} for label in ("20MB", "1GB")]
    return {
        "format": 1, "scenario": "operations", "quick": False, "machine": dict(MACHINE),
        "parameters": {"threads": [1], "branches": 20, "deep": 20, "deep_reads": 20,
                       "peer_budget": 5.0, "range_rows": 100, "updated_rows": 20,
                       "changes_a_level": 50},
        "conditions": CONDITIONS, "databases": databases, "samples": samples,
        "summary": summary(samples), "ratios": operations.ratios(samples),
        "claims": operations.claims(databases, samples),
    }  # fmt: skip


def test_claims_of_the_operations() -> None:
    assert all(claim["holds"] for claim in _operations(1.0)["claims"])
    holds = [claim["holds"] for claim in _operations(1.3)["claims"]]
    assert holds == [True, False, True, False, True, True, True, True]
    wrong = [{"label": "20MB", "runs": [{"method": COWDB, "refusals": {}, "wrong_count": 1,
                                         "looked_at": 5}]}]  # fmt: skip
    assert [claim["holds"] for claim in operations.claims(wrong, [])] == [False]


def test_pages_and_tables_tell_the_same() -> None:
    agents, deep = _agents(), _operations(1.3)
    for text in (story.table(agents), story.page(agents)):
        assert "9 in 9.0 s, 1 failed" in text
        assert "all in 1.1 s" in text
    for text in (operations_story.table(deep), operations_story.page(deep)):
        assert "DOES NOT HOLD" in text
        assert "1.30" in text


def test_pictures_are_drawn() -> None:
    pytest.importorskip("matplotlib")
    assert story.draw(_agents()) is not None
    assert operations_story.draw(_operations(1.0)) is not None


def test_one_page_gathers_what_was_measured(tmp_path: Path) -> None:
    import json

    (tmp_path / "results").mkdir()
    (tmp_path / "results/agents.json").write_text(json.dumps(_agents()))
    (tmp_path / "results/diff-unfinished.json").write_text("{}")
    written = gather.write(scenarios.find(), tmp_path / "results", tmp_path / "docs/bench")
    assert written == tmp_path / "docs/benchmarks.md"
    text = written.read_text()
    assert "[the page](bench/agents.md)" in text
    assert "all in 1.1 s" in text
    assert "## diff" not in text
