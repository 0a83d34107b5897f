"""cowdb init, status, doctor."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from cowdb.cli.output import client, epilog, json_option, print_json, table
from cowdb.errors import InvalidError
from cowdb.units import parse_size, size_text

if TYPE_CHECKING:
    from cowdb.wire import CapacityInfo

_CODES = "0 success, 1 failure, 2 usage, 5 conflict, 6 no agent, 7 not permitted"


@click.command(
    epilog=epilog(
        "cowdb init                        # a 20 GB loop file with btrfs\n"
        "cowdb init --pool /srv/pg/.cowdb  # a directory on btrfs, or XFS with reflink\n"
        "cowdb init --pool zfs:tank/cowdb  # a dataset of the zpool tank",
        _CODES,
    )
)
@click.option("--pool", metavar="PATH",
              help="A new directory that shares blocks, or zfs:POOL/DATASET.")  # fmt: skip
@click.option("--size", default="20G", show_default=True, help="Of the loop file made otherwise.")
@click.option(
    "--driver", type=click.Choice(["btrfs", "reflink", "zfs"]), help="Instead of the best one."
)
@click.option("--allow-copy", is_flag=True,
              help="Accept a filesystem that copies every block.")  # fmt: skip
@click.option("--undo", is_flag=True, help="Forget the pools; remove those that cowdb made.")
@click.option("--everything", is_flag=True,
              help="With --undo: with all that is in them, protected or not.")  # fmt: skip
@json_option
def init(
    pool: str | None, size: str, driver: str | None, allow_copy: bool, undo: bool,
    everything: bool, as_json: bool,
) -> None:  # fmt: skip
    """Make the pool that snapshots and branches live in."""
    if everything and not undo:
        raise InvalidError("--everything goes with --undo", hint="cowdb init --help")
    with client() as agent:
        if undo:
            agent.host.remove_pools(everything=everything)
            if as_json:
                print_json({"removed": True})
            else:
                click.echo("no pool is left")
            return
        path = _place(pool) if pool else pool
        made = agent.host.init_pool(
            path=path, size=parse_size(size), driver=driver, allow_copy=allow_copy
        )
    if as_json:
        print_json(made)
    else:
        click.echo(f"pool {made['path']} ({made['driver']}, {size_text(made['free_bytes'])} free)")


def _place(pool: str) -> str:
    """A pool as the agent, which has another working directory, is told of it."""
    if pool.startswith("zfs:"):
        return pool
    return os.path.abspath(pool)  # noqa: PTH100 (not resolved: root's path)


@click.command(epilog=epilog("cowdb status --json"))
@json_option
def status(as_json: bool) -> None:
    """What runs on this host."""
    with client() as agent:
        found = agent.host.status()
    if as_json:
        print_json(found)
        return
    where = f"pid {found['pid']}" if found["agent"] == "daemon" else "none; this process serves"
    click.echo(f"agent       {where} (cowdb {found['version']})")
    click.echo(f"postgres    {', '.join(found['postgres']) or 'none installed'}")
    click.echo(f"sources     {found['sources']}")
    click.echo(f"snapshots   {found['snapshots']}")
    states = ", ".join(f"{count} {state}" for state, count in sorted(found["branches"].items()))
    click.echo(f"branches    {states or 0}")
    spares = found["spares"]
    if spares["wanted"] or spares["ready"]:
        memory = f"{size_text(spares['memory_bytes'])} of {size_text(spares['memory_limit_bytes'])}"
        click.echo(f"spares      {spares['ready']} of {spares['wanted']} ready ({memory})")
    ports = found["ports"]
    click.echo(f"ports       {ports['used']} of {ports['first']}-{ports['last']}")
    click.echo(f"limits      {_limits(found['limits'])}")
    rows = [{**pool, "free": size_text(pool["free_bytes"])} for pool in found["pools"]]
    click.echo("")
    table(rows, ("driver", "path", "state", "free"), "no pool: cowdb init")


def _limits(found: CapacityInfo) -> str:
    can = [word for word, there in (("memory", found["memory"]), ("cpus", found["cpus"])) if there]
    most = found["branches_per_user"]
    share = f"{most} branches for each user; " if most else ""
    each = f"{' and '.join(can) or 'no memory, no cpus'} for each branch"
    return share + each + (f" ({found['reason']})" if found["reason"] else "")


@click.command(
    epilog=epilog(
        "cowdb doctor\ncowdb doctor --repair\n"
        "cowdb doctor --rebuild                         # the store was lost, the pools are there\n"
        "cowdb doctor --rebuild --pool zfs:tank/cowdb",
        "0 all is well, 1 a problem, 2 usage, 5 store not empty, 6 no agent, 7 not permitted",
    )
)
@click.option("--repair", is_flag=True, help="Finish, undo or remove what is in doubt (root).")
@click.option("--rebuild", is_flag=True,
              help="Find all that the pools hold again, for an empty store (root).")  # fmt: skip
@click.option("--pool", "pools", multiple=True, metavar="PATH",
              help="With --rebuild: where to look; may be repeated.")  # fmt: skip
@json_option
@click.pass_context
def doctor(
    ctx: click.Context, repair: bool, rebuild: bool, pools: tuple[str, ...], as_json: bool
) -> None:
    """Compare what was meant with what is; nothing without cowdb's mark is ever touched."""
    if repair and rebuild:
        raise click.UsageError("--repair and --rebuild do not go together")
    if pools and not rebuild:
        raise click.UsageError("--pool goes with --rebuild")
    with client() as agent:
        if rebuild:
            findings = agent.host.rebuild([_place(pool) for pool in pools])
        else:
            findings = agent.host.doctor(repair=repair)
    if as_json:
        print_json(findings)
    else:
        colors = {"ok": "green", "warning": "yellow", "problem": "red"}
        for item in findings:
            level = click.style(f"{item['level']:<8}", fg=colors[item["level"]])
            click.echo(f"{level} {item['subject']}: {item['message']}")
            if item["repair"]:
                click.echo(f"         -> {item['repair']}")
    if any(item["level"] == "problem" for item in findings):
        ctx.exit(1)
