"""The command line as a contract: help, JSON, what goes where, and what is not even imported."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click
import pytest
from openapi_spec_validator import validate

from cowdb.agent.api import Route
from cowdb.cli import COMMANDS, SUMMARIES, cli
from cowdb.cli.output import Progress
from tests.agenthost import COWDB, AgentHost
from tests.host.usecase import raw, seeded

NO_JSON = {("agent", "serve")}  # it serves: there is no answer to print
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def _walk(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with the words that lead to it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        if isinstance(command, click.Group):
            yield from _walk(command, (*path, name))
        else:
            yield (*path, name), command


LEAVES = dict(_walk(cli))


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_help(words: tuple[str, ...]) -> None:
    command = LEAVES[words]
    text = command.get_help(click.Context(command, info_name=" ".join(words)))
    assert "Examples:" in text
    assert f"cowdb {' '.join(words)}" in text.split("Examples:")[1]
    assert "Exit codes:" in text
    options = {name for item in command.params for name in item.opts}
    if words not in NO_JSON:
        assert "--json" in options
    assert command.get_short_help_str()


def test_the_list_of_commands_is_complete() -> None:
    assert set(COMMANDS) == set(SUMMARIES)
    design = {
        ("init",), ("status",), ("doctor",), ("demo",), ("diff",), ("connect",), ("run",),
        ("agent", "serve"),
        *(("source", verb) for verb in ("add", "list", "show", "start", "stop", "rm")),
        *(("snapshot", verb) for verb in ("create", "list", "show", "rm", "protect")),
        *(("branch", verb) for verb in ("create", "list", "show", "reset", "stop", "start", "rm",
                                        "protect")),
    }  # fmt: skip
    assert design <= set(LEAVES)
    for words, flags in {
        ("diff",): {"--schema", "--counts", "--rows", "--all", "-a", "--sample", "--table"},
        ("branch", "create"): {"--from", "--port", "--ttl"},
        ("snapshot", "create"): {"--mode"},
        ("source", "add"): {"--attach", "--dsn", "--dump", "--sql", "--empty"},
        ("init",): {"--pool", "--size"},
        ("doctor",): {"--repair"},
    }.items():
        found = {name for item in LEAVES[words].params for name in item.opts}
        assert flags <= found, words


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("--rows", "--sample", "10001"),
            "--sample takes 0 to 10000: the report is held in memory",
        ),
        (("--all", "--sample", "-1"), "--sample takes 0 to 10000"),
        (("--rows", "--sample", "many"), "'many' is not a valid integer"),
        (("--sample", "5"), "it needs --rows or --all"),
        (("--all", "--sql"), "it needs --json or --html FILE"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_diff_that_is_not_asked_for_rightly(words: tuple[str, ...], told: str) -> None:
    """Said before anything is reached: neither an agent nor a server is there."""
    done = subprocess.run([*COWDB, "diff", "postgresql://nowhere.invalid/a",
                           "postgresql://nowhere.invalid/b", *words],
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert told in done.stderr


def _shape(value: Any, **kinds: Any) -> None:
    for name, kind in kinds.items():
        assert name in value, (name, value)
        assert isinstance(value[name], kind), (name, value[name])
        assert kind is not int or not isinstance(value[name], bool)


def _branch(value: Any) -> None:
    _shape(value, name=str, source=str, snapshot=str, state=str, port=int, dsn=str, datadir=str)
    _shape(value, created_at=str, expires_at=(str, type(None)), protected=bool, timings_ms=dict)
    assert ISO.fullmatch(value["created_at"])
    assert value["expires_at"] is None or ISO.fullmatch(value["expires_at"])
    assert {"total", "clone", "start"} <= set(value["timings_ms"])
    assert all(isinstance(took, int | float) for took in value["timings_ms"].values())


def _snapshot(value: Any) -> None:
    _shape(value, ref=str, mode=str, settled=bool, lsn=str, timeline=int, system_identifier=str,
           created_at=str, used_bytes=(int, type(None)), protected=bool)  # fmt: skip
    assert re.fullmatch(r"[0-9A-F]+/[0-9A-F]+", value["lsn"])
    assert ISO.fullmatch(value["created_at"])


def _source(value: Any) -> None:
    _shape(value, name=str, kind=str, state=str, port=int, dsn=str, datadir=str, pg_version=str)


def test_json_has_the_promised_fields(host: AgentHost) -> None:
    _source(seeded(host))
    _snapshot(host.json("snapshot", "create", "main@s", "--settle"))
    _branch(host.json("branch", "create", "a", "--from", "main@s", "--ttl", "1h"))
    _branch(host.json("branch", "create", "b", "--from", "main"))
    _branch(host.json("branch", "show", "a"))
    assert isinstance(host.json("branch", "show", "a")["used_bytes"], int)
    for verb in ("reset", "stop", "start", "protect"):
        _branch(host.json("branch", verb, "a"))
    host.json("branch", "protect", "a", "--off")
    _source(host.json("source", "show", "main"))
    _snapshot(host.json("snapshot", "show", "main@s"))
    _snapshot(host.json("snapshot", "protect", "main@s"))
    host.json("snapshot", "protect", "main@s", "--off")
    for noun, check in (("branch", _branch), ("snapshot", _snapshot), ("source", _source)):
        found = host.json(noun, "list")
        assert isinstance(found, list)
        assert found
        for item in found:
            check(item)
    for flags in (("branch", "list", "--sizes"), ("snapshot", "list", "--sizes")):
        assert all(isinstance(item["used_bytes"], int) for item in host.json(*flags))
    a = host.json("branch", "show", "a")
    host.sql(a["dsn"], "delete from t where id = 1", "create table u ()")
    found = host.json("diff", "main@s", "a", "b", status=3)
    _shape(found, sides=list, identical=bool, schema=list, counts=list, rows=list, method=dict,
           not_compared=list, timings_ms=dict)  # fmt: skip
    assert found["sides"] == ["main@s", "a", "b"]
    _shape(found["schema"][0], kind=str, name=str, change=str, details=object)
    assert found["schema"][0]["change"] == "added"
    _shape(found["counts"][0], table=str, counts=list, exact=bool)
    assert found["method"]["public.t"] == "full-scan"
    _shape(host.json("status"), version=str, agent=str, pid=int, pools=list, sources=int,
           snapshots=int, branches=dict, ports=dict, postgres=list)  # fmt: skip
    for finding in host.json("doctor"):
        _shape(finding, level=str, subject=str, message=str, repair=str)
    assert host.json("branch", "rm", "a", "b") == {"removed": ["a", "b"]}
    assert host.json("snapshot", "rm", "main@s") == {"removed": ["main@s"]}
    assert host.json("source", "rm", "main") == {"removed": ["main"]}


def test_errors_are_one_document_on_stderr(host: AgentHost) -> None:
    for words, status in (
        (("branch", "show", "x"), 4), (("branch", "show"), 2), (("nonsense",), 2),
        (("branch", "create", "a", "--from", "x y"), 2),
        (("source", "add", "x", "--dsn", "postgresql://127.0.0.1:1/x"), 1),
    ):  # fmt: skip
        done = host.run(*words, "--json", status=status)
        assert done.stdout == ""
        _shape(json.loads(done.stderr)["error"], code=str, message=str, hint=str)
        assert set(json.loads(done.stderr)) == {"error"}
        done = host.run(*words, status=status)
        assert done.stdout == ""
        assert "rror:" in done.stderr
        assert "Traceback" not in done.stderr


def test_nothing_is_drawn_where_no_terminal_is(host: AgentHost) -> None:
    seeded(host)
    environment = {**host.environment, "FORCE_COLOR": "", "TERM": "xterm-256color"}
    for words, status in (
        (("snapshot", "create", "main@s"), 0), (("branch", "create", "a", "--from", "main@s"), 0),
        (("branch", "list", "--sizes"), 0), (("status",), 0), (("doctor",), 0),
        (("diff", "a", "main"), 0), (("branch", "rm", "x"), 4), (("branch", "reset", "a"), 0),
        (("source", "show", "main"), 0), (("branch", "rm", "a"), 0),
    ):  # fmt: skip
        done = subprocess.run([*COWDB, *words], env=environment, capture_output=True, check=False)
        assert done.returncode == status, done.stderr
        assert b"\x1b" not in done.stdout + done.stderr, words
        assert b"\r" not in done.stdout + done.stderr, words
        assert status or not done.stderr, (words, done.stderr)


def test_progress_goes_to_stderr_and_only_on_a_terminal(host: AgentHost) -> None:
    seeded(host)
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [*COWDB, "branch", "create", "a", "--from", "main"], env=host.environment,
            stdout=subprocess.PIPE, stderr=theirs, check=True,
        )  # fmt: skip
        os.close(theirs)
        theirs = -1
        drawn = b""
        try:
            while chunk := os.read(ours, 65536):
                drawn += chunk
        except OSError:  # the end of a terminal
            pass
    finally:
        os.close(ours)
        if theirs >= 0:
            os.close(theirs)
    assert b"start" in drawn
    assert drawn.endswith(b"\r\x1b[K")
    assert b"\x1b" not in done.stdout
    assert done.stdout.splitlines()[-1].startswith(b"postgresql://")


def test_progress_is_silent_when_asked() -> None:
    with Progress(shown=False) as report:
        report("something", 1, 2)


@pytest.mark.parametrize(
    "words", [("--help",), ("branch", "--help"), ("branch", "create", "--help"), ("--version",)]
)
def test_what_help_does_not_import(words: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-X", "importtime", "-m", "cowdb", *words],
                          capture_output=True, text=True, check=True)  # fmt: skip
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    heavy = {"psycopg", "msgspec", "tabulate", "btrfsutil", "psutil", "cheroot", "sqlite3",
             "http.client", "cowdb.agent"}  # fmt: skip
    assert "click" in imported
    assert not heavy & imported


def test_a_request_of_a_user_imports_nothing_of_the_agent(host: AgentHost) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "cowdb", "branch", "list", "--json"],
        env=host.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert json.loads(done.stdout) == []
    assert not {"psycopg", "tabulate", "btrfsutil", "cheroot", "cowdb.agent"} & imported


def test_openapi_document(host: AgentHost) -> None:
    status, document = raw(host.config.socket, "GET", "/v1/openapi.json")
    assert status == 200
    validate(document)
    paths = {(method.upper(), path) for path, item in document["paths"].items() for method in item
             if method != "parameters"}  # fmt: skip
    assert paths == {(route.method, f"/v1{route.path}") for route in _routes(host)}
    assert paths >= {("POST", "/v1/branches"), ("GET", "/v1/snapshots/{ref}"),
                     ("POST", "/v1/branches/{name}/reset"), ("GET", "/v1/operations")}  # fmt: skip
    names = document["components"]["schemas"]
    assert set(names["BranchInfo"]["required"]) >= {"name", "dsn", "port", "timings_ms"}


def _routes(host: AgentHost) -> tuple[Route, ...]:
    from cowdb.agent.compose import agent

    host.stop_agent()
    with agent(host.config, "in-process") as api:
        return api.routes


def test_operations(host: AgentHost) -> None:
    seeded(host)
    host.error("branch", "create", "a", "--from", "main", "--port", "80", status=2)
    host.json("branch", "create", "a", "--from", "main")
    with host.client() as client:
        found = client.host.operations()
    newest = found[0]
    assert (newest["kind"], newest["target"], newest["state"]) == ("branch create", "a", "done")
    assert newest["caller"] == "root"
    assert newest["error"] is None
    assert any("clone" in step.lower() for step in newest["steps"]), newest["steps"]
    assert newest["finished_at"] is not None
    begun, ended = map(datetime.fromisoformat, (newest["started_at"], newest["finished_at"]))
    assert begun <= ended
    assert found[1]["kind"] == "source add"


def test_words_after_two_dashes_belong_to_the_command(host: AgentHost) -> None:
    seeded(host)
    done = host.run("run", "--from", "main", "--", "echo", "--json", "--help")
    assert done.stdout == "--json --help\n"


def test_pipe_that_is_closed_early(host: AgentHost) -> None:
    seeded(host)
    script = f"{sys.executable} -m cowdb source show main | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], env=host.environment, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1)
