"""cowdb snapshot ..."""

from __future__ import annotations

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
from cowdb.units import size_text
from cowdb.wire import Mode, SnapshotInfo

_CODES = "0 success, 1 failure, 2 usage, 4 not found, 5 conflict, 6 no agent, 7 not permitted"
_CARD = ("ref", "mode", "consistency", "settled", "frozen", "lsn", "timeline", "system_identifier",
         "pg_version", "created_at", "used", "protected", "spares", "branches")  # fmt: skip


@click.group()
def snapshot() -> None:
    """Snapshots: immutable, named states of a source or of a branch."""


@snapshot.command(
    epilog=epilog(
        "cowdb snapshot create main@before-v2\n"
        "cowdb snapshot create main@nightly --mode online --settle\n"
        "cowdb snapshot create main@nightly --settle --freeze",
        _CODES,
    )
)
@click.argument("ref")
@click.option("--mode", type=click.Choice(["online", "checkpoint", "stop"]), default="checkpoint",
              show_default=True,
              help="online: as it is, crash-consistent; checkpoint: the same after a CHECKPOINT, "
              "for a short recovery; stop: shut down cleanly for the moment of it.")  # fmt: skip
@click.option("--settle", is_flag=True, help="Wait until branches of it start without recovery.")
@click.option("--freeze", is_flag=True,
              help="Settle it with VACUUM (FREEZE): reading rows in a branch then writes nothing, "
              "and diff looks at what was changed and no more. Costs time, and disk for every page "
              "with a row that is not frozen yet, at most the database once more.")  # fmt: skip
@click.option("--protect", is_flag=True, help="Refuse to remove it.")
@dry_option
@json_option
def create(
    ref: str, mode: str, settle: bool, freeze: bool, protect: bool, dry_run: bool, as_json: bool
) -> None:
    """Take a snapshot: REF is SOURCE@NAME or BRANCH@NAME."""
    if dry_run:
        with client() as agent:
            print_plan(agent.plans.snapshot(ref, cast(Mode, mode)), as_json)
        return
    with client() as agent, Progress(shown=not as_json) as report:
        taken = agent.snapshots.create(
            ref, mode=cast(Mode, mode), settle=settle, freeze=freeze, protected=protect,
            report=report,
        )  # fmt: skip
    if as_json:
        print_json(taken)
        return
    click.echo(f"snapshot {ref} taken in {taken['timings_ms']['total']:.0f} ms "
               f"({taken['consistency']}, {taken['lsn']})")  # fmt: skip


@snapshot.command("list", epilog=epilog("cowdb snapshot list --sizes"))
@click.option("--sizes", is_flag=True, help="Measure what each one costs in disk.")
@json_option
def list_(sizes: bool, as_json: bool) -> None:
    """All snapshots."""
    with client() as agent:
        found = agent.snapshots.list(sizes=sizes)
    if as_json:
        print_json(found)
        return
    rows = [{**item, "used": size_text(item["used_bytes"])} for item in found]
    columns = ("ref", "mode", "consistency", "settled", "created_at", "protected", "branches")
    table(rows, (*columns, "used") if sizes else columns, "no snapshots")


@snapshot.command(epilog=epilog("cowdb snapshot show main@before-v2", _CODES))
@click.argument("ref")
@json_option
def show(ref: str, as_json: bool) -> None:
    """One snapshot, with the bytes that it alone keeps."""
    with client() as agent:
        found = agent.snapshots.show(ref)
    if as_json:
        print_json(found)
    else:
        card({**found, "used": size_text(found["used_bytes"]), "spares": _spares(found)}, _CARD)


def _spares(found: SnapshotInfo) -> str:
    spares = found["spares"]
    who = ", as the agent sees fit" if spares["automatic"] else ""
    return f"{spares['ready']} ready of {spares['wanted']}{who}"


@snapshot.command(epilog=epilog("cowdb snapshot warm main@before-v2 --spares 4\n"
                                "cowdb snapshot warm main@before-v2 --spares 0\n"
                                "cowdb snapshot warm main@before-v2 --auto", _CODES))  # fmt: skip
@click.argument("ref")
@click.option("--spares", type=click.IntRange(0, 1000), help="How many; 0 takes them away.")
@click.option("--auto", is_flag=True,
              help="As the agent sees fit: some while branches are made of it.")  # fmt: skip
@json_option
def warm(ref: str, spares: int | None, auto: bool, as_json: bool) -> None:
    """Keep servers started, so that a branch of it is there in milliseconds. They are made in the
    background, within the budget for all (spares_memory in config.toml)."""
    if auto == (spares is not None):
        raise click.UsageError("give either --spares N or --auto")
    with client() as agent:
        found = agent.snapshots.warm(ref, spares)
    if as_json:
        print_json(found)
    else:
        click.echo(f"snapshot {ref}: spares {_spares(found)}")


@snapshot.command(epilog=epilog("cowdb snapshot rm main@before-v2\n"
                                "cowdb snapshot rm main@before-v2 --promote", _CODES))  # fmt: skip
@click.argument("refs", nargs=-1, required=True)
@click.option(
    "--promote",
    is_flag=True,
    help="Although branches come from it: they stay, and cannot be reset any more.",
)
@dry_option
@json_option
def rm(refs: tuple[str, ...], promote: bool, dry_run: bool, as_json: bool) -> None:
    """Remove snapshots that no branch comes from."""
    if dry_run:
        with client() as agent:
            plans = [agent.plans.remove("snapshots", ref, promote=promote) for ref in refs]
        print_plan([step for steps in plans for step in steps], as_json)
        return
    with client() as agent, Progress(shown=not as_json) as report:
        done = [agent.snapshots.remove(ref, report, promote=promote) for ref in refs]
    print_removed(refs, done, promote, as_json)


@snapshot.command(epilog=epilog("cowdb snapshot protect main@release\n"
                                "cowdb snapshot protect main@release --off", _CODES))  # fmt: skip
@click.argument("ref")
@click.option("--off", is_flag=True, help="No longer.")
@json_option
def protect(ref: str, off: bool, as_json: bool) -> None:
    """Refuse to remove it."""
    with client() as agent:
        done = agent.snapshots.protect(ref, protected=not off)
    if as_json:
        print_json(done)
    else:
        click.echo(f"snapshot {ref} is {'no longer ' if off else ''}protected")
