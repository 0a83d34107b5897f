"""`--sql` on the single changes of every kind: what it does, and exactly what it does not do.

What stays in its schema is migrated all at once; of the rest, changes to the same beginning that
tell of different properties go together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import psycopg
import pytest

from cowdb.controller.diff.migration.facts import Facts
from cowdb.controller.diff.migration.statement import Migration
from cowdb.controller.diff.model import Schema
from cowdb.controller.diff.schema import compare_schemas
from tests.host.diff import cluster_cases
from tests.host.diff.batch import is_contained
from tests.host.diff.cases import ROLES, Case
from tests.host.diff.conftest import CHOSEN
from tests.host.diff.migrating import Connection, load, migrate_in_place, planned
from tests.host.diff.migration_limits import ALONE, NOT_DONE, REFUSED, UNREAL
from tests.host.diff.reading import scratch_database
from tests.host.diff.test_kinds import ALL
from tests.plainpg import PlainPostgres

Limit = tuple[str, str, str]
"""A kind, what still differs (a property, `made` or `dropped`), and the reason that was given."""

LABELS = [case for case in cluster_cases.SYSTEM if "seclabel" in f"{case.before}{case.alter}"]
# Two hundred migrations on each: the usual server and the newest.
ONE_BY_ONE = (15, 18, CHOSEN)


@pytest.fixture(scope="module")
def scratch(each_major: PlainPostgres) -> Iterator[Connection]:
    with scratch_database(each_major) as conn:
        yield conn


def _major(conn: Connection) -> int:
    return conn.info.server_version // 10000


def _of(conn: Connection) -> list[Case]:
    major = _major(conn)
    return [
        case
        for case in ALL
        if case.since <= major <= case.until
        and case not in LABELS
        and not any(word in case.alter for word in (*REFUSED, *UNREAL))
        and ("collprovider = 'i'" not in case.alter or _has_icu(conn))
    ]


def _has_icu(conn: Connection) -> bool:
    return (
        conn.execute("SELECT FROM pg_collation WHERE collname LIKE '%-x-icu' LIMIT 1").rowcount > 0
    )


def _goes_alone(single: Case) -> bool:
    said = ";".join((single.before, single.alter, *single.expected))
    return any(word in said for word in ALONE) or not is_contained(single)


def _limits(left: Schema, wanted: Schema, migration: Migration) -> set[Limit]:
    reasons: dict[tuple[str, str], set[str]] = {}
    for one in migration.undone:
        reasons.setdefault((one.kind, one.name), set()).add(one.reason)
    found = set()
    changed = set()
    for change in compare_schemas(left, wanted, "other"):
        about = change["kind"], change["name"]
        changed.add(about)
        details = change["details"]
        names = [{"added": "made", "removed": "dropped"}.get(change["change"], "")]
        if isinstance(details, list):
            names = [detail["property"] for detail in details]
        for name in names:
            found.add((about[0], name, _reason(name, reasons.get(about, set()))))
    kept = {about: why for about, why in reasons.items() if about not in changed}
    return found | {(about[0], "nothing", one) for about, why in kept.items() for one in why}


def _reason(name: str, given: set[str]) -> str:
    """The one that speaks of the property, where there are several."""
    speaking = {one for one in given if f"its {name.replace('_', ' ')} " in one}
    return "; ".join(sorted(speaking or given))


def _both_ways(conn: Connection, first: Facts, other: Facts) -> set[Limit]:
    """:param conn: in the state of `other`, with the savepoint `begun` in that of `first`."""
    schema, back = migrate_in_place(conn, other, first)
    found = _limits(schema, first.schema, back)
    conn.execute("ROLLBACK TO begun")
    schema, forth = migrate_in_place(conn, first, other)
    return found | _limits(schema, other.schema, forth)


def test_all_that_stays_in_its_schema_at_once(scratch: Connection) -> None:
    singles = [case for case in _of(scratch) if not _goes_alone(case)]
    assert len(singles) > 200
    try:
        homes = "".join(f"CREATE SCHEMA c{place};" for place in range(len(singles)))
        scratch.execute(f"{ROLES} {homes}".encode(), prepare=False)
        first = _in_homes(scratch, [single.before.replace(ROLES, "") for single in singles])
        scratch.execute("SAVEPOINT begun")
        other = _in_homes(scratch, [single.alter for single in singles])
        assert _both_ways(scratch, first, other) == set()
    finally:
        scratch.rollback()


def _in_homes(conn: Connection, statements: list[str]) -> Facts:
    for place, text in enumerate(statements):
        conn.execute(f"SET search_path = c{place}".encode(), prepare=False)
        if text:
            conn.execute(text.encode(), prepare=False)
    return load(conn)


def test_the_others_and_what_is_not_done(scratch: Connection) -> None:
    major = _major(scratch)
    if major not in ONE_BY_ONE:
        pytest.skip("tried on others: two hundred migrations")
    found: set[Limit] = set()
    for batch in _batches([case for case in _of(scratch) if _goes_alone(case)]):
        alters = "; ".join(single.alter for single in batch)
        try:
            first = load(scratch, batch[0].before)
            scratch.execute("SAVEPOINT begun")
            found |= _both_ways(scratch, first, load(scratch, alters))
        except psycopg.Error as error:
            error.add_note(f"{batch[0].before} -> {alters}")
            raise
        finally:
            scratch.rollback()
    assert found == {limit[:3] for limit in NOT_DONE if limit[3] <= major <= limit[4]}


def _batches(singles: Sequence[Case]) -> list[list[Case]]:
    """Changes to one beginning go together where each tells of a property of its own."""
    found: list[list[Case]] = []
    for single in singles:
        fitting = (one for one in found if _fits(single, one))
        batch = next(fitting, None)
        if batch is None:
            found.append([single])
        else:
            batch.append(single)
    return found


def _fits(single: Case, batch: list[Case]) -> bool:
    told = {line for one in batch for line in one.expected}
    return (
        single.before == batch[0].before
        and all(_is_plain(one) for one in (single, *batch))
        and not told & set(single.expected)
    )


def _is_plain(single: Case) -> bool:
    return all(line.startswith("~") for line in single.expected) and not any(
        word in single.alter for word in ALONE
    )


@pytest.mark.parametrize("words", [*REFUSED])
def test_what_the_server_refuses_to_make(scratch: Connection, words: str) -> None:
    """It can be written into the catalogs only: the other way works, and this one is refused."""
    major = _major(scratch)
    fitting = [case for case in ALL if words in case.alter and case.since <= major <= case.until]
    if not fitting:
        pytest.skip("not on this major")
    for single in fitting:
        try:
            first = load(scratch, single.before)
            scratch.execute("SAVEPOINT begun")
            other = load(scratch, single.alter)
            schema, back = migrate_in_place(scratch, other, first)
            assert _limits(schema, first.schema, back) == set()
            scratch.execute("ROLLBACK TO begun")
            with pytest.raises(psycopg.Error, match=REFUSED[words]):
                migrate_in_place(scratch, first, other)
        finally:
            scratch.rollback()


def test_security_labels_are_said_as_the_server_reads_them(scratch: Connection) -> None:
    """No provider is loaded, so the server understands each statement and then misses it."""
    said = []
    for single in LABELS:
        try:
            sides = [load(scratch, single.before), load(scratch, single.alter)]
            for one, other in (sides, sides[::-1]):
                for statement in planned(one, other, exact=True).inside:
                    said.append(statement.sql)
                    with (
                        pytest.raises(psycopg.Error, match='provider "p" is not loaded'),
                        scratch.transaction(),
                    ):
                        scratch.execute(statement.sql.encode(), prepare=False)
        finally:
            scratch.rollback()
    assert said == [
        f"SECURITY LABEL FOR p ON {what} IS {label}"
        for what, labels in (
            ("table public.t", ("'x'", "NULL")),
            ("COLUMN public.t.a", ("'x'", "NULL")),
            ("table public.t", ("'y'", "'x'")),
            ("role r", ("'x'", "NULL")),
        )
        for label in labels
    ]


def test_a_subscription_comes_with_its_options(scratch: Connection) -> None:
    if _major(scratch) < 15:
        pytest.skip("without two_phase")
    options = "connect = false, slot_name = NONE, two_phase = true, binary = true"
    sub = f"CREATE SUBSCRIPTION sub CONNECTION 'dbname=x' PUBLICATION p WITH ({options})"
    try:
        first = load(scratch)
        scratch.execute("SAVEPOINT begun")
        left = _both_ways(scratch, first, load(scratch, sub))
    finally:
        scratch.rollback()
    assert {limit[:2] for limit in left} == {("subscription", "connection")}
