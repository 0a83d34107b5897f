"""The database that agents work on: a shop, of which one table (`lines`) is as large as asked.

No statement of the workloads reads all of that table, so that what grows with the database is what
branching costs, and not what reading costs. `trail` is empty; each step notes itself there, by
which a branch is told from every other.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from bench.sizes import bytes_of

Session = psycopg.Connection[tuple[object, ...]]

CUSTOMERS, ITEMS, QUANTITY = 3000, 1000, 10_000
DIRTY = 7
"""Each so many-th customer has no credit limit."""
EMPTY_BYTES = 9 * 10**6  # what a database has before `lines`
ROW_BYTES = 153  # of `lines`, with its index
QUERY = "select count(*) from customers"

LOAD = (
    "create table customers (id int primary key, name text not null,"
    " spent numeric(10,2) not null, credit numeric(10,2))",
    f"insert into customers select i, 'customer ' || i, i * 7919 % 10007,"
    f" case when i % {DIRTY} > 0 then i % 500 end from generate_series(1, {CUSTOMERS}) i",
    "create table stock (id int primary key, quantity int not null)",
    f"insert into stock select i, {QUANTITY} from generate_series(1, {ITEMS}) i",
    "create table orders (id bigint primary key, customer int not null, lines int not null)",
    "create table order_lines (order_id bigint, number int, item int not null, amount int not null,"
    " primary key (order_id, number))",
    "create table lines (id bigint primary key, item int not null, amount int not null,"
    " note text not null)",
    f"insert into lines select i, i % {ITEMS} + 1, i % 97, repeat(md5(i::text), 3)"
    " from generate_series(1, {rows}) i",
    "create table trail (step text primary key)",
    "vacuum (freeze, analyze)",
    "checkpoint",
)


def rows_of(size: str) -> int:
    """Rows of `lines` for a database of about this size."""
    return max(1000, (bytes_of(size) - EMPTY_BYTES) // ROW_BYTES)


def load(dsn: str, rows: int) -> int:
    """Fill an empty database; returns its bytes."""
    with psycopg.connect(dsn, autocommit=True) as db:
        for statement in LOAD:
            db.execute(statement.replace("{rows}", str(rows)).encode())
        row = db.execute("select pg_database_size(current_database())").fetchone()
    assert row is not None
    return int(row[0])


class WrongError(Exception):
    """A branch holds something else than its ancestors' changes and its own."""


def note_step(session: Session, step: str) -> None:
    session.execute("insert into trail values (%s)", [step])


def require_trail(session: Session, expected: Sequence[str]) -> None:
    """:raises WrongError: another step than these left something here, or one of them did not."""
    found = {str(step) for (step,) in session.execute("select step from trail")}
    if found != set(expected):
        raise WrongError(f"has {sorted(found)} and not {sorted(expected)}")


def require(session: Session, query: str, expected: tuple[object, ...]) -> None:
    """:raises WrongError: the first row is another."""
    row = session.execute(query.encode()).fetchone()
    if row != expected:
        raise WrongError(f"{query!r} answers {row} and not {expected}")
