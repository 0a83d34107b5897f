"""The examples of docs/ci.md, line by line, as a runner would run them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.agenthost import AgentHost
from tests.host.lab import labfile

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/ci.md").read_text()
GITHUB = {"github.event.number": "12", "github.token": "token", "github.ref": "refs/pull/12/merge"}
LAB = """
name: shop
version: 1
tests:
  migration:
    checkpoint: production-loaded
    branches: [{ name: add-note, command: psql -f migrations/note.sql }]
    validate: [{ name: no-notes, sql: select count(note) = 0 from users }]
"""


@pytest.fixture(scope="module")
def runner(btrfs_host: AgentHost) -> Iterator[AgentHost]:
    """A machine as the page wants it: its own lines made it. `extra` leads to programs of its own:
    this cowdb, and a gh that says what it was asked."""
    with labfile.cleaned(btrfs_host) as host:
        here = host.base / "runner"
        (here / "bin").mkdir(parents=True)
        _program(here / "bin/cowdb", f'exec {shlex.quote(sys.executable)} -m cowdb "$@"')
        _program(here / "bin/gh", 'echo "$GH_TOKEN" "$@" > gh.said')
        path = f"{here / 'bin'}:{host.environment['PATH']}"
        dsn = host.json("source", "add", "seed", "--empty")["dsn"]
        host.sql(dsn, "create table users (id int primary key)",
                 "insert into users select generate_series(1, 1000)")  # fmt: skip
        subprocess.run(["pg_dump", "-Fc", "-f", here / "production.dump", dsn], check=True)
        host.run("source", "rm", "seed")
        host.extra = {"PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(here)}
        lines = _console("## The machine", "# ")
        assert lines[0] == "./hostprep/quickstart"  # which made this host, as it were
        assert (ROOT / lines[0]).exists()
        _shell(host, here, "\n".join(lines[1:]))
        (here / "migrations").mkdir()
        (here / "migrations/note.sql").write_text("alter table users add column note text;\n")
        (here / "lab.yaml").write_text(LAB)
        yield host
        host.extra = {}


def _program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def _console(heading: str, prompt: str) -> list[str]:
    """The lines that a reader types, of the first block under a heading."""
    (block,) = re.findall(r"```console\n(.*?)```", _part(heading), re.DOTALL)
    return [line.removeprefix(prompt) for line in block.splitlines() if line.startswith(prompt)]


def _yaml(heading: str) -> Any:
    (block,) = re.findall(r"```yaml\n(.*?)```", _part(heading), re.DOTALL)
    return yaml.safe_load(block)


def _part(heading: str) -> str:
    return PAGE.split(f"\n{heading}\n")[1].split("\n## ")[0]


def _shell(host: AgentHost, here: Path, script: str, **more: str) -> None:
    """As GitHub and GitLab run a step."""
    done = subprocess.run(["bash", "-e", "-c", script], cwd=here, env={**host.environment, **more},
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"


def test_github_runs_the_lab_and_tells_of_it(runner: AgentHost) -> None:
    here = runner.base / "runner"
    job = _yaml("## GitHub Actions")["jobs"]["lab"]
    for step in job["steps"]:
        if "run" in step:
            named = {name: _filled(value) for name, value in step.get("env", {}).items()}
            _shell(runner, here, _filled(step["run"]), GITHUB_STEP_SUMMARY="summary", **named)
    assert "add-note" in (here / "summary").read_text()
    assert (here / "gh.said").read_text() == "token pr comment 12 --body-file lab.md\n"
    (upload,) = [step["with"] for step in job["steps"] if "upload" in step.get("uses", "")]
    assert {item.name for item in here.glob(upload["path"])} >= {"lab.xml", "lab.md", "lab.html"}
    _filled(job["concurrency"]["group"])


def _filled(text: str) -> str:
    """What GitHub makes of ${{ ... }}; KeyError for what it would not know."""
    return re.sub(r"\$\{\{ (\S+) \}\}", lambda found: GITHUB[found[1]], text)


def test_gitlab_runs_the_lab_and_finds_its_files(runner: AgentHost) -> None:
    here = runner.base / "runner"
    job = _yaml("## GitLab")["lab"]
    for path in [*job["artifacts"]["paths"], job["artifacts"]["reports"]["junit"]]:
        (here / path).unlink(missing_ok=True)
    _shell(runner, here, "\n".join(job["script"]))
    for path in [*job["artifacts"]["paths"], job["artifacts"]["reports"]["junit"]]:
        assert (here / path).stat().st_size > 0


def test_the_nightly_job_compares_nights_only(runner: AgentHost) -> None:
    """The first night has nothing to compare with."""
    here = runner.base / "runner"
    script = "\n".join(_console("## Slower than last week?", "$ "))
    *_, last = script.splitlines()
    assert "lab compare" in last
    _shell(runner, here, script)
    again = script.replace(last, 'echo "$before" > before')
    _shell(runner, here, again)
    first = (here / "before").read_text().strip()
    assert re.fullmatch(r"[0-9a-f]{6}", first)
    assert [item["id"] for item in runner.json("lab", "list")].count(first) == 0
    _shell(runner, here, f"export XDG_STATE_HOME=$HOME/nightly; cowdb lab compare {first} last"
           " || test $? = 3")  # fmt: skip
