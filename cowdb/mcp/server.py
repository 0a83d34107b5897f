"""The server: which tools there are, and what they promise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations

from cowdb import __version__
from cowdb.config import Config
from cowdb.controller.connect import connect
from cowdb.mcp.calling import Desk, tool
from cowdb.mcp.results import Results
from cowdb.mcp.tools import compare, lab, migrations, sql, states

INSTRUCTIONS = """\
cowdb gives every experiment its own writable PostgreSQL. A checkpoint (SOURCE@NAME) is a state that
never changes; a branch is a writable copy of one, made in milliseconds. Before a change that cannot
be undone: db_checkpoint. To try something: db_create_branch, db_execute_sql on it,
db_compare_branches with its checkpoint, db_reset_branch to go back, db_remove_branch at the end.
Before a migration is proposed: db_migration_test with one strategy or several, on a checkpoint of
real data. No tool runs anything on a source but complete_migration, which the host must allow. An
answer that was cut names a `result`: db_read_result reads the rest."""

_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_ADDS = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
_DESTROYS = ToolAnnotations(read_only_hint=False, destructive_hint=True, open_world_hint=False)
_RESETS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True,
                          open_world_hint=False)  # fmt: skip
_RUNS = ToolAnnotations(read_only_hint=False, destructive_hint=True, open_world_hint=True)
"""What is given to it may do anything: SQL of a superuser, and commands."""

TOOLS: tuple[tuple[Callable[..., Any], ToolAnnotations], ...] = (
    (states.db_checkpoint, _ADDS),
    (states.db_list_checkpoints, _READS),
    (states.db_remove_checkpoint, _DESTROYS),
    (states.db_list_sources, _READS),
    (states.db_list_branches, _READS),
    (states.db_create_branch, _ADDS),
    (states.db_reset_branch, _RESETS),
    (states.db_remove_branch, _DESTROYS),
    (states.db_connection_string, _READS),
    (sql.db_execute_sql, _RUNS),
    (sql.db_explain, _RUNS),
    (sql.db_schema, _READS),
    (compare.db_compare_branches, _READS),
    (compare.db_read_result, _READS),
    (lab.db_migration_test, _RUNS),
    (migrations.prepare_migration, _RUNS),
)


def server(config: Config) -> MCPServer:
    desk = Desk(lambda: connect(config), config, Results())
    tools = [tool(fn, desk, annotations) for fn, annotations in TOOLS]
    tools.append(tool(migrations.completing(desk), desk, _DESTROYS))
    return MCPServer(
        "cowdb", title="cowdb", version=__version__, instructions=INSTRUCTIONS, tools=tools,
        log_level="WARNING",
    )  # fmt: skip


def serve_stdio(config: Config) -> None:
    """Until the client closes its end."""
    server(config).run()
