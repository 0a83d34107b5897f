"""`python -m bench SCENARIO [options]`: run a scenario, keep its JSON, print and draw it.

    RESULTS/<scenario>.json       machine, parameters, raw samples, summary, claims
    RESULTS/<scenario>-<part>.json  where a scenario is run part by part, and told from all of them
    DOCS/<scenario>.md .svg .png  made from that JSON alone (`--report-only` makes them again)
    DOCS/../benchmarks.md         the headlines of all scenarios (`report` makes it again)

Everything that a run makes is removed, also after Ctrl-C or SIGTERM. Exit status: 0 every claim
held, 3 one did not, 1 the run failed, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from bench import chart, gather
from bench.record import Results
from bench.scenarios import Say, Scenario, find

HERE = Path(__file__).resolve().parent
RESULTS, DOCS = HERE / "results", HERE.parent / "docs/bench"
_ENDING = (signal.SIGINT, signal.SIGTERM)


def parser(scenarios: dict[str, Scenario]) -> argparse.ArgumentParser:
    verbatim = argparse.RawDescriptionHelpFormatter
    found = argparse.ArgumentParser("python -m bench", description=__doc__,
                                    formatter_class=verbatim)  # fmt: skip
    commands = found.add_subparsers(dest="scenario", required=True, metavar="SCENARIO")
    for name, scenario in scenarios.items():
        command = commands.add_parser(name, help=scenario.HELP, description=scenario.HELP)
        command.add_argument("--quick", action="store_true",
                             help="tiny and few: tries the harness, measures nothing")  # fmt: skip
        command.add_argument("--report-only", action="store_true",
                             help="make page and picture from the JSON that is there")  # fmt: skip
        command.add_argument("--json-only", action="store_true",
                             help="keep the JSON, and tell nothing")  # fmt: skip
        command.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
        command.add_argument("--docs", type=Path, metavar="DIR",
                             help="default docs/bench; with --quick nowhere")  # fmt: skip
        command.set_defaults(part=None)
        scenario.add_options(command)
    report = commands.add_parser("report", help="make docs/benchmarks.md from all JSON again")
    report.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    report.add_argument("--docs", type=Path, default=DOCS, metavar="DIR")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    scenarios = find()
    options = parser(scenarios).parse_args(arguments)
    if options.scenario == "report":
        print(gather.write(scenarios, options.results, options.docs))
        return 0
    scenario = scenarios[options.scenario]
    suffix = "-quick.json" if options.quick else ".json"
    stem = f"{options.scenario}-{options.part}" if options.part else options.scenario
    kept = options.results / f"{stem}{suffix}"
    docs = options.docs or (None if options.quick else DOCS)
    if options.report_only:
        results: Results = json.loads(kept.read_text())
    else:
        if os.geteuid() != 0:
            print("a benchmark needs root, to mount a filesystem and run an agent", file=sys.stderr)
            return 1
        for number in _ENDING:  # also where a shell had it ignored
            signal.signal(number, _interrupt)
        try:
            results = scenario.run(options, _teller())
        except KeyboardInterrupt:
            print("interrupted; everything was removed", file=sys.stderr)
            return 130
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(results, indent=1) + "\n")
    if options.json_only:
        return 0
    if options.part:
        results = gather.read(scenario, options.scenario, options.results, suffix) or results
    print(scenario.table(results))
    print(f"\n{kept}")
    if docs is not None:
        docs.mkdir(parents=True, exist_ok=True)
        for picture in chart.save(scenario.draw(results), docs / options.scenario):
            print(picture)
        (docs / f"{options.scenario}.md").write_text(scenario.page(results))
        print(docs / f"{options.scenario}.md")
        print(gather.write(scenarios, options.results, docs))
    return 0 if all(claim["holds"] for claim in results["claims"]) or options.quick else 3


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    for number in _ENDING:  # once is enough: what follows is the cleaning up
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _teller() -> Say:
    start = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - start:6.1f} s] {text}", file=sys.stderr, flush=True)

    return say


if __name__ == "__main__":
    sys.exit(main())
