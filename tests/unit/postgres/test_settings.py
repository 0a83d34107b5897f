"""postgresql.conf syntax, and what of a source's settings a branch may keep."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowdb.agent.engines.postgres.settings import (
    carry,
    denial,
    parse,
    parse_list,
    pins,
    render,
    render_list,
)
from cowdb.errors import InvalidError

names = st.from_regex(r"[a-z_][a-z0-9_]{0,12}(\.[a-z_][a-z0-9_]{0,12})?", fullmatch=True).filter(
    lambda name: not name.startswith("include")
)
values = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.dictionaries(names, values))
def test_what_is_rendered_is_read_back(settings: dict[str, str]) -> None:
    assert parse(render(settings, ["a header", ""])).settings == settings
    assert not parse(render(settings)).unreadable


@given(st.lists(st.from_regex(r'[a-z$/.," -]*[a-z]', fullmatch=True).map(str.strip)))
def test_lists_are_read_back(items: list[str]) -> None:
    assert parse_list(render_list(items)) == tuple(items)


@given(st.text())
def test_any_text_is_parsed(text: str) -> None:
    parse(text)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("work_mem = 64MB", "64MB"),
        ("work_mem 64MB # comment", "64MB"),
        ("  WORK_MEM='64MB'# comment", "64MB"),
        ("work_mem'64MB'", "64MB"),
        ("work_mem=64MB#'", "64MB"),
        ("work_mem = -1\r", "-1"),
        (r"work_mem = 'it''s \'here\''", "it's 'here'"),
        (r"work_mem = 'a\\b\n\t\101'", "a\\b\n\tA"),
        (r"work_mem = '\303\251'", "é"),
        ("work_mem = ''", ""),
        ("work_mem = 1\nwork_mem = 2", "2"),
    ],
)
def test_each_way_to_write_a_value(line: str, value: str) -> None:
    assert dict(parse(line).settings) == {"work_mem": value}


def test_includes_are_reported_and_not_settings() -> None:
    file = parse("include 'a.conf'\nInclude_Dir = 'd'\ninclude_if_exists b\n")
    assert file.settings == {}
    assert file.includes == (
        ("include", "a.conf"),
        ("include_dir", "d"),
        ("include_if_exists", "b"),
    )


@pytest.mark.parametrize("line", ["work_mem", "= 1", "a = 'open", "a = 1 2", "a.b.c = 1", "4a = 1"])
def test_a_line_that_postgres_refuses_is_numbered(line: str) -> None:
    assert parse(f"# first\n{line}\n").unreadable == (2,)


@pytest.mark.parametrize("name", ["a b", "a=1\nb", "", "include", "a'"])
def test_no_name_can_smuggle_a_second_setting(name: str) -> None:
    with pytest.raises(InvalidError):
        render({name: "x"})


DENIED = """archive_mode archive_command archive_library archive_timeout archive_cleanup_command
restore_command recovery_end_command recovery_target recovery_target_action recovery_min_apply_delay
primary_conninfo primary_slot_name promote_trigger_file hot_standby hot_standby_feedback
wal_receiver_timeout wal_receiver_status_interval synchronous_standby_names
synchronized_standby_slots sync_replication_slots max_logical_replication_workers listen_addresses
port unix_socket_directories unix_socket_group unix_socket_permissions bonjour bonjour_name ssl
ssl_cert_file ssl_key_file ssl_passphrase_command krb_server_keyfile krb_caseins_users
gss_accept_delegation oauth_validator_libraries db_user_namespace log_destination
logging_collector log_directory log_filename log_file_mode log_rotation_age log_rotation_size
log_truncate_on_rotation log_hostname syslog_ident syslog_facility event_source external_pid_file
data_directory config_file hba_file ident_file stats_temp_directory cluster_name jit_provider
extension_control_path extension_destdir jit_profiling_support summarize_wal wal_keep_size
pre_auth_delay post_auth_delay include include_dir include_if_exists""".split()  # noqa: SIM905


@pytest.mark.parametrize("name", DENIED)
def test_denied(name: str) -> None:
    carried = carry({name: "s3cret value", "work_mem": "64MB"})
    assert carried.kept == {"work_mem": "64MB"}
    (sentence,) = carried.dropped
    assert sentence.startswith(f"{name} (")
    assert "s3cret" not in sentence


@pytest.mark.parametrize("value", ["", "off", "(disabled)"])
def test_what_did_nothing_goes_without_a_word(value: str) -> None:
    carried = carry({"archive_command": value})
    assert (carried.kept, carried.dropped) == ({}, ())


def test_what_plans_and_results_depend_on_is_kept() -> None:
    settings = {
        "work_mem": "64MB",
        "effective_cache_size": "16GB",
        "random_page_cost": "1.1",
        "max_connections": "300",
        "max_worker_processes": "16",
        "max_prepared_transactions": "10",
        "max_replication_slots": "20",
        "wal_level": "logical",
        "timezone": "Europe/Berlin",
        "lc_messages": "de_DE.UTF-8",
        "app.tenant": "x",
        "log_statement": "ddl",
    }
    assert carry(settings) == carry(settings).__class__(settings, ())


def test_names_as_pg_settings_spells_them_and_presets() -> None:
    carried = carry({"TimeZone": "UTC", "Archive_Command": "x", "block_size": "8192"})
    assert carried.kept == {"timezone": "UTC"}
    assert len(carried.dropped) == 1


def test_only_passive_libraries_are_preloaded() -> None:
    carried = carry(
        {
            "shared_preload_libraries": "pg_stat_statements, pg_cron,$libdir/auto_explain.so, "
            "timescaledb, /opt/evil/pgaudit, something_new",
            "session_preload_libraries": "auto_explain",
            "local_preload_libraries": "unknown",
            "pg_stat_statements.max": "1000",
            "cron.database_name": "secret_db",
            "timescaledb.license": "x",
            "pglogical.conflict_resolution": "error",
            "something_new.token": "hunter2",
        }
    )
    assert carried.kept == {
        "shared_preload_libraries": "pg_stat_statements, $libdir/auto_explain.so",
        "session_preload_libraries": "auto_explain",
        "pg_stat_statements.max": "1000",
    }
    text = "\n".join(carried.dropped)
    for word in ("pg_cron", "timescaledb", "/opt/evil/pgaudit", "something_new", "unknown"):
        assert word in text
    assert "cron.database_name" in text
    assert "secret_db" not in text
    assert "hunter2" not in text


def test_preload_libraries_kept_by_configuration_keep_their_settings() -> None:
    settings = {
        "shared_preload_libraries": "pg_cron, /opt/ours/lib.so",
        "cron.database_name": "x",
    }
    assert carry(settings, ["pg_cron", "/opt/ours/lib.so"]).kept == settings


def test_libraries_come_from_the_installation() -> None:
    assert carry({"dynamic_library_path": "$libdir"}).dropped == ()
    carried = carry({"dynamic_library_path": "/opt/lib:$libdir"})
    assert carried.kept == {"dynamic_library_path": "$libdir"}
    assert carried.dropped[0].startswith("dynamic_library_path (")


# Settings of the dangerous chapters that a branch keeps, each looked at.
HARMLESS = set(
    """authentication_timeout client_connection_check_interval dynamic_library_path
    gin_fuzzy_search_limit idle_replication_slot_timeout local_preload_libraries
    max_active_replication_origins max_connections max_parallel_apply_workers_per_subscription
    max_replication_slots max_slot_wal_keep_size max_sync_workers_per_subscription
    max_wal_senders md5_password_warnings output_plugin_libraries password_encryption
    reserved_connections scram_iterations session_preload_libraries shared_preload_libraries
    superuser_reserved_connections tcp_keepalives_count tcp_keepalives_idle
    tcp_keepalives_interval tcp_user_timeout track_commit_timestamp vacuum_defer_cleanup_age
    wal_sender_timeout wal_summary_keep_time""".split()  # noqa: SIM905
)
CHAPTERS = (
    "Replication",
    "Write-Ahead Log / Arch",
    "Write-Ahead Log / Recovery Target",
    "Write-Ahead Log / Summ",
    "Connections",
    "File Loc",
    "Reporting and Logging / Where",
    "Client Connection Defaults / Sha",
    "Client Connection Defaults / Other",
)


def servers() -> list[Path]:
    return sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


@pytest.mark.parametrize("server", servers(), ids=lambda path: path.parts[4])
def test_no_dangerous_setting_of_an_installed_server_is_forgotten(server: Path) -> None:
    described = subprocess.run(
        [server, "--describe-config"], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split("\t") for line in described.splitlines()]
    risky = {name for name, _, chapter, *_ in rows if chapter.startswith(CHAPTERS)}
    assert len(risky) > 60
    assert {name for name in risky if denial(name) is None} <= HARMLESS
    major = int(server.parts[4])
    assert set(pins(major)) <= {row[0] for row in rows}


def test_pins_are_those_of_the_version() -> None:
    assert "archive_library" not in pins(14)
    assert pins(15)["promote_trigger_file"] == ""
    assert "promote_trigger_file" not in pins(16)
    assert "sync_replication_slots" not in pins(16)
    assert pins(17)["sync_replication_slots"] == "off"
    for major in range(14, 19):
        assert pins(major)["archive_mode"] == "off"
        assert pins(major)["max_logical_replication_workers"] == "0"
