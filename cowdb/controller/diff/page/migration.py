"""The statements of a migration (`--sql`), as the page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from cowdb.controller.diff.model import Report, StatementEntry
from cowdb.controller.diff.page.text import cut, rest, shown


@dataclass(frozen=True)
class Statement:
    """:param marks: what to know before it is run, the worst first.
    :param text: empty for what is not done, and then `reason` says why."""

    kind: str
    name: str
    marks: Sequence[str]
    reason: str
    text: Markup


@dataclass(frozen=True)
class Migration:
    """:param first: the side to run it on; `other` is the one whose schema it then has.
    :param done: in the order in which they run. :param left: what no statement does."""

    first: str
    other: str
    done: Sequence[Statement]
    left: Sequence[Statement]


def migration(report: Report) -> Migration | None:
    """None where no statements were asked for."""
    if "sql" not in report:
        return None
    # As in the script: what has to be committed first stands before the transaction.
    entries = sorted(report["sql"], key=lambda item: item["in_transaction"])
    first, other = report["sides"]
    done = [_statement(item) for item in entries if item["statement"]]
    left = [_statement(item) for item in report["sql"] if not item["statement"]]
    return Migration(first, other, done, left)


def _statement(item: StatementEntry) -> Statement:
    kept, missing = cut(item["statement"])
    text = shown(f"{kept};" if not missing else kept, code=True) + rest(missing)
    return Statement(item["kind"], item["name"], _marks(item), item["reason"],
                     text if item["statement"] else Markup(""))  # fmt: skip


def _marks(item: StatementEntry) -> list[str]:
    if not item["statement"]:
        return ["not done"]
    marks = ["loses data"] if item["loses_data"] else []
    if item["rewrites"]:
        marks.append("rewrites the table")
    if item["long_lock"]:
        marks.append(f"long lock ({item['lock'] or 'on what it reads'})")
    if not item["in_transaction"]:
        marks.append("before the transaction")
    return marks
