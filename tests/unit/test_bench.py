"""The benchmark harness: its sums, its words, the shape of what a run hands back. Never times."""

from __future__ import annotations

import argparse
import random
from itertools import pairwise
from pathlib import Path

import pytest

from bench import chart, peers, scenarios
from bench.record import Record, Results, look_up, summary
from bench.report import ms_text
from bench.scenarios.branch import measure, story
from bench.sizes import parse_sizes
from bench.stats import percentile, ratio_of_medians, summarise

ROOT = Path(__file__).resolve().parents[2]


def test_percentile_is_linear_between_samples() -> None:
    assert percentile([4, 1, 3, 2], 50) == 2.5
    assert percentile([1, 2, 3], 0) == 1
    assert percentile([1, 2, 3], 100) == 3
    assert percentile([0, 10], 95) == 9.5
    assert percentile([7], 95) == 7
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 50)


def test_summary_of_samples() -> None:
    found = summarise([3.0, 1.0, 2.0])
    assert (found.n, found.median, found.min, found.max) == (3, 2.0, 1.0, 3.0)


def test_ratio_interval_encloses_the_ratio_and_is_repeatable() -> None:
    under, over = [10.0, 11.0, 12.0, 13.0], [20.0, 22.0, 24.0, 26.0]
    ratio, low, high = ratio_of_medians(over, under, random.Random(1))
    assert ratio == 2
    assert low < 2 < high
    assert (ratio, low, high) == ratio_of_medians(over, under, random.Random(1))


def test_record_keeps_samples_by_what_was_measured() -> None:
    record = Record()
    record.add("1GB", "cowdb", agent=40.0, query=50.0)
    record.add("1GB", "cowdb", agent=42.0, query=52.0)
    assert record.series() == [
        {"database": "1GB", "method": "cowdb", "measure": "agent", "ms": [40.0, 42.0]},
        {"database": "1GB", "method": "cowdb", "measure": "query", "ms": [50.0, 52.0]},
    ]
    assert [row["median"] for row in summary(record.series())] == [41.0, 51.0]


def test_sizes() -> None:
    assert parse_sizes("100MB, 3GB") == ("100MB", "3GB")
    assert [measure.scale_of(size) for size in ("1MB", "100MB", "1GB", "3GB")] == [1, 7, 67, 201]
    with pytest.raises(argparse.ArgumentTypeError, match="'3 apples'"):
        parse_sizes("3 apples")


def test_labels_are_moved_apart_in_order() -> None:
    moved = chart.apart([1.0, 1.01, 5.0, 0.99], 0.5)
    assert sorted(range(4), key=lambda index: moved[index]) == [3, 0, 1, 2]
    places = sorted(moved)
    assert all(b - a >= 0.5 - 1e-6 for a, b in pairwise(places))
    assert chart.apart([1.0, 2.0], 0.5) == [1.0, 2.0]


@pytest.mark.parametrize(
    ("ms", "text"),
    [(3.14, "3.1 ms"), (42.4, "42 ms"), (1500, "1.5 s"), (123456, "123 s"), (None, "-")],
)
def test_times_for_people(ms: float | None, text: str) -> None:
    assert ms_text(ms) == text


def _made_up(large: float) -> Results:
    """Results in which a branch of the larger database takes `large` times as long."""
    record = Record()
    for turn in range(5):
        for size, factor in (("100MB", 1.0), ("1GB", large)):
            took = (40 + turn) * factor
            asked = took + 15
            record.add(size, "cowdb", agent=took, request=took + 5, query=asked, beside=asked,
                       command=120, live=70, reset=60, remove=20)  # fmt: skip
            for peer in peers.ALL:
                record.add(size, peer, query=500 if size == "100MB" else 5000)
    samples, sizes = record.series(), ("100MB", "1GB")
    fact = {"pgbench_scale": 7, "database_bytes": 10**8, "datadir_bytes": 10**8,
            "snapshot_ms": {"total": 30.0}}  # fmt: skip
    return {
        "format": 1, "scenario": "branch", "quick": False,
        "machine": {"cpu": "A", "cores": 2, "memory_bytes": 2**34, "kernel": "6",
                    "load_average_at_start": [0.1, 0.2, 0.3], "git_commit": "abc",
                    "git_dirty": True, "postgres": "15.18"},
        "parameters": {"creations": 5, "commands": 5, "repeats": 5, "peer_budget_s": 1.0,
                       "query": "select 1"},
        "conditions": {"peer_settings": {"fsync": "off"}, "branch_settings": {"fsync": "off"},
                       "page_cache": "warm"},
        "databases": [{**fact, "label": "100MB"},
                      {**fact, "label": "1GB", "database_bytes": 10**9}],
        "samples": samples, "summary": summary(samples),
        "ratios": measure.ratios(samples, sizes), "claims": measure.claims(samples, sizes),
    }  # fmt: skip


def test_claims_hold_or_not() -> None:
    assert [claim["holds"] for claim in _made_up(1.0)["claims"]] == [True, True]
    assert [claim["holds"] for claim in _made_up(2.0)["claims"]] == [True, False]
    assert [claim["holds"] for claim in _made_up(4.0)["claims"]] == [False, False]


def test_ratios_are_to_a_client_s_query() -> None:
    rows = _made_up(1.0)["ratios"]
    assert {row["ratio"] for row in rows if row["database"] == "1GB"} == {round(5000 / 57, 2)}


def test_page_and_table_tell_the_same() -> None:
    results = _made_up(4.0)
    for text in (story.table(results), story.page(results)):
        assert "DOES NOT HOLD" in text
        assert all(peer in text.replace("\\|", "|") for peer in peers.ALL)
        assert "168 ms" in text  # the larger one's median, of the agent
    assert look_up(results, "1GB", "nobody", "query") is None


def test_pictures_are_the_same_for_the_same_results(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    first = chart.save(story.draw(_made_up(1.0)), tmp_path / "a")
    second = chart.save(story.draw(_made_up(1.0)), tmp_path / "b")
    assert [path.suffix for path in first] == [".svg", ".png"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_scenarios_are_found_by_folder() -> None:
    assert "branch" in scenarios.find()
