"""A server's log as statements and transactions; the logs are PostgreSQL's own, shortened."""

from __future__ import annotations

from cowdb.controller.lab.probe import statements
from cowdb.controller.lab.probe.events import Gathered, Gatherer
from cowdb.controller.lab.probe.log import entries

T = 1700000000.0


def line(at_ms: int, pid: int, vxid: str, text: str, app: str = "psql", code: str = "00000") -> str:
    return f"{T + at_ms / 1000:.3f}|{pid}|{vxid}|{code}|{app}|{text}\n"


def told(*lines: str) -> statements.Told:
    return statements.read(entries(["".join(lines)]))


def gathered(*lines: str) -> Gathered:
    gatherer = Gatherer(("cowdb ",))
    for entry in entries(lines):
        gatherer.add(entry)
    return gatherer.done()


def spans(found: statements.Told) -> list[tuple[str, int, int | None]]:
    return [(ran.text, round((ran.began - T) * 1000),
             None if ran.ended is None else round((ran.ended - T) * 1000))
            for ran in found.statements]  # fmt: skip


def test_an_entry_may_hold_anything() -> None:
    """A newline inside is followed by a tab, so no statement can pass for an entry."""
    text = "select '\n\t1700000000.000|1|2/3|00000|x|LOG:  statement: fake'"
    whole = (
        line(0, 7, "3/1", f"LOG:  statement: {text}", app="a|b")
        + "stray output\n"
        + line(5, 7, "3/0", "LOG:  duration: 5.000 ms", app="a|b")
    )
    for cut in range(0, len(whole), 7):
        found = list(entries([whole[:cut], whole[cut:]]))
        assert [item.app for item in found] == ["a|b", "a|b"]
        assert found[0].text == "statement: " + text.replace("\n\t", "\n")


def test_a_statement_by_itself() -> None:
    found = told(
        line(10, 7, "3/1", "LOG:  statement: alter table t add a int;"),
        line(35, 7, "3/0", "LOG:  duration: 25.000 ms"),
    )
    assert spans(found) == [("alter table t add a int;", 10, 35)]
    transaction = found.transactions[(7, "3/1")]
    assert transaction.ended == found.statements[0].ended


def test_a_block_lasts_to_its_commit() -> None:
    found = told(
        line(0, 7, "3/1", "LOG:  statement: begin"), line(0, 7, "3/1", "LOG:  duration: 0.1 ms"),
        line(1, 7, "3/1", "LOG:  statement: alter table t add a int"),
        line(5, 7, "3/1", "LOG:  duration: 4.0 ms"),
        line(90, 7, "3/1", "LOG:  statement: commit"), line(99, 7, "3/0", "LOG:  duration: 9.0 ms"),
    )  # fmt: skip
    assert found.transactions[(7, "3/1")].ended == T + 0.099


def test_an_error_ends_a_block_and_a_savepoint_keeps_it() -> None:
    begin = line(0, 7, "3/1", "LOG:  statement: begin") + line(1, 7, "3/1", "LOG:  duration: 1 ms")
    wrong = line(2, 7, "3/1", "LOG:  statement: alter table t drop x") + line(
        5, 7, "3/1", 'ERROR:  column "x" does not exist', code="42703"
    ) + line(5, 7, "3/1", "STATEMENT:  alter table t drop x", code="42703")  # fmt: skip
    ended = (
        begin
        + wrong
        + line(50, 7, "3/0", "LOG:  statement: rollback")
        + line(51, 7, "3/0", "LOG:  duration: 0.1 ms")
    )
    found = told(ended)
    assert found.statements[1].error == 'column "x" does not exist'
    assert found.transactions[(7, "3/1")].ended == T + 0.005
    kept = (
        begin
        + wrong
        + line(50, 7, "3/1", "LOG:  statement: rollback to savepoint a")
        + line(51, 7, "3/1", "LOG:  duration: 0.1 ms")
    )
    kept += line(60, 7, "3/1", "LOG:  statement: commit")
    kept += line(61, 7, "3/0", "LOG:  duration: 1 ms")
    assert told(kept).transactions[(7, "3/1")].ended == T + 0.061


def test_a_client_that_goes_away_in_a_block() -> None:
    found = told(
        line(0, 7, "3/1", "LOG:  statement: begin"), line(1, 7, "3/1", "LOG:  duration: 1 ms"),
        line(2, 7, "3/1", "LOG:  statement: lock table t"),
        line(3, 7, "3/1", "LOG:  duration: 1 ms"),
        line(500, 7, "3/1", "LOG:  unexpected EOF on client connection with an open transaction"),
        line(501, 7, "", "LOG:  disconnection: session time: 0:00:00.5 user=u database=d"),
    )  # fmt: skip
    assert found.transactions[(7, "3/1")].ended == T + 0.501


def test_the_extended_protocol() -> None:
    """Parsing and binding are no statements, and the commit comes after the end is logged."""
    found = told(
        line(0, 7, "3/1", "LOG:  duration: 0.5 ms  parse <unnamed>: update t set a = $1"),
        line(1, 7, "3/1", "LOG:  duration: 0.2 ms  bind <unnamed>: update t set a = $1"),
        line(1, 7, "3/1", "LOG:  execute <unnamed>: update t set a = $1"),
        line(9, 7, "3/1", "LOG:  duration: 8.0 ms"),
        line(900, 7, "3/2", "LOG:  execute <unnamed>: select 1"),
        line(901, 7, "3/2", "LOG:  duration: 1.0 ms"),
    )
    assert spans(found) == [("update t set a = $1", 1, 9), ("select 1", 900, 901)]
    assert found.transactions[(7, "3/1")].ended == T + 0.009


def test_a_syntax_error_is_a_statement_too() -> None:
    found = told(
        line(4, 7, "3/1", 'ERROR:  syntax error at or near "altre"', code="42601"),
        line(4, 7, "3/1", "STATEMENT:  altre table t;", code="42601"),
    )
    assert [(ran.text, ran.code) for ran in found.statements] == [("altre table t;", "42601")]


def test_the_order_is_the_logs() -> None:
    """Milliseconds are cut off in the log, so exact begins must not overtake each other."""
    found = told(
        line(1, 7, "3/1", "LOG:  statement: begin"), line(1, 7, "3/1", "LOG:  duration: 0.050 ms"),
        line(1, 7, "3/1", "LOG:  statement: lock table t"),
        line(3, 7, "3/1", "LOG:  duration: 2.900 ms"),
    )  # fmt: skip
    assert [ran.number for ran in found.statements] == [1, 2]
    assert found.statements[0].began <= found.statements[1].began


def test_events_and_waits() -> None:
    found = gathered(
        line(0, 9, "4/1", "LOG:  statement: select from cowdb", app="cowdb lab"),
        line(1, 7, "3/1", "LOG:  statement: alter table t add a int"),
        line(1, 7, "3/1", 'LOG:  cowdb_lab {"scans_before" : {"16400":[2,80]}}'),
        line(12, 7, "3/1", "LOG:  process 7 still waiting for AccessExclusiveLock on relation 16400"
             " of database 5 after 10.511 ms"),
        line(12, 7, "3/1", "DETAIL:  Process holding the lock: 8. Wait queue: 7."),
        line(90, 7, "3/1", "LOG:  process 7 acquired AccessExclusiveLock on relation 16400 of "
             "database 5 after 89.000 ms"),
        line(91, 7, "3/1", 'LOG:  cowdb_lab {"rewrites" : 16400, "reason" : 2}'),
        line(99, 7, "3/1", 'LOG:  cowdb_lab {"locks" : [[16400, "AccessExclusiveLock", "3/1"]], '
             '"scans" : {"16400":[3,120],"16500":[1,7]}}'),
        line(100, 7, "3/0", "LOG:  duration: 99.0 ms"),
    )  # fmt: skip
    (alter,) = found.told.statements
    assert [(item.relation, item.mode, item.ran) for item in found.held] == [
        (16400, "AccessExclusiveLock", alter)
    ]
    assert [(item.relation, item.ran) for item in found.rewritten] == [(16400, alter)]
    assert [(item.relation, item.rows) for item in found.scanned] == [(16400, 40), (16500, 7)]
    assert [(item.got, item.holders) for item in found.waited] == [(False, (8,)), (True, ())]


def test_words_of_somebody_else_are_a_note() -> None:
    found = gathered(line(0, 7, "3/1", "LOG:  cowdb_lab not json"))
    assert found.failures == ["a line of the lab's event triggers could not be read"]
