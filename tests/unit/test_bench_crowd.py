"""Spares, crowds, quotas, sleep as benchmarks: claims, words, pages. No server, no times."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import Any

import pytest

from bench import command, memory, options
from bench.page import page, terminal
from bench.record import Record, Results, measured
from bench.scenarios.crowd import measure as crowd
from bench.scenarios.crowd import story as crowd_story
from bench.scenarios.quotas import measure as quotas
from bench.scenarios.quotas import story as quotas_story
from bench.scenarios.spares import kinds
from bench.scenarios.spares import measure as spares
from bench.scenarios.spares import story as spares_story

MACHINE = {"cpu": "A", "cores": 2, "memory_bytes": 2**34, "kernel": "6", "git_commit": "abc",
           "git_dirty": False, "postgres": "18.6", "load_average_at_start": [0.1, 0.2, 0.3]
           }  # fmt: skip
SIZES = ("20MB", "1GB")


def _spares(agent: float, large: float = 1.0) -> Results:
    """A spare takes `agent` ms in the agent, and `large` times as long with the larger database."""
    record = Record()
    for size, factor in zip(SIZES, (1.0, large), strict=True):
        for turn in range(5):
            for method in kinds.ALL:
                own = {"agent": agent if method == kinds.SPARE else 35.0} if (
                    method in kinds.OURS) else {}  # fmt: skip
                record.add(size, method, request=6.0, answer=(12.0 + turn / 10) * factor,
                           command=90.0, **own)  # fmt: skip
            for method in kinds.AHEAD:
                record.add(size, method, again=50.0)
    samples = record.series()
    facts = {"bytes_each": dict.fromkeys(kinds.AHEAD, 2**20), "pool_strategy": "file_copy"}
    return measured(
        "spares", quick=False, machine=dict(MACHINE), samples=samples,
        parameters={"spares": 3, "repeats": 5, "commands": 5, "peer_budget": 1.0},
        conditions={"server_settings": {}, "branch_settings": {}, "page_cache": "warm"},
        databases=[{"label": size, **facts} for size in SIZES],
        ratios=spares.ratios(samples), claims=spares.claims(samples, SIZES),
    )  # fmt: skip


def _crowd(list_ms: float, each: float) -> Results:
    """Lists take so long, and each live branch so many bytes."""
    record = Record()
    for when in ("few", "many"):
        for said in crowd.LISTS:
            record.add("10MB", crowd.COWDB, **{f"{when}.{said}": list_ms})
        record.add("10MB", crowd.COWDB, **{f"{when}.{crowd.HELP}": 60.0})
    record.add("10MB", crowd.COWDB, **{"create.1": 50.0})
    samples = record.series()
    facts: dict[str, Any] = {
        "label": "10MB", "branches": {"running": 300, "stopped": 700}, "databases": 0,
        "snapshots": 200, "rates": {crowd.COWDB: {"1": 20.0}},
        "memory": [{"live": 0, "alone": 9e9, "accounted": 1e8},
                   {"live": 300, "alone": 9e9 - 300 * each, "accounted": 1e8 + 300 * 7e6}],
    }  # fmt: skip
    return measured(
        "crowd", quick=False, machine=dict(MACHINE), samples=samples, databases=[facts],
        parameters={"live": 300, "repeats": 1}, ratios=crowd.ratios(samples),
        conditions={"server_settings": {}, "branch_settings": {}},
        claims=crowd.claims(samples, facts),
    )  # fmt: skip


def _quotas(simple: float) -> Results:
    """With simple quotas everything takes so many times as long."""
    record = Record()
    for count in ("0", "200"):
        for mode, factor in zip(quotas.MODES, (1.0, simple, 3.0), strict=True):
            for turn in range(5):
                parts = dict.fromkeys(quotas.PARTS, (20.0 + turn / 10) * factor)
                record.add(count, mode, **parts, life=sum(parts.values()))
    samples = record.series()
    return measured(
        "quotas", quick=False, machine=dict(MACHINE), samples=samples,
        parameters={"snapshots": [0, 200], "rounds": 1, "repeats": 5, "written_rows": 2000,
                    "changed_rows": 500, "limit_bytes": 2**30, "full_budget": 40.0},
        conditions={"branch_settings": {}},
        databases=[{"label": "100MB", "volumes": {"0": 3, "200": 403}}],
        ratios=quotas.ratios(samples, [0, 200]), claims=quotas.claims(samples, [0, 200]),
    )  # fmt: skip


def _holds(results: Results) -> list[bool]:
    return [claim["holds"] for claim in results["claims"]]


def test_claims_of_spares() -> None:
    assert _holds(_spares(3.0)) == [True, True, True, True]
    assert _holds(_spares(6.0)) == [False, True, True, True]
    assert _holds(_spares(3.0, large=2.0)) == [True, True, True, False]


def test_claims_of_a_crowd() -> None:
    assert _holds(_crowd(150.0, 9e6)) == [True] * 8
    assert _holds(_crowd(201.0, 9e6)) == [True, *[False] * 6, True]
    assert _holds(_crowd(150.0, 11e6)) == [*[True] * 7, False]


def test_claims_of_quotas() -> None:
    assert _holds(_quotas(1.1)) == [True, True, True]
    assert _holds(_quotas(1.5)) == [False, False, False]


@pytest.mark.parametrize(
    ("told", "results", "said"),
    [(spares_story, _spares(6.0), "6.0 ms"), (crowd_story, _crowd(201.0, 9e6), "9.0 MB"),
     (quotas_story, _quotas(1.5), "1.50 x")],
)  # fmt: skip
def test_pages_and_tables_tell_the_same(told: Any, results: Results, said: str) -> None:
    pytest.importorskip("matplotlib")
    for text in (told.table(results), told.page(results)):
        assert said in text
        assert "DOES NOT HOLD" in text
    assert said in told.headline(results)
    assert told.draw(results) is not None


def test_the_frame_has_what_every_page_has() -> None:
    results = _quotas(1.0)
    text = page(results, title="T", picture="P", told=["own"], how=["so"], resumes=True,
                run=[("quotas", "long")])  # fmt: skip
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == ["# T", "## How it was measured", "## The machine", "## Run it"]
    assert "![P](quotas.svg)" in text
    assert "\n- so\n" in text
    run, told = (line for line in text.splitlines() if line.endswith(("# long", "from the JSON")))
    assert run.startswith("    sudo .venv/bin/python -m bench quotas ")
    assert told.startswith("    .venv/bin/python -m bench quotas --report-only ")
    assert run.index("#") == told.index("#")
    assert "`--fresh`" in text
    assert "\n\n\n" not in text
    assert all(claim["details"] in terminal(results, "own") for claim in results["claims"])


def test_options_say_their_defaults() -> None:
    parser = argparse.ArgumentParser()
    options.amount(parser, "--seconds", 2.5, "of waiting", "SECONDS")
    options.sizes(parser, ("20MB", "1GB"))
    assert vars(parser.parse_args([])) == {"seconds": 2.5, "sizes": ("20MB", "1GB")}
    assert "of waiting (default 2.5)" in parser.format_help()
    assert parser.parse_args(["--sizes", "5MB"]).sizes == ("5MB",)


def test_memory_of_processes_is_their_own() -> None:
    before = memory.accounted([os.getpid()])
    taken = bytearray(os.urandom(2**20)) * 64
    grown = memory.accounted([os.getpid()]) - before
    assert 60 * 2**20 < grown < 80 * 2**20
    assert len(taken) == 64 * 2**20
    assert memory.accounted([2**22 + 1]) == 0, "who has ended has nothing"


def test_commands_are_timed_whole() -> None:
    took, said = command.timed([sys.executable, "-c", "import time; time.sleep(.05); print('x')"])
    assert took > 50
    assert said == "x\n"
    with pytest.raises(subprocess.CalledProcessError):
        command.timed([sys.executable, "-c", "raise SystemExit(3)"])
