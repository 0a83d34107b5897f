"""The load's arithmetic: queries with variables, answers summed up, stalls, pgbench's log."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from cowdb.controller.lab.load.pgbench import errors, replay
from cowdb.controller.lab.load.queries import bound, choose, prepared
from cowdb.controller.lab.load.recorder import Latencies, Recorder
from cowdb.controller.lab.spec.model import Load, Query
from cowdb.errors import InvalidError


@pytest.mark.parametrize(
    ("sql", "expected", "names"),
    [
        ("select :id", "select %(id)s", ["id"]),
        ("select x::text, :id::int, (:id)", "select x::text, %(id)s::int, (%(id)s)", ["id"]),
        ("select ':id', \":id\", $$:id$$, $a$ :id $a$ -- :id\n/* :id */",) * 2 + ([],),
        ("select 'it''s :id', :b", "select 'it''s :id', %(b)s", ["b"]),
        ("select a[1:n], t.x like '%a%' and 5 % :b = 0",
         "select a[1:n], t.x like '%%a%%' and 5 %% %(b)s = 0", ["b"]),
    ],
)  # fmt: skip
def test_variables(sql: str, expected: str, names: list[str]) -> None:
    assert bound(sql, {}) == (expected, names)


def test_queries_are_read_and_chosen_by_weight(tmp_path: Path) -> None:
    (tmp_path / "q.sql").write_text("select :n;\n")
    load = Load(
        queries=[Query(name="a", file="q.sql", weight=9), Query(name="b", sql="select 1")],
        variables={"n": 7, "unused": 3},
    )
    queries = prepared(load, tmp_path)
    assert [(item.sql, dict(item.variables)) for item in queries] == [
        ("select %(n)s", {"n": 7}), ("select 1", {}),
    ]  # fmt: skip
    chance = random.Random(3)
    names = [choose(queries, chance).name for _ in range(1000)]
    assert 850 < names.count("a") < 950
    assert {queries[0].values(chance)["n"] for _ in range(200)} == set(range(1, 8))


def test_a_variable_without_a_value(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="query 'a' uses :user, which has no value") as caught:
        prepared(Load(queries=[Query(name="a", sql="select :user")]), tmp_path)
    assert caught.value.hint == "give its largest number: variables: { user: 1000 }"


def test_percentiles() -> None:
    found = Latencies()
    assert found.percentile(0.5) is None
    for ms in range(1, 1001):
        found.add(float(ms))
    assert found.percentile(0.5) == pytest.approx(500, rel=0.03)
    assert found.percentile(0.99) == pytest.approx(990, rel=0.03)
    assert found.percentile(1.0) == pytest.approx(1000, rel=0.03)
    assert found.longest == 1000


def answer(recorder: Recorder, begin: float, end: float) -> None:
    recorder.begun(begin)
    recorder.answered(end, (end - begin) * 1000)


def test_a_stall_is_told_of_the_phase_in_which_it_was() -> None:
    recorder = Recorder(10.0)
    answer(recorder, 10.9, 10.95)
    recorder.mark("during", 11.0)
    answer(recorder, 10.96, 11.76)  # 40 ms of it before
    recorder.mark("after", 12.0)
    answer(recorder, 12.1, 12.12)
    found = recorder.result(13.0)
    before, during, after = found["phases"]
    assert [item["phase"] for item in found["phases"]] == ["before", "during", "after"]
    assert (before["stall_ms"], during["stall_ms"], after["stall_ms"]) == (50, 760, 20)
    assert (before["transactions"], during["per_second"]) == (1, 1.0)
    assert during["longest_ms"] == pytest.approx(800)


def test_a_pause_is_no_stall_and_an_error_no_answer() -> None:
    recorder = Recorder(0.0)
    answer(recorder, 0.0, 0.004)
    answer(recorder, 5.0, 5.002)
    assert recorder.result(9.0)["phases"][0]["stall_ms"] == 4
    recorder.begun(6.0)
    recorder.failed(6.1, "deadlock")
    recorder.failed(6.4, "no connection", begun=False)
    answer(recorder, 6.5, 6.7)
    found = recorder.result(9.0)
    assert found["phases"][0]["stall_ms"] == 700
    assert found["errors"] == {"deadlock": 1, "no connection": 1}
    assert found["phases"][0]["errors"] == 2


def test_a_stall_that_lasts_to_the_end() -> None:
    recorder = Recorder(0.0)
    recorder.mark("during", 1.0)
    recorder.begun(1.5)
    recorder.stopped()
    assert recorder.result(4.0)["phases"][1]["stall_ms"] == 2500


def test_answers_of_others_meanwhile_are_answers() -> None:
    recorder = Recorder(0.0)
    recorder.begun(0.0)
    for number in range(10):
        answer(recorder, number / 10, number / 10 + 0.05)
    recorder.answered(1.0, 1000)
    assert recorder.result(1.0)["phases"][0]["stall_ms"] == pytest.approx(100)


def test_the_time_line_has_no_holes() -> None:
    recorder = Recorder(0.0)
    answer(recorder, 0.01, 0.02)
    recorder.mark("during", 0.25)
    answer(recorder, 0.26, 0.56)
    recorder.mark("after", 0.65)
    line = recorder.result(0.85)["line"]
    assert [item["at_ms"] for item in line] == [-250, -150, 0, 100, 200, 300, 400, 500]
    assert [item["answered"] for item in line] == [1, 0, 0, 0, 0, 1, 0, 0]
    assert line[0]["p50_ms"] == pytest.approx(10, rel=0.03)
    assert line[1]["p50_ms"] is None


def test_a_long_time_line_has_wider_slices() -> None:
    recorder = Recorder(0.0)
    for number in range(3600):
        answer(recorder, number, number + 0.001)
    line = recorder.result(3600.0)["line"]
    assert len(line) == 600
    assert {item["answered"] for item in line} == {6}
    assert line[1]["at_ms"] - line[0]["at_ms"] == 6000


def test_messages_do_not_grow_without_end() -> None:
    recorder = Recorder(0.0)
    for number in range(500):
        recorder.failed(1.0, f"row {number}", begun=False)
    found = recorder.result(2.0)["errors"]
    assert len(found) == 51
    assert found["other errors"] == 450


def test_pgbench_log() -> None:
    recorder = Recorder(0.0)
    lines = ["0 1 2000 0 1000 500000", "0 2 700000 0 1001 200000 15", "0 3 failed 0 1001 300000",
             "half a li"]  # fmt: skip
    replay({"0.0": lines}, -1000.0, recorder)
    (phase,) = recorder.result(2.0)["phases"]
    assert (phase["transactions"], phase["errors"]) == (2, 0)
    assert (phase["longest_ms"], phase["stall_ms"]) == (700, 700)
    recorder = Recorder(0.0)
    replay({"0.0": lines, "1.0": []}, -1000.0, recorder, ["0.0"])
    assert recorder.result(3.0)["phases"][0]["stall_ms"] == pytest.approx(1800)


def test_what_pgbench_complains_of() -> None:
    told = [
        'pgbench: error: client 0 script 0 aborted in command 1 query 0: ERROR:  relation "x" ...',
        "pgbench: error: connection to server failed: FATAL:  the database is starting up",
        "pgbench: error: Run was aborted; the above results are incomplete.",
        "pgbench: error: could not open file", "progress",
    ]  # fmt: skip
    assert list(errors(told)) == [
        'relation "x" ...', "the database is starting up", "could not open file",
    ]  # fmt: skip
