"""cowdb lab without an agent: the example, the schema, kept runs and where reports go."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree

import click
import msgspec
import pytest
import yaml
from click.testing import CliRunner, Result

from cowdb.cli import cli
from cowdb.cli.lab.example import MIGRATIONS, TEMPLATE
from cowdb.cli.lab.keeping import Keeping
from cowdb.controller.lab import verdict
from cowdb.controller.lab.kept import Kept, directory
from cowdb.controller.lab.load.queries import prepared
from cowdb.controller.lab.run import Outcome
from cowdb.controller.lab.spec import parse, read
from cowdb.controller.lab.spec.model import Forbidden, Limits, Load
from cowdb.errors import ConflictError, CowdbError, NotFoundError
from tests.labreports import a_report, a_run, result, whole_report


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lab(*words: str) -> Result:
    return CliRunner().invoke(cli, ["lab", *words], standalone_mode=False)


def answer(*words: str) -> Any:
    found = lab(*words, "--json")
    assert found.exception is None
    return json.loads(found.stdout)


def test_init_writes_a_file_that_can_be_read(state: Path) -> None:
    assert "cowdb lab run lab.yaml" in lab("init").output
    migration = read(state / "lab.yaml").tests.migration
    assert [item.name for item in migration.branches] == [
        "add-column-with-default", "add-column-backfill", "rollback-test",
    ]  # fmt: skip
    for strategy in migration.branches:
        for word in (strategy.command or "").split():
            assert not word.endswith(".sql") or (state / word).is_file()
    found = lab("init")
    assert isinstance(found.exception, ConflictError)
    assert "lab.yaml is there already" in str(found.exception)


def test_init_overwrites_nothing(state: Path) -> None:
    file = state / "new" / "migrations" / MIGRATIONS[-1]
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    assert isinstance(lab("init", "new/lab.yaml").exception, ConflictError)
    assert file.read_text() == "mine"
    assert [path.name for path in file.parent.parent.iterdir()] == ["migrations"]
    assert answer("init", "other/x.yaml")["written"][0] == "other/x.yaml"


def test_what_the_example_has_in_comments_works_too(state: Path) -> None:
    """Each key that is commented out, taken in."""
    lines = TEMPLATE.read_text().splitlines()
    at = lines.index("    # load:")
    end = next(number for number in range(at, len(lines)) if not lines[number].strip())
    opened = [line.replace("# ", "", 1) for line in lines[at:end]]
    text = "\n".join(
        line.replace("# ", "", 1) if line.lstrip().startswith(("# runs:", "# parallel:",
                                                               "# max_", "# settings:",
                                                               "# timeout:", "# limits:"))
        else line
        for line in [*lines[:at], *opened, *lines[end:]]
    )  # fmt: skip
    migration = parse(text, "lab.yaml", state).tests.migration
    assert (migration.runs, migration.parallel) == (3, 2)
    assert migration.branches[1].limits.max_lock_ms == 500
    assert migration.load is not None
    assert [item.name for item in prepared(migration.load, state)] == ["profile", "orders"]


def test_schema() -> None:
    assert answer("schema")["$schema"].endswith("2020-12/schema")


def test_list_show_and_compare(state: Path) -> None:
    assert lab("list").output == "no lab run has been kept\n"
    kept = Kept(directory())
    whole = whole_report()
    whole["id"] = "3f2a"
    kept.save(whole)
    kept.save(a_report(result("add-column-backfill", a_run(exit_code=1)), id="9c01",
                       started_at="2026-11-20T14:00:00.000Z"))  # fmt: skip
    assert [item["id"] for item in answer("list")] == ["9c01", "3f2a"]
    assert "add-column-backfill" in lab("list").output
    assert answer("show", "3f") == whole
    assert "Recommendation: add-column-backfill is the only one" in lab("show", "3f2a").output
    assert isinstance(lab("show", "x").exception, NotFoundError)
    same = lab("compare", "3f2a", "3f2a")
    assert (same.exit_code, same.return_value) == (0, None)
    worse = lab("compare", "3f2a", "last")
    assert worse.return_value == 3
    assert "add-column-backfill: worse (pass, now fail)" in worse.output


def test_a_report_goes_where_it_was_asked_to_go(state: Path) -> None:
    kept = Kept(directory())
    kept.save(whole_report())
    found = lab("show", "last", "--html", "r.html", "--junit", "r.xml", "--markdown", "r.md")
    assert found.exception is None
    assert "Recommendation:" in found.output
    assert (state / "r.html").read_text().startswith("<!doctype html>")
    assert ElementTree.parse(state / "r.xml").getroot().tag == "testsuites"
    assert (state / "r.md").read_text().startswith("### ")
    assert lab("show", "last", "--markdown", "-").output == (state / "r.md").read_text()


def test_a_file_that_cannot_be_written_is_found_before_the_work(state: Path) -> None:
    for option in ("--html", "--junit", "--markdown"):
        found = lab("show", "nothing", option, "none/x")
        assert "cannot write the page 'none/x'" in str(found.exception)
    found = lab("show", "nothing", "--html", "-")
    assert isinstance(found.exception, CowdbError)
    assert found.exception.hint == "name a file: --html report.html"
    assert "both want stdout" in str(lab("show", "x", "--json", "--markdown", "-").exception)


def test_a_run_is_kept_with_its_statements(state: Path) -> None:
    (state / "lab.yaml").write_text("name: x\n")
    texts = {"lab-1/statements.sql": "select 1;\n", "lab-1/server.log": "x\n"}
    outcome = Outcome(whole_report(), texts, [])
    Keeping(None, None).save(outcome, state / "lab.yaml")
    (entry,) = Kept(directory()).entries()
    path = Path(entry["path"])
    assert (path / "lab-1" / "statements.sql").read_text() == "select 1;\n"
    assert (path / "lab.yaml").read_text() == "name: x\n"


def test_a_run_that_cannot_be_kept_is_told_all_the_same(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (state / "state").write_text("in the way")
    Keeping(None, None).save(Outcome(whole_report(), {}, []), state / "lab.yaml")
    assert "this run is not kept" in capsys.readouterr().err


DOCS = Path(__file__).parents[3] / "docs"
COMMANDS = [
    line.strip()
    for name in ("ci.md", "lab.md")
    for line in re.findall(r"(?:^\$ |run: |^ +- )(cowdb lab .*)$", (DOCS / name).read_text(), re.M)
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_documentation_is_one(command: str) -> None:
    words = shlex.split(command, comments=True)[1:]
    group = cli.get_command(click.Context(cli), words[0])
    assert isinstance(group, click.Group)
    found = group.get_command(click.Context(group), words[1])
    assert found is not None
    found.make_context(words[1], words[2:])  # reads its options, and does nothing else


def test_the_documented_load_is_one() -> None:
    (text,) = re.findall(r"```yaml\n(    load:\n.*?)```", (DOCS / "lab.md").read_text(), re.S)
    load = msgspec.convert(yaml.safe_load(text)["load"], Load)
    assert [query.name for query in load.queries] == ["profile", "buy"]


def test_every_code_and_limit_is_documented() -> None:
    text = (DOCS / "lab.md").read_text()
    verdicts = Path(verdict.__file__).read_text()
    codes = set(re.findall(r'_Finding\(\s*"(?:fail|warn|note)",\s*"([a-z_-]+)"', verdicts))
    assert {"failed", "lock-queue", "max_duration", "rows-left", "wal"} <= codes
    words = (
        codes | set(get_args(Forbidden)) | {item.name for item in msgspec.structs.fields(Limits)}
    )
    assert [word for word in sorted(words) if f"`{word}`" not in text] == []
