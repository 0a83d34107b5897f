"""However much differs: bounded memory here, no temporary files on the servers, few connections."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg

from tests.host.diff.rowsides import only, rows_of, two
from tests.plainpg import PlainPostgres

ROWS = 150_000
# Every row differs, and has 700 bytes that cannot be compressed: 105 MB on each side.
WIDE = f"""CREATE TABLE t (id int PRIMARY KEY, v text);
    INSERT INTO t SELECT i, (SELECT string_agg(md5(i::text || k), '')
        FROM generate_series(1, 22) k) FROM generate_series(1, {ROWS}) i"""
CAP_MB = 140
COMPARE = """
import json, sys
from pathlib import Path
from cowdb.controller.diff.compare import compare
from cowdb.controller.diff.model import Side, Wanted
sides = [Side(name, dsn) for name, dsn in zip(("one", "other"), sys.argv[1:])]
report = compare(sides, Wanted(schema=False, counts=False, rows=True))
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
(line,) = report["rows"]
print(json.dumps({"peak_kb": int(status["VmHWM"].split()[0]), "changed": line["changed"]}))
"""


def _spilled(server: PlainPostgres, *databases: str) -> int:
    with psycopg.connect(server.dsn()) as db:
        row = db.execute("SELECT sum(temp_bytes)::bigint FROM pg_stat_database "
                         "WHERE datname = ANY (%s)", (list(databases),)).fetchone()  # fmt: skip
    assert row is not None
    return int(row[0])


def test_a_table_that_differs_in_every_row(server: PlainPostgres) -> None:
    """More than ten seconds: what is held must be small beside what differs."""
    with two(server, WIDE) as (one, other):
        server.run("UPDATE t SET v = reverse(v)", other)
        before = _spilled(server, one, other)
        done = subprocess.run(
            [sys.executable, "-c", COMPARE, server.dsn(one), server.dsn(other)],
            capture_output=True, text=True, check=False, timeout=200,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        # A backend tells what it has spilled when it ends.
        time.sleep(1)
        assert _spilled(server, one, other) == before
    found = json.loads(done.stdout)
    assert found["changed"] == ROWS
    assert found["peak_kb"] / 1024 < CAP_MB


def test_a_server_with_few_connections_left(server: PlainPostgres) -> None:
    script = """CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 90000);
        CREATE TABLE u (a int PRIMARY KEY); INSERT INTO u SELECT generate_series(1, 90)"""
    with two(server, script) as (one, other):
        server.run("DELETE FROM t WHERE a = 7", other)
        held: list[psycopg.Connection[tuple[object, ...]]] = []
        try:
            while len(held) < 35:  # of 40, three of which are the superuser's
                held.append(psycopg.connect(server.dsn()))
            assert only(rows_of(server, one, other))["removed"] == 1
        finally:
            for conn in held:
                conn.close()


def test_an_interrupt_cancels_the_statements(server: PlainPostgres, tmp_path: Path) -> None:
    """A comparison that waits for a server ends at once, and so does what the server does."""
    script = "CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 50)"
    with two(server, script) as (one, other):
        # A lock keeps the comparison waiting for as long as its lock_timeout.
        with psycopg.connect(server.dsn(other)) as db:
            db.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
            process = subprocess.Popen(
                [sys.executable, "-m", "cowdb", "diff", server.dsn(one), server.dsn(other),
                 "--rows", "--json"],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=tmp_path,
            )  # fmt: skip
            waiting = ("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                       "AND application_name = 'cowdb diff'")  # fmt: skip
            while True:
                row = db.execute(waiting.encode()).fetchone()
                if row and row[0]:
                    break
                assert process.poll() is None, process.stderr
                db.execute("SELECT pg_sleep(0.05)")
                db.execute("SELECT pg_stat_clear_snapshot()")
            begun = time.monotonic()
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
            took = time.monotonic() - begun
            db.execute("SELECT pg_stat_clear_snapshot()")
            row = db.execute(waiting.encode()).fetchone()
            assert row == (0,)
    assert process.returncode != 0
    assert took < 8  # lock_timeout is ten seconds
