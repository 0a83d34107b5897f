"""Whether rows differ at all, which is quicker to say than which."""

from __future__ import annotations

from cowdb.controller.diff.compare import compare
from cowdb.controller.diff.model import Report, Side, Wanted
from tests.host.diff.rowsides import two
from tests.plainpg import PlainPostgres

TABLES = """
create table large (id int primary key, word text);
insert into large select i, 'x' from generate_series(1, 20000) i;
create table few (id int primary key, word text);
insert into few select i, 'x' from generate_series(1, 100) i;
analyze;
"""


def _whether(server: PlainPostgres, one: str, other: str) -> Report:
    sides = [Side("one", server.dsn(one)), Side("other", server.dsn(other))]
    return compare(sides, Wanted(rows=True, sample=0, whether=True))


def test_whether_rows_differ(server: PlainPostgres) -> None:
    with two(server, TABLES) as (one, other):
        found = _whether(server, one, other)
        assert found["identical"]
        server.run("update large set word = 'y' where id <= 5000", other)
        server.run("update few set word = 'y' where id = 7", other)
        found = _whether(server, one, other)
        assert not found["identical"]
        few, large = found["rows"]
        assert (few["table"], few["changed"]) == ("public.few", 1)
        assert large["table"] == "public.large"
        assert 0 < large["changed"] < 100  # buckets: nobody looked for the rows
        server.run("update large set word = 'x'; update few set word = 'x'", other)
        assert _whether(server, one, other)["identical"]
