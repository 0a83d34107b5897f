"""cowdb mcp."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import click

from cowdb.cli.output import epilog, json_option, print_json
from cowdb.errors import CommandError

_CODES = ("0 the client has gone or a signal ended it, 1 failure (also: the package mcp is not "
          "installed), 2 usage, 5 the port is taken, or there is such a directory, 7 others can "
          "read the token")  # fmt: skip


@click.command(
    "mcp",
    epilog=epilog(
        "cowdb mcp\ncowdb mcp --http --port 8765\ncowdb mcp --plugin ./cowdb-plugin", _CODES
    ),
)
@click.option("--http", is_flag=True, help="Serve streamable HTTP on 127.0.0.1 instead of stdio; "
              "the token is in COWDB_MCP_TOKEN or in a file that is made and named.")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), help="With --http: 8765 unless given; 0 for "
              "any.")  # fmt: skip
@click.option("--plugin", metavar="DIR", help="Write the plugin for coding assistants there, and "
              "do nothing else.")  # fmt: skip
@json_option
def mcp_command(http: bool, port: int | None, plugin: str | None, as_json: bool) -> None:
    """Serve coding assistants by the Model Context Protocol: checkpoints, branches, SQL on them,
    comparisons and the migration lab. It can do what its user can."""
    if port is not None and not http:
        raise click.UsageError("--port goes with --http")
    if plugin is not None:
        if http:
            raise click.UsageError("--plugin writes files and serves nothing")
        _write_plugin(plugin, as_json)
        return
    _require()
    from cowdb.config import load

    config = load()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        if http:
            from cowdb.mcp.http import serve_http

            serve_http(config, 8765 if port is None else port,
                       lambda where: click.echo(f"serving {where}", err=True))  # fmt: skip
        else:
            from cowdb.mcp.server import serve_stdio

            serve_stdio(config)


def _require() -> None:
    """:raises CommandError: what is needed is not installed."""
    try:
        import mcp.server.mcpserver  # noqa: F401
    except ImportError as error:
        raise CommandError(
            "this command needs the package mcp, version 2, and it cannot be imported: "
            f"{error}", hint="pip install 'cowdb[mcp]'",
        ) from error  # fmt: skip


def _write_plugin(directory: str, as_json: bool) -> None:
    from cowdb.mcp.plugins import write

    written = [str(path) for path in write(Path(directory))]
    if as_json:
        print_json({"written": written})
        return
    for path in written:
        click.echo(f"wrote {path}")
