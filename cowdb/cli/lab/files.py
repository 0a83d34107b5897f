"""cowdb lab init and schema: the lab file."""

from __future__ import annotations

import click

from cowdb.cli.output import epilog, json_option, print_json

_CODES = "0 success, 1 failure, 2 usage, 5 there is such a file already"


@click.command(epilog=epilog("cowdb lab init\ncowdb lab init migrations/lab.yaml", _CODES))
@click.argument("file", default="lab.yaml")
@json_option
def init(file: str, as_json: bool) -> None:
    """Write an example that runs on the demo's data, with its SQL files beside it."""
    from cowdb.cli.lab.example import write

    written = [str(path) for path in write(file)]
    if as_json:
        print_json({"written": written})
        return
    for path in written:
        click.echo(f"wrote {path}")
    click.echo(f"\nnext: cowdb demo (makes its data), then cowdb lab run {file}")


@click.command(epilog=epilog("cowdb lab schema > lab.schema.json", "0 success, 2 usage"))
@json_option
def schema(as_json: bool) -> None:
    """Print the JSON Schema of a lab file, for editors that complete and check as one types."""
    from cowdb.controller.lab.spec import json_schema

    print_json(json_schema())
