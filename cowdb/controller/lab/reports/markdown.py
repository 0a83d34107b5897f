"""The report for a comment on a pull request. Pure.

GitHub and GitLab show it alike; text from files and databases cannot become markup in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cowdb.controller.diff.page.text import plain
from cowdb.controller.lab import words
from cowdb.controller.lab.blocking import longest
from cowdb.controller.lab.model import LabReport, StrategyResult, Verdict
from cowdb.controller.lab.reports import telling
from cowdb.controller.lab.verdict import typical

_SIGNS: dict[Verdict, str] = {"pass": "✅ pass", "warn": "⚠️ warning", "fail": "❌ fail"}
_LEVELS = {"fail": "❌", "warn": "⚠️", "note": "ℹ️"}
_MARKUP = re.compile(r"([\\`*_{}\[\]<>|~!$&])")
_LINKS = re.compile(r"@|#|(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)
"""GitHub makes links and mentions of these wherever they are escaped; a space of no width ends
that."""


def markdown(report: LabReport) -> str:
    """Ends in a newline."""
    blocks = [
        f"### {_SIGNS[report['verdict']]}: {escaped(telling.title(report))}",
        f"**{escaped(report['recommendation']['sentence'])}**",
        "\n".join(_table(report)),
    ]
    if ends := telling.ends(report):
        blocks.append(escaped(ends))
    for item in report["strategies"]:
        blocks += _strategy(item)
    blocks.append(
        f"<sub>cowdb lab on {escaped(telling.setting(report))}, in "
        f"{words.span(report['total_ms'])}; run {escaped(report['id'])}</sub>"
    )
    return "\n\n".join(blocks) + "\n"


def escaped(text: str) -> str:
    """As text, on one line: no markup, no mention of a person, no link to an issue."""
    shown = _MARKUP.sub(r"\\\1", plain(" ".join(text.split())))
    return _LINKS.sub(lambda match: f"{match[0]}\u200b", shown)


def _table(report: LabReport) -> Iterator[str]:
    yield "| strategy | verdict | duration | reads blocked | writes blocked | rewrites | WAL |"
    yield "|---|---|--:|--:|--:|---|--:|"
    for item in report["strategies"]:
        run = typical(item)
        blocked = [longest(run["locks"], "reads"), longest(run["locks"], "writes")]
        cells = [
            escaped(item["name"]),
            _SIGNS[item["verdict"]],
            words.spread(item["duration_ms"]["values"]),
            *("no" if found is None else words.span(found.ms) for found in blocked),
            escaped(", ".join(run["rewritten"])) or "none",
            words.size_text(run["disk"]["wal_bytes"]),
        ]
        yield f"| {' | '.join(cells)} |"


def _strategy(result: StrategyResult) -> Iterator[str]:
    lines = [f"- {_LEVELS[reason['level']]} {escaped(reason['text'])}"
             for reason in result["reasons"]]  # fmt: skip
    if lines:
        yield f"**{escaped(result['name'])}**"
        yield "\n".join(lines)
    yield (
        f"<details><summary>{escaped(result['name'])}: what it did</summary>\n\n"
        + "\n".join([*_facts(result), *_statements(result)])
        + "\n\n</details>"
    )


def _facts(result: StrategyResult) -> Iterator[str]:
    yield f"- run: {_code(result['words'])}"
    for fact in telling.facts(result):
        yield f"- {fact.label}: {escaped(fact.text)}"


def _statements(result: StrategyResult) -> Iterator[str]:
    kept, more = telling.told_statements(result)
    for item in kept:
        place = escaped(telling.statement_place(item))
        yield f"- {place}: {escaped(telling.statement_facts(item))}: {_code(item['text'])}"
        if item["error"]:
            yield f"  {escaped(item['error'])}"
    if more and kept:
        yield f"- {words.many(more, 'statement')} more, which took little"


def _code(text: str) -> str:
    """Between as many back-ticks as the text does not have."""
    shown = plain(words.one_line(text))
    longest_run = max((len(found) for found in re.findall(r"`+", shown)), default=0)
    fence = "`" * (longest_run + 1)
    pad = " " if longest_run else ""
    return f"{fence}{pad}{shown}{pad}{fence}"
