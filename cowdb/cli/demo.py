"""cowdb demo."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

import click

from cowdb.cli.output import Progress, client, colored, epilog, json_option, print_json


@click.command(
    epilog=epilog("cowdb demo\ncowdb demo --clean", "0 success, 1 failure, 5 it is there already")
)
@click.option("--clean", is_flag=True, help="Remove what the demo made.")
@click.option("--seed", default=42, show_default=True, help="The same seed, the same data.")
@click.option("--scale", default=1.0, show_default=True,
              type=click.FloatRange(0.001, 10), help="1 is a million users.")  # fmt: skip
@json_option
def demo(clean: bool, seed: int, scale: float, as_json: bool) -> None:
    """See it work: an e-commerce database, a snapshot, three branches, three migrations, and
    what each of them changed and cost."""
    from cowdb.demo import story

    if clean:
        removed = story.clean(client)
        if as_json:
            print_json({"removed": removed})
        else:
            click.echo(f"removed {', '.join(removed)}" if removed else "there was no demo")
        return
    progress = Progress(shown=not as_json)
    with progress:
        narrator = Telling(progress, quiet=as_json)
        facts = story.tell(client, narrator, seed=seed, scale=scale)
    if as_json:
        print_json(facts)
        return
    from cowdb.cli.diffview import render

    click.echo("\n" + render(facts["diff"], color=colored(sys.stdout)), nl=False)
    click.echo(f"\nAll of it took {facts['total_seconds']:.0f} s. Look around:\n")
    for item in facts["outcomes"]:
        click.echo(f"  cowdb connect {item['branch']:<24} # or psql {item['dsn']}")
    click.echo("\n  cowdb diff add-column-with-default add-column-backfill")
    click.echo("  cowdb branch reset add-column-backfill   # and try again")
    click.echo("  cowdb lab init && cowdb lab run lab.yaml # which of the three to take, and why")
    click.echo("  cowdb demo --clean")


class Telling:
    """The story on stdout, chapter by chapter; what goes on right now on stderr."""

    def __init__(self, progress: Progress, *, quiet: bool) -> None:
        self._progress, self._quiet = progress, quiet
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def stage(self, title: str) -> Iterator[None]:
        began = time.monotonic()
        self._say(click.style(f"==> {title}", bold=True))
        yield
        self._say(click.style(f"    {time.monotonic() - began:.1f} s", dim=True))

    def step(self, what: str, done: int | None = None, total: int | None = None) -> None:
        with self._lock:
            self._progress(what, done, total)

    def note(self, text: str) -> None:
        self._say(f"    {text}")

    def _say(self, text: str) -> None:
        if not self._quiet:
            with self._lock:
                self._progress.clear()
                click.echo(text)
