"""Random work on branches: changed blocks, reading everything and an oracle say the same.

COWDB_DIFF_SECONDS=3600   how long (60)
COWDB_DIFF_SEED=7         only this round, to reproduce a failure
COWDB_DIFF_MAJOR=17       only this major of those installed
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from cowdb.agent.engines.postgres import binaries
from tests.agenthost import AgentHost, agent_host
from tests.host.diff.workload.round import Score, play, prepare
from tests.loopfs import filesystems

SECONDS = float(os.environ.get("COWDB_DIFF_SECONDS", "60"))
SEED = os.environ.get("COWDB_DIFF_SEED", "")
MAJOR = os.environ.get("COWDB_DIFF_MAJOR", "")
DRIVERS = filesystems()
_FEWEST = 4  # rounds, also on a machine that is busy
_ROUNDS_OF_A_SOURCE = 11  # no multiple of the number of majors

_BINDIRS = [
    *(item for item in os.environ.get("COWDB_TEST_BINDIRS", "").split(":") if item),
    "/usr/lib/postgresql/*/bin",
]


@pytest.fixture(params=DRIVERS)
def roomy_host(request: pytest.FixtureRequest) -> Iterator[AgentHost]:
    """Of its own: every installed major, and room for a table in many shapes."""
    # Large buffers: what has not been flushed stays unflushed, for a missing flush to be seen.
    settings = {"shared_buffers": "32MB", "bgwriter_lru_maxpages": "0"}
    with agent_host(
        request.param, bindirs=_BINDIRS, size=6 * 2**30, branch_settings=settings
    ) as found:
        yield found


@pytest.mark.timeout(SECONDS * 1.2 + 900)  # a round takes minutes where all is emulated
def test_random_work_is_compared_alike_three_ways(
    roomy_host: AgentHost, capsys: pytest.CaptureFixture[str]
) -> None:
    score = Score()
    started = time.monotonic()
    majors = sorted(map(str, binaries.find(_BINDIRS)))
    majors = [MAJOR] if MAJOR else majors
    source, left = "", 0
    seed = int(SEED or time.time_ns() // 10**6 % 10**8)
    while score.rounds < _FEWEST or time.monotonic() - started < SECONDS / len(DRIVERS):
        if not left:  # many rounds for one source: it takes longer to make than a round
            if source:
                roomy_host.run("source", "rm", source)
            major = majors[seed % len(majors)]
            source, left = f"pg{major}-{seed}", _ROUNDS_OF_A_SOURCE
            prepare(roomy_host, source, major)
        left -= 1
        wrong = play(roomy_host, source, seed, int(major), score)
        with capsys.disabled():
            if wrong and SECONDS > 300:
                print(_again(seed, major, wrong), flush=True)
            assert not wrong, _again(seed, major, wrong)
            if SECONDS > 300 and score.rounds % 10 == 0:
                print(f"{time.monotonic() - started:.0f} s, seed {seed}: {score}", flush=True)
        if SEED:
            return
        seed += 1
    with capsys.disabled():
        if SECONDS > 300:
            print(f"{time.monotonic() - started:.0f} s, done: {score}", flush=True)
    _worth_something(score)


def _again(seed: int, major: str, wrong: list[str]) -> str:
    shown = "\n".join(text[:600] for text in wrong[:12])
    return (
        f"{len(wrong)} disagreements\n{shown}\nrun again: COWDB_DIFF_SEED={seed}"
        f" COWDB_DIFF_MAJOR={major} pytest tests/host/diff/test_property.py"
    )


def _worth_something(score: Score) -> None:
    """What would make the run prove nothing."""
    assert score.lost <= 2 + score.rounds // 10, score.lost
    tally = score.tally
    done, failed = tally.done.total(), tally.failed.total()
    assert done > 2 * failed, f"most statements failed: {tally.failed.most_common(10)}"
    unknown = [item for item in tally.failed if item.split()[-1] in {"42601", "XX000"}]
    assert not unknown, f"not Postgres's, or an error inside it: {[tally.why[i] for i in unknown]}"
    total = score.methods.total()
    for method, share in (("unchanged-blocks", 0.05), ("changed-blocks", 0.15)):
        assert score.methods[method] > share * total, score.methods
    assert {"it is unlogged", "one side has rewritten it"} <= score.whole.keys(), score.whole
    assert score.differing["changed-blocks"] > 5 * score.rounds**0.5, score.differing
