"""What agents do on their branches: five small models, each with the answers that must come.

    software development    a migration: new columns, filled, checked; variants are compared
    failure reproduction    a recorded log is replayed up to the failure, schema changes included
    data curation           several cleanings of the same data; their results are compared
    tree search             one move, and what the position is worth
    simulation              fifty events of a possible future; outcomes are compared

`Story` is what a branch must hold: its parent's, and what its own step adds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from operator import methodcaller

from bench.scenarios.agents.tree import Shape, Step
from bench.shop import CUSTOMERS, DIRTY, ITEMS, QUANTITY, Session, require

_SLICES = 20
_LINES = 42  # of a replayed order
_EVENTS = 50


@dataclass(frozen=True)
class Story:
    """:param trail: the steps that led here. :param sold: pieces of stock that are gone.
    :param cleaned: the slice of dirty customers, and whether they were kept.
    :param orders: placed. :param columns: added by migrations."""

    trail: tuple[str, ...] = ()
    sold: int = 0
    cleaned: dict[int, bool] = field(default_factory=dict)
    orders: int = 0
    columns: int = 0


@dataclass(frozen=True)
class Operation:
    """:param kind: "ddl", "dml" or "query"; a query checks its answer."""

    kind: str
    run: Callable[[Session], object]


@dataclass(frozen=True)
class Workload:
    """:param steps: of one step: its operations, and the story after it.
    :param check: the question that leaves are compared by, which raises WrongError.
    :param running: a first branch comes of a running branch, and not of a snapshot."""

    name: str
    shape: Shape
    step: Callable[[Step, Story], tuple[list[Operation], Story]]
    check: Callable[[Session, Story], None]
    running: bool = False


def _said(kind: str, *statements: str) -> Iterator[Operation]:
    for statement in statements:
        yield Operation(kind, methodcaller("execute", statement.encode()))


def _asked(query: str, *expected: object) -> Operation:
    return Operation("query", lambda session: require(session, query, expected))


def _grown(story: Story, step: Step, **changes: object) -> Story:
    values = {"sold": story.sold, "cleaned": story.cleaned, "orders": story.orders,
              "columns": story.columns, **changes}  # fmt: skip
    return Story((*story.trail, step.name), **values)  # type: ignore[arg-type]


def _develop(step: Step, story: Story) -> tuple[list[Operation], Story]:
    tier, limit = (f'"{word}_{step.name}"' for word in ("tier", "limit"))
    gold = random.Random(step.seed).randint(1000, 9000)
    after = _grown(story, step, columns=story.columns + 2)
    return [
        *_said("ddl", f"alter table customers add column {tier} text",
               f"alter table customers add column {limit} numeric(10,2)"),
        *_said("dml", f"update customers set {limit} = coalesce(credit, 0) * 2,"
               f" {tier} = case when spent >= {gold} then 'gold' else 'plain' end"),
        _asked(f"select count(*) from customers where {tier} is null or {limit} is null", 0),
        _asked(f"select count(*) filter (where {tier} = 'gold'),"
               f" count(*) filter (where {tier} = 'plain') from customers",
               _rich(gold), CUSTOMERS - _rich(gold)),
    ], after  # fmt: skip


def _rich(gold: int) -> int:
    return sum(number * 7919 % 10007 >= gold for number in range(1, CUSTOMERS + 1))


def _check_columns(session: Session, story: Story) -> None:
    require(session, "select count(*) from pg_attribute where attrelid = 'customers'::regclass"
            " and attnum > 0 and not attisdropped", (4 + story.columns,))  # fmt: skip
    require(session, "select count(*) from customers", (CUSTOMERS,))


def _replay(step: Step, story: Story) -> tuple[list[Operation], Story]:
    """A prefix of the log, as long as the turn says, brings the failure or not: the order's last
    line is lost from the fifth prefix on."""
    order = 1_000_000 + step.turn
    lost = step.turn >= 4
    lines = [f"insert into order_lines values ({order}, {number}, {number}, {step.seed % 90})"
             for number in range(1, _LINES + 1)]  # fmt: skip
    last = f"delete from order_lines where order_id = {order} and number = {_LINES + 1 - lost}"
    after = _grown(story, step, orders=story.orders + 1, columns=story.columns + 1)
    return [
        *_said("ddl", "alter table order_lines add column discount numeric(5,2)",
               "alter table orders add column flagged boolean default false",
               "alter table customers add column note text",
               "alter table stock add column tag text",
               "alter table order_lines drop column discount"),
        *_said("dml", f"insert into orders values ({order}, 42, {_LINES})",
               "update customers set credit = coalesce(credit, 0) - 72 where id = 42",
               *lines, last),
        _asked("select count(*) from (select id from orders join order_lines on order_id = id"
               " group by id, lines having count(*) <> lines) broken", int(lost)),
    ], after  # fmt: skip


def _check_orders(session: Session, story: Story) -> None:
    require(session, "select count(*) from orders", (story.orders,))


def _curate(step: Step, story: Story) -> tuple[list[Operation], Story]:
    """Of one slice of the dirty rows: put a value in, or drop the rows."""
    keep, part = step.worker % 2 == 0, (step.turn + step.worker) % _SLICES
    where = f"where credit is null and (id / {DIRTY}) % {_SLICES} = {part}"
    change = ("update customers set credit = 0 " if keep else "delete from customers ") + where
    cleaned = story.cleaned if part in story.cleaned else {**story.cleaned, part: keep}
    after = _grown(story, step, cleaned=cleaned, columns=story.columns + 1)
    return [
        *_said("ddl", f'alter table customers add column "cleaned_{step.name}" boolean'),
        *_said("dml", change),
        Operation("query", lambda session: _check_cleaning(session, after)),
    ], after


def _check_cleaning(session: Session, story: Story) -> None:
    dirty = [number // DIRTY % _SLICES for number in range(DIRTY, CUSTOMERS + 1, DIRTY)]
    nulls = sum(part not in story.cleaned for part in dirty)
    dropped = sum(story.cleaned.get(part) is False for part in dirty)
    require(session, "select count(*) filter (where credit is null), count(*) from customers",
            (nulls, CUSTOMERS - dropped))  # fmt: skip


def _move(step: Step, story: Story) -> tuple[list[Operation], Story]:
    chance = random.Random(step.seed)
    item, pieces = chance.randint(1, ITEMS), chance.randint(1, 10)
    after = _grown(story, step, sold=story.sold + pieces)
    return [
        *_said("dml", f"update stock set quantity = quantity - {pieces} where id = {item}"),
        Operation("query", lambda session: _check_stock(session, after)),
    ], after


def _check_stock(session: Session, story: Story) -> None:
    require(session, "select (select sum(quantity) from stock),"
            " (select count(*) from lines where id between 200 and 699)",
            (ITEMS * QUANTITY - story.sold, 500))  # fmt: skip


def _simulate(step: Step, story: Story) -> tuple[list[Operation], Story]:
    """Days of demand: an order, the stock it takes, now and then a delivery."""
    chance, statements, sold = random.Random(step.seed), list[str](), story.sold
    orders = 0
    while len(statements) < _EVENTS:
        item, pieces = chance.randint(1, ITEMS), chance.randint(1, 10)
        if len(statements) % 5 == 4:
            statements.append(f"update stock set quantity = quantity + 20 where id = {item}")
            sold -= 20
            continue
        if len(statements) % 5 in (0, 2):
            statements.append(f"insert into orders values ({2_000_000 + orders}, 7, {pieces})")
            orders += 1
        else:
            statements.append(f"update stock set quantity = quantity - {pieces} where id = {item}")
            sold += pieces
    after = _grown(story, step, sold=sold, orders=story.orders + orders)
    return [
        *_said("dml", *statements),
        Operation("query", lambda session: _check_future(session, after)),
    ], after


def _check_future(session: Session, story: Story) -> None:
    _check_stock(session, story)
    _check_orders(session, story)


DEVELOPMENT, REPRODUCTION, CURATION, SEARCH, SIMULATION = (
    "software development", "failure reproduction", "data curation", "tree search", "simulation",
)  # fmt: skip
ALL = (
    Workload(DEVELOPMENT, Shape(5, 20, (5, 3), 4, 0.1, 1), _develop, _check_columns),
    Workload(REPRODUCTION, Shape(1, 10, (10, 0), 0, 1.0), _replay, _check_orders),
    Workload(CURATION, Shape(10, 20, (10, 3), 3, 0.0, 2), _curate, _check_cleaning),
    Workload(SEARCH, Shape(10, 100, (10, 10), 25, 0.1), _move, _check_stock, running=True),
    Workload(SIMULATION, Shape(10, 100, (1000, 0), 0, 0.0, 1, ends_empty=True), _simulate,
             _check_future, running=True),
)  # fmt: skip
