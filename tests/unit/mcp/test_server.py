"""What the tools promise, as a client reads it; the token; the plugin."""

from __future__ import annotations

import asyncio
import glob
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import mcp_types
import pytest
import yaml

from cowdb.cli.mcp import mcp_command
from cowdb.config import Config, parse
from cowdb.errors import ConflictError, InvalidError, NotPermittedError
from cowdb.mcp import http
from cowdb.mcp.plugins import PLUGIN, write
from cowdb.mcp.server import INSTRUCTIONS, server

DESTROY = {
    "db_remove_checkpoint", "db_reset_branch", "db_remove_branch", "db_execute_sql", "db_explain",
    "db_migration_test", "prepare_migration", "complete_migration",
}  # fmt: skip
CHANGE = DESTROY | {"db_checkpoint", "db_create_branch"}


@pytest.fixture(scope="module")
def tools() -> dict[str, mcp_types.Tool]:
    return {tool.name: tool for tool in asyncio.run(server(Config()).list_tools())}


def test_every_tool_says_what_it_takes_and_gives(tools: dict[str, mcp_types.Tool]) -> None:
    for name, tool in tools.items():
        assert tool.description and len(tool.description) > 40, name
        assert tool.input_schema["additionalProperties"] is False, name
        assert not {"ctx", "call", "answer"} & set(tool.input_schema["properties"]), name
        assert tool.output_schema is not None, name
        assert tool.output_schema["type"] == "object", name


def test_what_destroys_is_marked(tools: dict[str, mcp_types.Tool]) -> None:
    marked = {name for name, tool in tools.items()
              if tool.annotations and tool.annotations.destructive_hint}  # fmt: skip
    reading = {name for name, tool in tools.items()
               if tool.annotations and tool.annotations.read_only_hint}  # fmt: skip
    assert marked == DESTROY
    assert reading == set(tools) - CHANGE


def test_words_that_name_tools_name_those_there_are(tools: dict[str, mcp_types.Tool]) -> None:
    skill = (PLUGIN / "skills/database-branches/SKILL.md").read_text()
    page = (Path(__file__).parents[3] / "docs/mcp.md").read_text()
    for text in (INSTRUCTIONS, skill, page):
        named = set(re.findall(r"\b(?:db|prepare|complete)_[a-z]+(?:_[a-z]+)*\b", text))
        assert named - {"complete_migrations"} <= set(tools)
    assert set(tools) <= set(re.findall(r"\w+", page))


def test_the_plugin_is_one(tmp_path: Path) -> None:
    folder = tmp_path / "cowdb"
    written = {str(path.relative_to(folder)) for path in write(folder)}
    skill = "skills/database-branches/SKILL.md"
    assert written == {".claude-plugin/plugin.json", ".mcp.json", skill}
    head = yaml.safe_load((folder / skill).read_text().split("---")[1])
    assert head["name"] == "database-branches"
    assert len(head["description"]) < 1024
    assert {"**/migrations/**", "**/*.sql", "**/schema.*", "**/seeds/**"} <= set(head["globs"])
    (command,) = json.loads((folder / ".mcp.json").read_text())["mcpServers"].values()
    assert [command["command"], *command["args"]] == ["cowdb", mcp_command.name]
    assert json.loads((folder / ".claude-plugin/plugin.json").read_text())["name"] == "cowdb"
    with pytest.raises(ConflictError, match="is there already"):
        write(folder)


def test_the_plugin_is_installed_whole() -> None:
    """A pattern of package data leaves hidden files out unless it says them."""
    package = PLUGIN.parents[1]
    data = tomllib.loads((package.parent / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {path for pattern in data["package-data"]["cowdb"]
             for path in glob.glob(pattern, root_dir=package, recursive=True)}  # noqa: PTH207  # fmt: skip
    files = {str(path.relative_to(package)) for path in PLUGIN.rglob("*") if path.is_file()}
    assert len(files) == 3
    assert files <= found


def test_completing_migrations_is_off_unless_a_source_is_named() -> None:
    assert Config().complete_migrations == ()
    assert parse({"complete_migrations": ["main"]}).complete_migrations == ("main",)
    with pytest.raises(InvalidError, match="complete_migrations"):
        parse({"complete_migrations": True})


@pytest.fixture
def token_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv(http.VARIABLE, raising=False)
    return tmp_path / "cowdb" / "mcp-token"


def test_a_token_is_made_once_and_for_nobody_else(token_file: Path) -> None:
    first = http.token()
    assert len(first) >= 32
    assert token_file.stat().st_mode & 0o777 == 0o600
    assert http.token() == first


def test_a_token_that_others_can_read_is_refused(token_file: Path) -> None:
    http.token()
    token_file.chmod(0o640)
    with pytest.raises(NotPermittedError, match="can be read by others"):
        http.token()


def test_the_environment_comes_first(token_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(http.VARIABLE, "0123456789abcdef")
    assert http.token() == "0123456789abcdef"
    assert not token_file.exists()
    monkeypatch.setenv(http.VARIABLE, "short")
    with pytest.raises(InvalidError, match=http.VARIABLE) as refused:
        http.token()
    assert "short" not in str(refused.value)


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ([(b"authorization", b"Bearer secret")], True),
        ([(b"authorization", b"Bearer secre")], False),
        ([(b"authorization", b"secret")], False),
        ([(b"authorization", b"Bearer secret"), (b"authorization", b"Bearer secret")], False),
        ([], False),
    ],
)
def test_the_guard(headers: list[tuple[bytes, bytes]], passes: bool) -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sent.append("through")

    async def send(message: Any) -> None:
        sent.append(message)

    async def nothing() -> dict[str, Any]:
        return {}

    for kind in ("http", "websocket"):
        sent.clear()
        asyncio.run(http.guarded(app, "secret")({"type": kind, "headers": headers}, nothing, send))
        assert (sent == ["through"]) is passes
    assert passes or sent == []  # a websocket hears nothing
