"""The frame of what is told of a scenario: what its terminal table and its page have around what is
its own. Pure.

    title, picture, where it was made from
    what is its own, the claims, more of its own by headings
    How it was measured, The machine, Run it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill

from bench.record import Results
from bench.report import bullets, busy_note, claim_lines, machine_line, machine_table

_RESUMES = "An interrupted run goes on where it was (`--fresh` begins anew)."
_GOES = (
    "All that it makes lies in a loop file under /var/tmp and is removed at the end, also after "
    "Ctrl-C"
)
_STATUS = "The exit status is 3 when a claim does not hold."


def terminal(results: Results, *tables: str) -> str:
    """Tables, then the claims and the machine."""
    machine = results["machine"]
    return "\n\n".join([*tables, "\n".join(claim_lines(results)),
                        f"{machine_line(machine)}\n{busy_note(machine)}"])  # fmt: skip


def page(
    results: Results, *, title: str, picture: str, told: Sequence[str], how: Sequence[str],
    run: Sequence[tuple[str, str]], more: Mapping[str, Sequence[str]] | None = None,
    measured_on: str = "", resumes: bool = False, stays: str = "", ending: str = "",
    opening: str = "", machine: tuple[str, str] | None = None,
) -> str:  # fmt: skip
    """docs/bench/<scenario>.md.

    :param picture: what it shows. :param told: blocks before the claims.
    :param more: blocks by heading. :param how: the items of how it was measured.
    :param run: (command after `python -m bench`, what to know of it); how to tell it again without
        a run comes by itself.
    :param measured_on: a block below `how`. :param resumes: after an interrupted run.
    :param stays: what is not removed. :param ending: instead of the usual last words.
    :param opening: instead of the words on the JSON that the page was made from.
    :param machine: (heading, block) instead of the one machine's table."""
    name = results["scenario"]
    heading, described = machine or ("The machine", machine_table(results))
    blocks = [f"# {title}", f"![{picture}]({name}.svg)", opening or _made_from(results),
              *told, bullets(claim_lines(results))]  # fmt: skip
    for words, own in (more or {}).items():
        blocks += [f"## {words}", *own]
    blocks += ["## How it was measured", bullets(how), measured_on, f"## {heading}", described,
               "## Run it", _commands(name, run),
               filled(ending or f"{_RESUMES * resumes} {_GOES}{stays}. {_STATUS}")]  # fmt: skip
    return "\n\n".join(block for block in blocks if block) + "\n"


def _made_from(results: Results) -> str:
    name = results["scenario"]
    rest = filled(
        f"[bench/results/{name}.json](../../bench/results/{name}.json), which holds every sample; "
        "do not edit it by hand. Figures depend on the machine, ratios much less."
    )
    made = f"Made by `python -m bench {name}` from\n{rest}\n{busy_note(results['machine'])}"
    return made.rstrip()


def _commands(name: str, run: Sequence[tuple[str, str]]) -> str:
    lines = ["pip install -e '.[test,bench]'"]
    known = [*(("sudo ", *item) for item in run),
             ("", f"{name} --report-only", "this page again, from the JSON")]  # fmt: skip
    width = max(len(root + command) for root, command, said in known if said) + 2
    for root, command, said in known:
        told = f"{command:{width - len(root)}}# {said}" if said else command
        lines.append(f"{root}.venv/bin/python -m bench {told}")
    return "\n".join(f"    {line}" for line in lines)


def filled(text: str) -> str:
    """A paragraph, at most 100 columns wide."""
    return fill(" ".join(text.split()), 100, break_long_words=False, break_on_hyphens=False)
