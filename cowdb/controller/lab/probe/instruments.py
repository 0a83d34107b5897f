"""The lab's instruments on a branch: what its server logs, and event triggers in a schema of their
own. Both are taken back before anything is compared.

The triggers say which locks the session holds at the end of a DDL command, which tables it has read
from one end to the other meanwhile, and which table is being rewritten. RAISE LOG goes to the
server's log only, also where the transaction is rolled back later. They never fail a command:
whatever goes wrong in them is one more line of the log.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from cowdb.controller.lab.probe.log import PREFIX
from cowdb.errors import ServerError

APPLICATION = "cowdb lab"
SCHEMA = "cowdb_lab"
MARK = "cowdb_lab "
"""What a trigger's line begins with; JSON follows."""

_LOGGING = {
    "log_min_messages": "warning",  # LOG ranks above it
    "log_error_verbosity": "default",
    "log_line_prefix": PREFIX,
    "log_statement": "all",
    "log_min_duration_statement": "0",
    "log_duration": "off",
    "log_min_duration_sample": "-1",
    "log_transaction_sample_rate": "0",
    "log_min_error_statement": "error",
    "log_parameter_max_length": "0",  # values of rows; an error's, too
    "log_parameter_max_length_on_error": "0",
    "log_lock_waits": "on",
    "deadlock_timeout": "10ms",
    "log_temp_files": "0",
    "log_disconnections": "on",
    "log_statement_stats": "off",
}
QUIET = (
    "-c log_statement=none -c log_min_duration_statement=-1 -c log_temp_files=-1"
    " -c log_disconnections=off"
)
_PATIENCE = 10.0  # seconds for a reload to be in force

# SECURITY DEFINER: a role that a migration sets may have no right to this schema.
_FUNCTIONS = f"""
CREATE SCHEMA {SCHEMA};
CREATE FUNCTION {SCHEMA}.scans() RETURNS json LANGUAGE sql
SET search_path = pg_catalog AS $body$
    SELECT json_object_agg(c.oid::bigint, json_build_array(
        pg_stat_get_xact_numscans(c.oid), pg_stat_get_xact_tuples_returned(c.oid)))
    FROM pg_class c WHERE c.relkind IN ('r', 'm') AND c.oid >= 16384
        AND pg_stat_get_xact_numscans(c.oid) > 0
$body$;
CREATE FUNCTION {SCHEMA}.begins() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog SET client_min_messages = error AS $body$
BEGIN
    RAISE LOG '{MARK}%', json_build_object('scans_before', {SCHEMA}.scans());
EXCEPTION WHEN OTHERS THEN
    RAISE LOG '{MARK}%', json_build_object('failed', SQLERRM);
END $body$;
CREATE FUNCTION {SCHEMA}.ended() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog SET client_min_messages = error AS $body$
BEGIN
    RAISE LOG '{MARK}%', (
        SELECT json_build_object('locks', coalesce(json_agg(
            json_build_array(relation::bigint, mode, virtualtransaction)), '[]'),
            'scans', {SCHEMA}.scans())
        FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted
            AND relation >= 16384 AND mode NOT IN ('AccessShareLock', 'RowShareLock'));
EXCEPTION WHEN OTHERS THEN
    RAISE LOG '{MARK}%', json_build_object('failed', SQLERRM);
END $body$;
CREATE FUNCTION {SCHEMA}.rewrites() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog SET client_min_messages = error AS $body$
BEGIN
    RAISE LOG '{MARK}%', json_build_object(
        'rewrites', pg_event_trigger_table_rewrite_oid()::bigint,
        'reason', pg_event_trigger_table_rewrite_reason());
EXCEPTION WHEN OTHERS THEN
    RAISE LOG '{MARK}%', json_build_object('failed', SQLERRM);
END $body$;
CREATE EVENT TRIGGER cowdb_lab_begins ON ddl_command_start EXECUTE FUNCTION {SCHEMA}.begins();
CREATE EVENT TRIGGER cowdb_lab_ended ON ddl_command_end EXECUTE FUNCTION {SCHEMA}.ended();
CREATE EVENT TRIGGER cowdb_lab_rewrites ON table_rewrite EXECUTE FUNCTION {SCHEMA}.rewrites();
ALTER EVENT TRIGGER cowdb_lab_begins ENABLE ALWAYS;
ALTER EVENT TRIGGER cowdb_lab_ended ENABLE ALWAYS;
ALTER EVENT TRIGGER cowdb_lab_rewrites ENABLE ALWAYS;
"""
# The lock on a trigger's own schema would wait for a session that the strategy left: the lab ends
# those first.
_REMOVAL = f"""
SET lock_timeout = '10s';
DROP EVENT TRIGGER IF EXISTS cowdb_lab_begins;
DROP EVENT TRIGGER IF EXISTS cowdb_lab_ended;
DROP EVENT TRIGGER IF EXISTS cowdb_lab_rewrites;
DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;
RESET lock_timeout;
"""


def own_dsn(dsn: str, application: str = APPLICATION) -> str:
    """For sessions that are not the strategy's; the server does not log what they do."""
    return make_conninfo(dsn, application_name=application, options=QUIET)


def connected(dsn: str) -> psycopg.Connection[Any]:
    return psycopg.connect(own_dsn(dsn), autocommit=True, connect_timeout=10)


@contextlib.contextmanager
def logging(dsn: str) -> Iterator[None]:
    """The server's log tells everything for the length of a block.

    :raises ServerError: the settings do not come into force."""
    with connected(dsn) as db:
        before = dict(db.execute(
            "SELECT name, setting FROM pg_file_settings WHERE name = ANY(%s)"
            " AND sourcefile LIKE '%%/postgresql.auto.conf' ORDER BY seqno",
            [list(_LOGGING)],
        ).fetchall())  # fmt: skip
        known = {row[0] for row in db.execute("SELECT name FROM pg_settings").fetchall()}
        wanted = {name: value for name, value in _LOGGING.items() if name in known}
        for name, value in wanted.items():
            _set(db, name, value)
        db.execute("SELECT pg_reload_conf()")
    _await(dsn, wanted)
    try:
        yield
    finally:
        # A database that the strategy has dropped, or a server that it has stopped, is past this.
        with contextlib.suppress(psycopg.OperationalError), connected(dsn) as db:
            for name in wanted:
                _set(db, name, before.get(name))
            db.execute("SELECT pg_reload_conf()")


def _set(db: psycopg.Connection[Any], name: str, value: str | None) -> None:
    tail = sql.SQL("RESET {}") if value is None else sql.SQL("SET {} = {}")
    parts = [sql.Identifier(name)] if value is None else [sql.Identifier(name), sql.Literal(value)]
    db.execute(sql.SQL("ALTER SYSTEM ") + tail.format(*parts))


def _await(dsn: str, wanted: dict[str, str]) -> None:
    """A reload reaches the postmaster by a signal: new sessions have it a moment later."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        with psycopg.connect(make_conninfo(dsn, application_name=APPLICATION), autocommit=True,
                             connect_timeout=10) as db:  # fmt: skip
            row = db.execute("SELECT current_setting('log_statement'), "
                             "current_setting('log_line_prefix')").fetchone()  # fmt: skip
        if row == (wanted["log_statement"], PREFIX):
            return
        if time.monotonic() > deadline:
            raise ServerError(
                f"the branch's server does not log what the lab needs: log_statement and "
                f"log_line_prefix are {row}", hint="settings of the database or of its user may "
                "stand above them: ALTER DATABASE ... RESET log_statement in the source",
            )  # fmt: skip
        time.sleep(0.005)


def install(db: psycopg.Connection[Any]) -> None:
    db.execute(_FUNCTIONS)


def remove(dsn: str) -> None:
    """Harmless where nothing is there."""
    with connected(dsn) as db:
        db.execute(_REMOVAL)
