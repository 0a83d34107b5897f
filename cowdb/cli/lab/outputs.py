"""Where a report goes besides the terminal: options that `run` and `show` share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cowdb.cli.output import colored, json_option, print_json

if TYPE_CHECKING:
    from cowdb.cli.pagefile import PageFile
    from cowdb.controller.lab.model import LabReport

F = TypeVar("F", bound=Callable[..., Any])


def output_options(command: F) -> F:
    """--json, --html, --junit and --markdown; the command gets them as `as_json`, `html`, `junit`
    and `markdown`, which `Outputs` takes."""
    options = (
        click.option("--html", metavar="FILE", help="Write it as a page to look at, too."),
        click.option("--junit", metavar="FILE", help="Write it as JUnit XML for a CI, too."),
        click.option("--markdown", metavar="FILE",
                     help="Write it as a comment for a pull request, too; - prints that instead."),
        json_option,
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


class Outputs:
    """Checked before the work begins, written after it.

    :raises InvalidError: a file cannot be written."""

    def __init__(
        self, as_json: bool, html: str | None, junit: str | None, markdown: str | None
    ) -> None:
        if as_json and markdown == "-":
            raise click.UsageError("--json and --markdown - both want stdout")
        self._as_json, self._print_markdown = as_json, markdown == "-"
        self._html = _file(html, "--html report.html")
        self._junit = _file(junit, "--junit report.xml")
        self._markdown = None if markdown == "-" else _file(markdown, "--markdown report.md")

    def write(self, report: LabReport) -> None:
        """The files, then stdout, which gets its report whatever becomes of the files.

        :raises CowdbError: a file could not be written."""
        try:
            self._write_files(report)
        finally:
            self._print(report)

    def _write_files(self, report: LabReport) -> None:
        if self._html is not None:
            from cowdb.controller.lab.reports.html import html

            self._html.write(html(report))
        if self._junit is not None:
            from cowdb.controller.lab.reports.junit import junit

            self._junit.write(junit(report))
        if self._markdown is not None:
            from cowdb.controller.lab.reports.markdown import markdown

            self._markdown.write(markdown(report))

    def _print(self, report: LabReport) -> None:
        if self._as_json:
            print_json(report)
        elif self._print_markdown:
            from cowdb.controller.lab.reports.markdown import markdown

            click.echo(markdown(report), nl=False)
        else:
            from cowdb.controller.lab.reports.text import text

            click.echo(text(report, color=colored(sys.stdout)), nl=False)


def _file(name: str | None, example: str) -> PageFile | None:
    if name is None:
        return None
    from cowdb.cli.pagefile import PageFile

    return PageFile(name, example)
