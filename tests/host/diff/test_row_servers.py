"""Two servers of different majors: the same rows are the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from cowdb.controller.diff.compare import compare
from cowdb.controller.diff.model import Report, Side, Wanted
from tests.host.diff.rowsides import numbers
from tests.host.diff.rowvalues import CHANGED, EXPECTED, TABLE
from tests.plainpg import PlainPostgres, installed, running


def _compare(one: PlainPostgres, other: PlainPostgres) -> Report:
    sides = [Side("one", one.dsn()), Side("other", other.dsn())]
    return compare(sides, Wanted(schema=False, counts=True, rows=True))


def test_the_oldest_and_the_newest_server() -> None:
    found = installed()
    if len(found) < 2:
        pytest.skip("needs servers of two majors (COWDB_TEST_BINDIRS)")
    with running(found[0]) as one, running(found[-1]) as other:
        for server in (one, other):
            for statement in TABLE:
                server.run(statement)
            server.run("""
                CREATE TABLE big (k text PRIMARY KEY, f float8, n numeric, at timestamptz);
                INSERT INTO big SELECT 'k' || i, i / 7.0, i / 9.0, to_timestamp(i)
                FROM generate_series(1, 9000) i; ANALYZE big""")
            server.run("""CREATE TABLE p (a int PRIMARY KEY, b text) PARTITION BY HASH (a);
                CREATE TABLE p0 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 0);
                CREATE TABLE p1 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 1);
                INSERT INTO p SELECT i, 'b' FROM generate_series(1, 99) i""")
        report = _compare(one, other)
        assert numbers(report) == {}
        assert report["identical"]
        for number, (_, _, after) in enumerate(CHANGED):
            other.run(f"UPDATE v SET c{number} = {after} WHERE id = {number}")
        other.run("UPDATE big SET f = f * (1 + 2.220446049250313e-16) WHERE k = 'k4321'")
        report = _compare(one, other)
    assert numbers(report) == {"public.big": (0, 0, 1), "public.v": (0, 0, len(CHANGED))}
    (line,) = (item for item in report["rows"] if item["table"] == "public.v")
    assert line["columns"] == EXPECTED


def test_majors_are_in_order() -> None:
    majors = [float(Path(path).parent.name) for path in installed()]
    assert majors == sorted(majors)
