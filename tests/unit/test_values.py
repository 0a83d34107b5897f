"""Names, settings, errors, sizes and durations: values in, values out."""

from __future__ import annotations

from pathlib import Path

import pytest

from cowdb import errors
from cowdb.config import BRANCH_SETTINGS, Config, load, parse
from cowdb.errors import CowdbError, InvalidError
from cowdb.names import Ref, branch_name, parse_ref, parse_snapshot_ref, snapshot_name, source_name


@pytest.mark.parametrize("name", ["a", "pr-42", "v1.2_x", "0", "A" * 63])
def test_names_that_serve(name: str) -> None:
    assert source_name(name) == branch_name(name) == snapshot_name(name) == name
    assert parse_ref(name) == Ref(name)
    assert str(parse_ref(f"{name}@{name}")) == f"{name}@{name}"


@pytest.mark.parametrize(
    "name",
    ["", "A" * 64, "-a", ".a", "_a", "a/b", "a'b", 'a"b', "a b", "a\n", "a;b", "ä", "a@b", "../x",
     "a\0", "$(id)"],
)  # fmt: skip
def test_names_that_do_not(name: str) -> None:
    for check in (source_name, branch_name, snapshot_name):
        with pytest.raises(InvalidError) as refused:
            check(name)
        assert refused.value.hint
    if "@" not in name:
        with pytest.raises(InvalidError):
            parse_ref(name)


def test_references() -> None:
    assert parse_snapshot_ref("main@before-v2") == ("main", "before-v2")
    for text in ("main@", "@x", "a@b@c", "main@_x"):
        with pytest.raises(InvalidError):
            parse_ref(text)
    with pytest.raises(InvalidError, match="does not name a snapshot"):
        parse_snapshot_ref("main")


GOOD = {
    "state_dir": ("/a", Path("/a")),
    "run_dir": ("/b", Path("/b")),
    "log_dir": ("/c", Path("/c")),
    "group": ("people", "people"),
    "server_user": ("pg", "pg"),
    "ports": ([2000, 3000], (2000, 3000)),
    "bindirs": (["/x/*/bin"], ("/x/*/bin",)),
    "branch_settings": ({"work_mem": "1MB"}, {**BRANCH_SETTINGS, "work_mem": "1MB"}),
    "keep_preload_libraries": (["pg_x"], ("pg_x",)),
    "complete_migrations": (["main"], ("main",)),
    "min_free_bytes": (0, 0),
    "start_timeout": (5, 5.0),
    "reap_interval": (0.5, 0.5),
    "auto_spares": (0, 0),
    "auto_spares_snapshots": (5, 5),
    "auto_spares_seconds": (60, 60.0),
    "spares_memory": (2**30, 2**30),
    "sleep_after": (600, 600),
    "branches_per_user": (0, 0),
    "branch_memory": ("2G", 2 * 2**30),
    "branch_cpus": (1, 1.0),
    "branch_disk": ("512M", 512 * 2**20),
    "cgroup": ("/sys/fs/cgroup/mine", "/sys/fs/cgroup/mine"),
}
BAD: dict[str, list[object]] = {
    "state_dir": ["relative", 1],
    "run_dir": ["", None],
    "log_dir": [["/a"]],
    "group": ["", 3],
    "server_user": ["", 3],
    "ports": [[1], [3000, 2000], [80, 90], ["1", "2"], 5, [60000, 70000]],
    "bindirs": ["/x", [1]],
    "branch_settings": ["x", []],
    "keep_preload_libraries": ["x", [2]],
    "complete_migrations": [True, ["main", 1]],
    "min_free_bytes": [-1, 1.5, "1"],
    "start_timeout": [0, -1, "5"],
    "reap_interval": [0, "x"],
    "auto_spares": [-1, 101, "1", True],
    "auto_spares_snapshots": [-1, 1.5],
    "auto_spares_seconds": [0, "x"],
    "spares_memory": [-1, "1G"],
    "sleep_after": [-1, 1.5, "10m", True],
    "branches_per_user": [-1, 1.5, "1", True],
    "branch_memory": ["x", "", -1, None],
    "branch_cpus": [0, -1, "2", True],
    "branch_disk": ["5 potatoes", 1.5],
    "cgroup": ["", 3],
}


def test_every_setting_is_tried_here() -> None:
    names = set(Config.__dataclass_fields__)
    assert names == set(GOOD) == set(BAD)
    assert parse({}) == Config()


@pytest.mark.parametrize("key", GOOD)
def test_a_good_setting(key: str) -> None:
    given, expected = GOOD[key]
    assert getattr(parse({key: given}), key) == expected


@pytest.mark.parametrize(("key", "value"), [(key, item) for key in BAD for item in BAD[key]])
def test_a_bad_setting_is_named(key: str, value: object) -> None:
    with pytest.raises(InvalidError, match=f"'{key}'"):
        parse({key: value})


def test_settings_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.toml"
    with pytest.raises(InvalidError, match="does not exist"):
        load(path)
    path.write_text("group = 'team'\n")
    assert load(path).group == "team"
    monkeypatch.setenv("COWDB_CONFIG", str(path))
    assert load().group == "team"
    path.write_text("group = \n")
    with pytest.raises(InvalidError, match="not TOML"):
        load(path)
    path.write_text("group2 = 'team'\n")
    with pytest.raises(InvalidError, match="'group2'") as refused:
        load(path)
    assert "group" in refused.value.hint


def every_error() -> list[type[CowdbError]]:
    found = [CowdbError]
    for kind in found:
        found += kind.__subclasses__()
    return [kind for kind in dict.fromkeys(found) if kind.__module__ == "cowdb.errors"]


def test_each_error_has_a_code_of_its_own_and_travels() -> None:
    kinds = every_error()
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert set(errors.KINDS.values()) == set(kinds)
    for kind in kinds:
        sent = kind("branch 'x' is gone", hint="cowdb branch list")
        back = errors.from_json(sent.as_json())
        assert type(back) is kind
        assert (back.message, back.hint, str(back)) == (sent.message, sent.hint, sent.message)
        assert kind.exit_status in range(1, 8)
        assert kind.http_status in range(400, 600)


def test_an_error_of_a_newer_agent_is_still_an_error() -> None:
    back = errors.from_json({"code": "unheard-of", "message": "no", "hint": ""})
    assert type(back) is CowdbError
    assert back.message == "no"
    assert errors.from_json({}).message == "unknown error"


def test_exit_statuses_are_the_contract() -> None:
    statuses = {"invalid": 2, "not_found": 4, "conflict": 5, "busy": 5, "port_unavailable": 5,
                "agent_unreachable": 6, "not_permitted": 7, "storage": 1, "server": 1,
                "source_down": 5, "failed": 1}  # fmt: skip
    assert {code: errors.KINDS[code].exit_status for code in statuses} == statuses
