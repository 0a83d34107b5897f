"""`rm --promote` on each filesystem: what was named goes, what comes from it stays, and all that a
user can do with it afterwards."""

from __future__ import annotations

import pytest

from cowdb.controller.client import Client
from cowdb.errors import ConflictError, NotFoundError, StorageError
from tests.agenthost import AgentHost
from tests.host.usecase import ROWS, count, listings, lose_store, rebuild, seeded
from tests.loopfs import command


def insert(host: AgentHost, dsn: str | None, *numbers: int) -> None:
    host.sql(str(dsn), *(f"insert into t values ({number}, 'new')" for number in numbers))


def refs(client: Client) -> set[str]:
    return {item["ref"] for item in client.snapshots.list()}


def differing(host: AgentHost, first: str, other: str) -> tuple[tuple[int, int, int], str]:
    """(added, removed, changed) rows of t, and how it was read."""
    found = host.json_any("diff", first, other, "--rows")
    (line,) = found["rows"] or [{"added": 0, "removed": 0, "changed": 0}]
    return (line["added"], line["removed"], line["changed"]), found["method"]["public.t"]


@pytest.mark.timeout(900)  # emulated, each server takes seconds to start
def test_a_branch_goes_and_its_snapshots_pass_on(any_host: AgentHost) -> None:
    host = any_host
    seeded(host)
    with host.client() as client:
        client.snapshots.create("main@s", settle=True)
        parent = client.branches.create("try-a", "main@s")
        insert(host, parent["dsn"], 1001)
        client.snapshots.create("try-a@before", settle=True)
        client.snapshots.create("try-a@alone", settle=True)
        child = client.branches.create("child", "try-a@before")
        client.branches.create("twin", "try-a@before")
        insert(host, parent["dsn"], 1002)
        late = client.branches.create("late", "try-a")
        insert(host, parent["dsn"], 1003)
        with pytest.raises(ConflictError, match=r"snapshot try-a@before, .*branch late") as refused:
            client.branches.remove("try-a")
        assert "cowdb branch rm try-a --promote" in refused.value.hint
        planned = client.plans.remove("branches", "try-a", promote=True)
        assert "snapshot try-a@before becomes main@try-a.before" in planned
        assert "stop try-a" in planned
        assert refs(client) == {"main@s", "try-a@before", "try-a@alone"}

        assert client.branches.remove("try-a", promote=True) == {
            "snapshots": [{"was": "try-a@before", "ref": "main@try-a.before"},
                          {"was": "try-a@alone", "ref": "main@try-a.alone"}],
            "branches": [],
        }  # fmt: skip
        assert refs(client) == {"main@s", "main@try-a.before", "main@try-a.alone"}
        with pytest.raises(NotFoundError):
            client.branches.show("try-a")
        shown = {item["name"]: item for item in client.branches.list()}
        assert shown["child"]["snapshot"] == "main@try-a.before"
        assert shown["child"]["removed_snapshot"] is None
        assert (shown["late"]["parent"], shown["late"]["source"]) == ("main", "main")
        assert shown["child"]["dsn"] == child["dsn"]
        assert [count(host, item["dsn"]) - ROWS for item in (child, late)] == [1, 2]

        insert(host, child["dsn"], 1004)
        assert differing(host, "twin", "child")[0] == (1, 0, 0)
        assert differing(host, "main@s", "child")[0] == (2, 0, 0)
        for name, more in (("child", 1), ("late", 2)):
            assert count(host, str(client.branches.reset(name)["dsn"])) == ROWS + more
        client.snapshots.create("child@own", settle=True)
        client.branches.create("grandchild", "child@own")
        client.branches.create("another", "main@try-a.alone")

        again = client.branches.create("try-a", "main@s")
        assert count(host, str(again["dsn"])) == ROWS
        client.snapshots.create("try-a@before", settle=True)
        client.branches.remove("try-a", promote=True)
        assert refs(client) >= {"main@try-a.before", "main@try-a.before-2"}
        client.snapshots.remove("main@s")  # its only branches are gone, their snapshots are not
        client.branches.remove("child", promote=True)  # a branch of what was passed on
        assert refs(client) >= {"main@child.own"}
    before = listings(host)
    lose_store(host)
    assert not [item for item in rebuild(host) if item["level"] == "problem"]
    assert listings(host) == before
    with host.client() as client:
        assert count(host, str(client.branches.reset("twin")["dsn"])) == ROWS + 1
        assert not [item for item in client.host.doctor() if item["level"] == "problem"]


@pytest.mark.timeout(900)  # emulated, each server takes seconds to start
def test_a_snapshot_goes_and_its_branches_stand_alone(any_host: AgentHost) -> None:
    host = any_host
    seeded(host)
    with host.client() as client:
        client.snapshots.create("main@s", settle=True)
        one, two = (client.branches.create(name, "main@s") for name in ("one", "two"))
        insert(host, one["dsn"], 1001)
        with pytest.raises(ConflictError, match="branch one, two comes from it") as refused:
            client.snapshots.remove("main@s")
        assert "cowdb snapshot rm main@s --promote" in refused.value.hint
        planned = client.plans.remove("snapshots", "main@s", promote=True)
        assert planned[:2] == [
            f"branch {name} stands without a snapshot" for name in ("one", "two")
        ]
        assert refs(client) == {"main@s"}

        done = client.snapshots.remove("main@s", promote=True)
        assert done == {"snapshots": [], "branches": ["one", "two"]}
        assert refs(client) == set()
        shown = client.branches.show("one")
        assert (shown["snapshot"], shown["removed_snapshot"]) == ("", "main@s")
        assert (shown["parent"], shown["source"], shown["dsn"]) == ("main", "main", one["dsn"])
        with pytest.raises(ConflictError, match="main@s was removed") as refused:
            client.branches.reset("one")
        assert "cowdb snapshot create one@NAME" in refused.value.hint
        insert(host, two["dsn"], 1002, 1003)
        assert differing(host, "one", "two") == ((2, 1, 0), "full-scan")
        client.branches.protect("one")  # writes its mark
        client.snapshots.create("one@own", settle=True)
        client.branches.create("child", "one@own")
        client.snapshots.create("main@s", settle=True)  # the name is free
        with pytest.raises(ConflictError, match="branch one, branch two"):
            client.snapshots.remove("main@s")
            client.sources.remove("main")
    before = listings(host)
    lose_store(host)
    assert not [item for item in rebuild(host) if item["level"] == "problem"]
    assert listings(host) == before
    with host.client() as client:
        with pytest.raises(ConflictError, match="main@s was removed"):
            client.branches.reset("two")
        assert count(host, str(client.branches.reset("child")["dsn"])) == ROWS + 1
        client.branches.protect("one", protected=False)
        client.branches.remove("one", promote=True)  # and what it came from is gone
        assert client.branches.show("child")["snapshot"] == "main@one.own"
        assert not [item for item in client.host.doctor() if item["level"] == "problem"]


def since(host: AgentHost, first: str, other: str) -> tuple[str, dict[str, int]]:
    """The nearest common snapshot of two sides, and how many rows each has inserted since then."""
    found = host.json("diff", first, other, "--ancestor", "--rows", status=3)
    (line,) = found["since"]["rows"]
    changes = {side: counts["added"] for side, counts in line["changes"].items()}
    assert not any(counts["removed"] + counts["changed"] for counts in line["changes"].values())
    return found["ancestor"]["ref"], changes


@pytest.mark.timeout(900)  # emulated, each server takes seconds to start
def test_a_common_ancestor_is_found_across_what_is_gone(any_host: AgentHost) -> None:
    """main@s <- a@x <- b@y <- c, and main@s <- other; a and b go, later a's snapshot, too."""
    host = any_host
    main = seeded(host)
    with host.client() as client:
        client.snapshots.create("main@s", settle=True)
        insert(host, main["dsn"], 900)
        client.snapshots.create("main@later")
        origin = "main@s"
        for number, (name, snapshot) in enumerate((("a", "a@x"), ("b", "b@y")), 1001):
            insert(host, client.branches.create(name, origin)["dsn"], number)
            client.snapshots.create(snapshot)
            origin = snapshot
        insert(host, client.branches.create("c", origin)["dsn"], 1003, 1004)
        insert(host, client.branches.create("other", "main@s")["dsn"], 2001)
        expected = ("main@s", {"c": 4, "other": 1})
        assert since(host, "c", "other") == expected
        client.branches.remove("a", promote=True)
        assert since(host, "c", "other") == expected
        assert since(host, "c", "b") == ("b@y", {"c": 2})
        client.branches.remove("b", promote=True)
        assert since(host, "c", "other") == expected
        assert since(host, "c", "main") == ("main@s", {"c": 4, "main": 1})
        before = listings(host)
    lose_store(host)
    assert not [item for item in rebuild(host) if item["level"] == "problem"]
    assert listings(host) == before
    assert since(host, "c", "other") == expected
    with host.client() as client:
        client.snapshots.remove("main@a.x")
    assert since(host, "c", "other") == expected


def test_what_is_protected_stays_as_it_is(host: AgentHost) -> None:
    seeded(host)
    with host.client() as client:
        client.snapshots.create("main@s", settle=True)
        client.branches.create("a", "main@s")
        client.snapshots.create("a@kept", protected=True, settle=True)
        client.branches.create("b", "a@kept")
        before = listings(host)
        with pytest.raises(ConflictError, match="a@kept' is protected, and it would be renamed"):
            client.branches.remove("a", promote=True)
        client.branches.protect("a")
        for remove, name in ((client.branches.remove, "a"), (client.snapshots.remove, "main@s"),
                             (client.snapshots.remove, "a@kept")):  # fmt: skip
            with pytest.raises(ConflictError, match="is protected") as refused:
                remove(name, promote=True)
            assert "--off" in refused.value.hint
        client.branches.protect("a", protected=False)
        assert listings(host) == before
        client.snapshots.remove("main@s", promote=True)
        client.snapshots.protect("a@kept", protected=False)
        client.branches.remove("a", promote=True)
        assert refs(client) == {"main@a.kept"}


def test_blocks_are_still_compared_below_what_was_passed_on(host: AgentHost) -> None:
    """And never across the branch that is gone, whose writes nobody can tell any more."""
    seeded(host)
    with host.client() as client:
        client.snapshots.create("main@s", settle=True)
        parent = client.branches.create("a", "main@s")
        client.branches.create("other", "main@s")
        insert(host, parent["dsn"], 1001)
        client.snapshots.create("a@mid", settle=True)
        one = client.branches.create("one", "a@mid")
        client.branches.create("two", "a@mid")
        insert(host, one["dsn"], 1002)
        assert differing(host, "other", "one") == ((2, 0, 0), "changed-blocks")
        client.branches.remove("a", promote=True)
    assert differing(host, "two", "one") == ((1, 0, 0), "changed-blocks")
    assert differing(host, "other", "one") == ((2, 0, 0), "full-scan")


def test_a_removal_that_got_stuck_is_finished_by_asking_again(host: AgentHost) -> None:
    seeded(host)
    with host.client() as client:
        client.snapshots.create("main@s", settle=True)
        client.branches.create("a", "main@s")
        (stuck,) = (host.pool / "volumes").glob("se-*")
        command("chattr", "+i", stuck)
        try:
            with pytest.raises(StorageError, match=stuck.name):
                client.snapshots.remove("main@s", promote=True)
            assert client.branches.show("a")["removed_snapshot"] == "main@s"
            assert stuck.exists()
        finally:
            command("chattr", "-i", stuck)
        client.snapshots.remove("main@s", promote=True)
        assert not stuck.exists()
        assert client.host.operations()[0]["state"] == "done"
        with pytest.raises(NotFoundError):
            client.snapshots.remove("main@s", promote=True)


def test_the_command_line_says_what_became_of_the_rest(host: AgentHost) -> None:
    seeded(host)
    host.run("branch", "create", "a", "--from", "main")
    host.run("snapshot", "create", "a@s")
    host.run("branch", "create", "b", "--from", "a@s")
    said = host.run("branch", "rm", "a", "--promote", "--dry-run").stdout
    assert "snapshot a@s becomes main@a.s" in said
    assert host.run("branch", "rm", "a", "--promote").stdout.splitlines() == [
        "removed a", "snapshot a@s is now main@a.s",
    ]  # fmt: skip
    assert host.json("snapshot", "rm", "main@a.s", "--promote") == {
        "removed": ["main@a.s"], "snapshots": [], "branches": ["b"],
    }  # fmt: skip
    assert "removed snapshot  main@a.s" in host.run("branch", "show", "b").stdout
    refused = host.error("branch", "reset", "b", status=5)
    assert "main@a.s was removed" in refused["message"]
    assert host.json("branch", "rm", "b", "--promote") == {
        "removed": ["b"], "snapshots": [], "branches": [],
    }  # fmt: skip
