"""The demo's data and migrations on a real server, at a hundredth of their size."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest

from cowdb.demo.script import SQL, Progress, data_files, run_script
from cowdb.errors import CommandError
from tests.plainpg import PlainPostgres, running

TABLES = (
    "users", "addresses", "categories", "products", "orders", "order_lines", "events",
    "stock_audit", "daily_sales",
)  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[PlainPostgres]:
    with running() as plain:
        yield plain


def load(
    server: PlainPostgres, *, seed: int = 42, workers: int = 2, session: Mapping[str, str] = {}
) -> str:
    """The name of a new database with the demo's data."""
    name = server.database()
    run_script(
        server.dsn(name),
        data_files(),
        progress=lambda _: None,
        workers=workers,
        settings={"demo.scale": "0.01", "demo.seed": str(seed), **session},
    )
    return name


@pytest.fixture(scope="module")
def shop(server: PlainPostgres) -> str:
    return load(server)


def one(server: PlainPostgres, database: str, query: str) -> tuple[object, ...]:
    with psycopg.connect(server.dsn(database), options="-c timezone=UTC") as conn:
        row = conn.execute(query.encode()).fetchone()
    assert row is not None
    return row


def number(server: PlainPostgres, database: str, query: str) -> float:
    (value,) = one(server, database, query)
    return float(str(value))


def checksums(server: PlainPostgres, database: str) -> dict[str, tuple[object, ...]]:
    return {
        table: one(
            server, database, f"select count(*), sum(hashtextextended(t::text, 0)) from {table} t"
        )
        for table in TABLES
    }


def dump(server: PlainPostgres, database: str) -> list[str]:
    """The schema as pg_dump writes it, without the lines that differ from call to call."""
    done = subprocess.run(
        [server.bin / "pg_dump", "--schema-only", server.dsn(database)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [line for line in done.stdout.splitlines() if "restrict" not in line]


def migrate(server: PlainPostgres, database: str, *names: str) -> None:
    """Run migrations as a person would."""
    for name in names:
        subprocess.run(
            [server.bin / "psql", "-X", "-q", "-f", SQL / name, server.dsn(database)],
            check=True, capture_output=True,
        )  # fmt: skip


def test_one_seed_gives_the_same_rows_whatever_the_plan(server: PlainPostgres, shop: str) -> None:
    other_plans = {
        "work_mem": "64kB",
        "timezone": "America/New_York",
        "enable_hashjoin": "off",
        "enable_hashagg": "off",
        "max_parallel_workers_per_gather": "2",
        "min_parallel_table_scan_size": "0",
        "parallel_setup_cost": "0",
        "parallel_tuple_cost": "0",
    }
    again = load(server, workers=1, session=other_plans)
    assert checksums(server, again) == checksums(server, shop)
    assert dump(server, again) == dump(server, shop)


def test_psql_loads_the_same(server: PlainPostgres, shop: str) -> None:
    name = server.database()
    server.run(f"alter database {name} set demo.scale = '0.01'")
    migrate(server, name, *(path.name for path in data_files()))
    assert checksums(server, name) == checksums(server, shop)


def test_another_seed_gives_other_rows(server: PlainPostgres, shop: str) -> None:
    ours, theirs = checksums(server, shop), checksums(server, load(server, seed=7))
    same = {table for table in TABLES if ours[table] == theirs[table]}
    assert same == {"categories", "stock_audit"}


def test_sizes_follow_the_scale(server: PlainPostgres, shop: str) -> None:
    counts = {table: rows for table, (rows, _) in checksums(server, shop).items()}
    assert (counts["users"], counts["orders"], counts["events"]) == (10_000, 6_200, 10_000)
    lines = counts["order_lines"]
    assert isinstance(lines, int)
    assert 14_000 < lines < 17_000


def test_a_few_products_sell_most_and_most_users_buy_nothing(
    server: PlainPostgres, shop: str
) -> None:
    best = """
        select sum(lines) filter (where place <= 0.05 * (select count(*) from products))
            / sum(lines)
        from (select count(*) as lines, row_number() over (order by count(*) desc) as place
              from order_lines group by product_id) as sales"""
    assert 0.25 < number(server, shop, best) < 0.6
    idle = """
        select avg((not exists (select from orders where user_id = users.id))::int) from users"""
    assert 0.55 < number(server, shop, idle) < 0.75
    most = "select max(orders) from customer_summary"
    assert 15 < number(server, shop, most) < 150


def test_growth_weekends_and_prices_look_like_a_shop(server: PlainPostgres, shop: str) -> None:
    last_to_first = """
        select count(*) filter (where extract(year from created_at) = 2024)::float8
            / count(*) filter (where extract(year from created_at) = 2020) from users"""
    assert number(server, shop, last_to_first) > 3
    sunday_to_wednesday = """
        select count(*) filter (where extract(isodow from placed_at) = 7)::float8
            / count(*) filter (where extract(isodow from placed_at) = 3) from orders"""
    assert number(server, shop, sunday_to_wednesday) > 1.2
    noon_to_night = """
        select count(*) filter (where extract(hour from placed_at) between 10 and 13)::float8
            / count(*) filter (where extract(hour from placed_at) < 4) from orders"""
    assert number(server, shop, noon_to_night) > 1.5
    middle = "select percentile_cont(0.5) within group (order by price) from products"
    assert 19 < number(server, shop, middle) < 30


@pytest.mark.parametrize(
    "impossible",
    [
        "select count(*) from orders o join users u on u.id = user_id where placed_at < created_at",
        """select count(*) from events join users on users.id = user_id
           where occurred_at < created_at""",
        "select count(*) from orders where subtotal is distinct from order_subtotal(id)",
        """select count(*) from orders
           where greatest(placed_at, shipped_at, delivered_at, updated_at) >= '2025-06-30'""",
        """select count(*) from orders
           where placed_at < '2025-06-20' and status in ('paid', 'shipped')""",
        "select count(*) from orders left join addresses using (user_id) where kind is null",
        "select count(*) from events_default",
        "select count(*) from pg_constraint where not convalidated",
        "select count(*) from pg_index where not indisvalid",
        "select count(*) from pg_namespace where nspname = 'generator'",
    ],
)
def test_nothing_impossible_is_in_it(server: PlainPostgres, shop: str, impossible: str) -> None:
    assert number(server, shop, impossible) == 0


def test_it_has_what_a_diff_should_meet(server: PlainPostgres, shop: str) -> None:
    foreign = "select count(*) from pg_constraint where contype = 'f' and conparentid = 0"
    assert number(server, shop, foreign) == 8
    partitions = "select count(*) from pg_inherits where inhparent = 'events'::regclass"
    assert number(server, shop, partitions) == 17
    server.run("update products set stock = stock + 5 where id = 1", shop)
    audit = "select new_stock - old_stock from stock_audit where product_id = 1"
    assert number(server, shop, audit) == 5
    server.run("delete from stock_audit; update products set stock = stock - 5 where id = 1", shop)
    new_user = "insert into users (email, full_name, country, locale, password_hash) values "
    with pytest.raises(psycopg.errors.UniqueViolation):
        server.run(
            new_user + "((select upper(email) from users where id = 5), 'A', 'DE', 'de', '')", shop
        )


def test_strategies_end_in_one_schema_and_differ_in_rows(server: PlainPostgres, shop: str) -> None:
    plain, filled = server.database(template=shop), server.database(template=shop)
    migrate(server, plain, "v2-strategy-a.sql")
    migrate(server, filled, "v2-strategy-b.sql")
    assert dump(server, plain) == dump(server, filled) != dump(server, shop)
    levels = """
        select count(*) filter (where premium_level = 'gold'),
            count(*) filter (where premium_level = 'silver'),
            count(*) filter (where premium_level = 'standard') from users"""
    assert one(server, plain, levels) == (0, 0, 10_000)
    assert one(server, filled, levels) == (200, 600, 9_200)
    # A row that was not written keeps its page and its transaction.
    written = "select count(*) from users where xmin::text::bigint > {}"
    before = number(server, shop, "select max(xmin::text::bigint) from users")
    assert number(server, plain, written.format(before)) == 0
    assert number(server, filled, written.format(before)) == 10_000
    # The backfill leaves the table as long as it was: see the comment in the file.
    pages = "select pg_relation_size('users')"
    assert number(server, filled, pages) < 1.1 * number(server, shop, pages)


def test_the_runner_migrates_like_psql(server: PlainPostgres, shop: str) -> None:
    by_psql, by_runner = server.database(template=shop), server.database(template=shop)
    names = ("v2-up.sql", "v2-down.sql", "v2-strategy-b.sql")
    migrate(server, by_psql, *names)
    run_script(server.dsn(by_runner), [SQL / name for name in names], progress=lambda _: None)
    assert dump(server, by_psql) == dump(server, by_runner)
    assert checksums(server, by_psql) == checksums(server, by_runner)


def test_up_and_down_leave_nothing(server: PlainPostgres, shop: str) -> None:
    branch = server.database(template=shop)
    migrate(server, branch, "v2-up.sql")
    assert dump(server, branch) != dump(server, shop)
    migrate(server, branch, "v2-down.sql")
    assert dump(server, branch) == dump(server, shop)
    assert checksums(server, branch) == checksums(server, shop)


def test_progress_tells_the_start_and_the_end_of_each_step(
    server: PlainPostgres, tmp_path: Path
) -> None:
    script = tmp_path / "a.sql"
    script.write_text("-- step: one\nselect 1;\n-- step: two\nselect 2;\n")
    seen: list[Progress] = []
    done = run_script(server.dsn(), [script], progress=seen.append)
    assert [(each.step.title, each.number, each.seconds is None) for each in seen] == [
        ("one", 1, True), ("one", 1, False), ("two", 2, True), ("two", 2, False),
    ]  # fmt: skip
    assert {each.total for each in seen} == {2}
    assert done == seen[1::2]


def test_a_failure_names_its_step_and_stops_its_neighbours(
    server: PlainPostgres, tmp_path: Path
) -> None:
    script = tmp_path / "a.sql"
    script.write_text(
        "-- step[parallel]: sleeping\nselect pg_sleep(60);\n"
        "-- step[parallel]: dividing\nselect pg_sleep(0.2); select 1 / 0;\n"
        "-- step[parallel]: never\ncreate table never ();\n"
    )
    start = time.monotonic()
    with pytest.raises(CommandError, match=r"step 'dividing' failed: division by zero"):
        run_script(server.dsn(), [script], progress=lambda _: None)
    assert time.monotonic() - start < 20
    assert one(server, "postgres", "select to_regclass('never')") == (None,)


def test_a_server_that_does_not_answer_is_said() -> None:
    with pytest.raises(CommandError, match="cannot connect"):
        run_script("postgresql://127.0.0.1:1/x", [], progress=lambda _: None)


def test_a_setting_that_is_refused_is_named(server: PlainPostgres) -> None:
    with pytest.raises(CommandError, match="setting 'work_mem' was refused"):
        run_script(server.dsn(), [], progress=lambda _: None, settings={"work_mem": "much"})
