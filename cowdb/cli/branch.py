"""cowdb branch ..."""

from __future__ import annotations

import contextlib
from typing import cast

import click

from cowdb.cli.output import (
    Progress,
    card,
    client,
    dry_option,
    epilog,
    json_option,
    print_json,
    print_plan,
    print_removed,
    table,
)
from cowdb.units import parse_duration, parse_size, size_text
from cowdb.wire import BranchInfo, Durability

_CODES = "0 success, 1 failure, 2 usage, 4 not found, 5 conflict, 6 no agent, 7 not permitted"
_CARD = ("name", "state", "dsn", "snapshot", "removed_snapshot", "source", "datadir", "pg_version",
         "owner", "created_at", "expires_at", "sleep_after", "protected", "durability", "used",
         "limits", "quarantined")  # fmt: skip


@click.group()
def branch() -> None:
    """Branches: writable clones, each a Postgres server on a port of its own."""


@branch.command(
    epilog=epilog(
        "cowdb branch create try-a --from main@before-v2\n"
        "cowdb branch create pr-42 --from main --ttl 2h\n"
        "cowdb branch create kept --from main@before-v2 --durability full\n"
        "cowdb branch create demo --from main --sleep 10m\n"
        "cowdb branch create mcts-7 --from main@s --memory 2G --cpus 1.5 --disk 5G",
        _CODES,
    )
)
@click.argument("name")
@click.option("--from", "origin", required=True, metavar="REF",
              help="A snapshot, or a bare source or branch, of which one is taken.")  # fmt: skip
@click.option("--port", type=int, help="This port instead of a free one.")
@click.option("--ttl", metavar="TIME", help="Remove it after this time, such as 2h.")
@click.option("--sleep", metavar="TIME", help="Stop its server after this time without a client, "
              "such as 10m, until the next one connects; or off.")  # fmt: skip
@click.option("--durability", type=click.Choice(["fast", "full"]), default="fast",
              show_default=True,
              help="fast: no waiting for the disk; what was committed outlives a killed server, "
              "but not a host that goes down: the branch has to be reset then. full: it outlives "
              "both, at an fsync for each commit.")  # fmt: skip
@click.option("--memory", metavar="SIZE", help="At most this much memory, such as 2G.")
@click.option("--cpus", type=click.FloatRange(0.01, 10_000), metavar="N",
              help="At most this many processors' worth of time, such as 1.5.")  # fmt: skip
@click.option("--disk", metavar="SIZE",
              help="At most this much of the pool beyond its snapshot, such as 5G.")  # fmt: skip
@dry_option
@json_option
def create(
    name: str, origin: str, port: int | None, ttl: str | None, sleep: str | None, durability: str,
    memory: str | None, cpus: float | None, disk: str | None, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Make a branch; it answers queries when this returns."""
    seconds = parse_duration(ttl) if ttl else None
    rest = (0 if sleep == "off" else parse_duration(sleep)) if sleep else None
    memory_bytes, disk_bytes = (parse_size(size) if size else None for size in (memory, disk))
    if dry_run:
        with client() as agent:
            limits = {"memory_bytes": memory_bytes, "cpus": cpus, "disk_bytes": disk_bytes}
            plan = agent.plans.branch(name, origin, port, sleep_seconds=rest, **limits)
            print_plan(plan, as_json)
        return
    with client() as agent, Progress(shown=not as_json) as report:
        made = agent.branches.create(
            name, origin, port=port, ttl_seconds=seconds, sleep_seconds=rest,
            durability=cast(Durability, durability),
            memory_bytes=memory_bytes, cpus=cpus, disk_bytes=disk_bytes, report=report,
        )  # fmt: skip
    if as_json:
        print_json(made)
        return
    click.echo(f"branch {name} is ready in {made['timings_ms']['total']:.0f} ms")
    click.echo(made["dsn"])
    if made["quarantined"]:
        click.echo(f"taken out of the copy: {len(made['quarantined'])} things that reach outside "
                   f"(cowdb branch show {name})")  # fmt: skip


@branch.command("list", epilog=epilog("cowdb branch list --sizes"))
@click.option("--sizes", is_flag=True, help="Measure what each one costs in disk.")
@json_option
def list_(sizes: bool, as_json: bool) -> None:
    """All branches."""
    with client() as agent:
        found = agent.branches.list(sizes=sizes)
    if as_json:
        print_json(found)
        return
    rows = [{**item, "used": size_text(item["used_bytes"])} for item in found]
    columns = ("name", "state", "port", "snapshot", "owner", "created_at", "expires_at",
               "protected")  # fmt: skip
    table(rows, (*columns, "used") if sizes else columns, "no branches")


@branch.command(epilog=epilog("cowdb branch show try-a --json", _CODES))
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """One branch, with what it costs in disk."""
    with client() as agent:
        _print(agent.branches.show(name), as_json)


@branch.command(epilog=epilog("cowdb branch log try-a\n"
                              "cowdb branch log try-a --follow", _CODES))  # fmt: skip
@click.argument("name")
@click.option("--follow", "-f", is_flag=True, help="Go on as it grows, until Ctrl-C.")
@click.option("--after", type=click.IntRange(0), metavar="BYTES", help="From this byte on.")
@json_option
def log(name: str, follow: bool, after: int | None, as_json: bool) -> None:
    """What its server has printed: the last 64 KB, or a MiB from --after on."""
    from cowdb.controller import logs

    if follow and as_json:
        raise click.UsageError("--follow goes on for ever, and --json is one document")
    if as_json:
        with client() as agent:
            print_json(logs.piece(agent, name, after))
        return
    with contextlib.suppress(KeyboardInterrupt):
        for text in logs.follow(client, name, after) if follow else logs.once(client, name, after):
            click.echo(text, nl=False)


@branch.command(epilog=epilog("cowdb branch reset try-a", _CODES))
@click.argument("name")
@dry_option
@json_option
def reset(name: str, dry_run: bool, as_json: bool) -> None:
    """Back to its snapshot; port and DSN stay."""
    if dry_run:
        with client() as agent:
            print_plan(agent.plans.reset(name), as_json)
        return
    with client() as agent, Progress(shown=not as_json) as report:
        done = agent.branches.reset(name, report)
    if as_json:
        print_json(done)
    else:
        click.echo(f"branch {name} is {done['snapshot']} again")


@branch.command(epilog=epilog("cowdb branch stop try-a", _CODES))
@click.argument("name")
@json_option
def stop(name: str, as_json: bool) -> None:
    """Stop its server; the data and the port stay."""
    with client() as agent:
        done = agent.branches.stop(name)
    _done(done, as_json)


@branch.command(epilog=epilog("cowdb branch start try-a", _CODES))
@click.argument("name")
@json_option
def start(name: str, as_json: bool) -> None:
    """Start its server again on its port."""
    with client() as agent:
        done = agent.branches.start(name)
    _done(done, as_json)


@branch.command(epilog=epilog("cowdb branch rm try-a try-b\n"
                              "cowdb branch rm try-a --promote", _CODES))  # fmt: skip
@click.argument("names", nargs=-1, required=True)
@click.option("--promote", is_flag=True,
              help="Although others come from it: its snapshots pass to what it came from "
              "(try-a@s is then main@try-a.s), and branches of them stay as they are.")  # fmt: skip
@dry_option
@json_option
def rm(names: tuple[str, ...], promote: bool, dry_run: bool, as_json: bool) -> None:
    """Remove branches: process, port and disk are free when this returns."""
    if dry_run:
        with client() as agent:
            plans = [agent.plans.remove("branches", name, promote=promote) for name in names]
        print_plan([step for steps in plans for step in steps], as_json)
        return
    with client() as agent, Progress(shown=not as_json) as report:
        done = [agent.branches.remove(name, report, promote=promote) for name in names]
    print_removed(names, done, promote, as_json)


@branch.command(epilog=epilog("cowdb branch protect release-12\n"
                              "cowdb branch protect release-12 --off", _CODES))  # fmt: skip
@click.argument("name")
@click.option("--off", is_flag=True, help="No longer.")
@json_option
def protect(name: str, off: bool, as_json: bool) -> None:
    """Refuse to remove, reset or expire it."""
    with client() as agent:
        done = agent.branches.protect(name, protected=not off)
    if as_json:
        print_json(done)
    else:
        click.echo(f"branch {name} is {'no longer ' if off else ''}protected")


def _print(found: BranchInfo, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        card({**found, "used": size_text(found["used_bytes"]), "limits": _limits(found)}, _CARD)


def _limits(found: BranchInfo) -> list[str]:
    limits = found["limits"]
    memory, cpus, disk = limits["memory_bytes"], limits["cpus"], limits["disk_bytes"]
    return [
        *([f"{size_text(memory)} of memory"] if memory is not None else []),
        *([f"{cpus:g} processors"] if cpus is not None else []),
        *([f"{size_text(disk)} of disk"] if disk is not None else []),
    ]


def _done(found: BranchInfo, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        click.echo(f"branch {found['name']} is {found['state']}")
