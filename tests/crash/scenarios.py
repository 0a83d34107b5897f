"""Every kind of operation that the agent is killed in, as a scenario."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cowdb.wire import Mode
from tests.crash.pools import check_marked, check_rebuildable, child_is_known
from tests.crash.world import World

ROWS = 2000


@dataclass(frozen=True)
class Scenario:
    """:param kinds: the operations whose instants count.
    :param arrange: makes what `act` needs, from nothing or after an `act` that happened.
    :param happened: that it did, wholly; else that it did not at all.
    :param clear: takes away what `arrange` and `act` made.
    :param restarts: the DSN of a server that `act` stops and starts again.
    :param idle: `act` changes nothing, so that it always "happened".
    :param costly: try again after each fourth crash only.
    :param dead: looks at the disk before the agent starts again."""

    name: str
    kinds: tuple[str, ...]
    arrange: Callable[[World], object]
    act: Callable[[World], object]
    happened: Callable[[World], bool]
    clear: Callable[[World], object]
    restarts: Callable[[World], tuple[str, ...]] = lambda world: ()
    idle: bool = False
    costly: bool = False
    dead: Callable[[World], None] = lambda world: None


def branches(world: World) -> dict[str, str]:
    return {item["name"]: item["state"] for item in world.client.branches.list()}


def snapshots(world: World) -> list[str]:
    return [item["ref"] for item in world.client.snapshots.list()]


def sources(world: World) -> list[str]:
    return [item["name"] for item in world.client.sources.list()]


def drop_branch(world: World, name: str = "b") -> None:
    if name in branches(world):
        world.client.branches.remove(name)


def drop_snapshot(world: World, ref: str) -> None:
    if ref in snapshots(world):
        world.client.snapshots.remove(ref)


def nothing(world: World) -> None:
    pass


def create_branch(origin: str) -> Scenario:
    def happened(world: World) -> bool:
        if "b" not in branches(world):
            return False
        assert branches(world)["b"] == "running"
        assert world.rows("b") == ROWS + (origin == "keep")
        return True

    return Scenario(
        f"branch create from {origin}", ("branch create",), drop_branch,
        lambda world: world.client.branches.create("b", origin), happened, drop_branch,
    )  # fmt: skip


def take_snapshot(parent: str, mode: Mode) -> Scenario:
    ref = f"{parent}@s"

    def clear(world: World) -> None:
        world.client.branches.create("of-s", ref)
        assert world.rows("of-s") >= ROWS
        world.client.branches.remove("of-s")
        drop_snapshot(world, ref)

    def restarts(world: World) -> tuple[str, ...]:
        if mode != "stop":
            return ()
        if parent == "prod":
            assert world.production is not None
            return (world.production.dsn,)
        found = world.client.sources.show(parent) if parent == "main" else None
        return (str(found["dsn"]),) if found else (world.dsn(parent),)

    return Scenario(
        f"snapshot {parent} {mode}", ("snapshot create",),
        lambda world: drop_snapshot(world, ref),
        lambda world: world.client.snapshots.create(ref, mode=mode),
        lambda world: ref in snapshots(world), clear, restarts,
    )  # fmt: skip


def settle() -> Scenario:
    ref = "main@s"

    def arrange(world: World) -> None:
        drop_snapshot(world, ref)

    def act(world: World) -> None:
        drop_snapshot(world, ref)
        world.client.snapshots.create(ref, settle=True)

    def happened(world: World) -> bool:
        return ref in snapshots(world) and world.client.snapshots.show(ref)["settled"]

    return Scenario("snapshot settle", ("snapshot settle",), arrange, act, happened, arrange)


def reset(origin: str) -> Scenario:
    def arrange(world: World) -> None:
        if "b" not in branches(world):
            world.client.branches.create("b", origin)
        if world.rows("b") == ROWS:
            world.sql("b", "insert into kept values (-1, 'dirty')")

    def happened(world: World) -> bool:
        assert branches(world)["b"] == "running"
        assert world.rows("b") in (ROWS, ROWS + 1)
        return world.rows("b") == ROWS

    return Scenario(
        f"branch reset to {origin}", ("branch reset",), arrange,
        lambda world: world.client.branches.reset("b"), happened, drop_branch,
    )  # fmt: skip


def switch(verb: str, before: str, after: str) -> Scenario:
    def arrange(world: World) -> None:
        if "b" not in branches(world):
            world.client.branches.create("b", "main@settled")
        if branches(world)["b"] != before:
            branch = world.client.branches
            (branch.start if before == "running" else branch.stop)("b")

    def act(world: World) -> None:
        (world.client.branches.start if verb == "start" else world.client.branches.stop)("b")

    def happened(world: World) -> bool:
        assert branches(world)["b"] in (before, after)
        return branches(world)["b"] == after

    return Scenario(f"branch {verb} when {before}", (f"branch {verb}",), arrange, act, happened,
                    drop_branch, idle=before == after)  # fmt: skip


def remove_branch(origin: str) -> Scenario:
    def arrange(world: World) -> None:
        if "b" not in branches(world):
            world.client.branches.create("b", origin)

    def happened(world: World) -> bool:
        if "b" in branches(world):
            assert world.rows("b") == ROWS
            return False
        return True

    return Scenario(
        f"branch rm of {origin}", ("branch rm",), arrange,
        lambda world: world.client.branches.remove("b"), happened, drop_branch,
    )  # fmt: skip


def remove_snapshot(*, settled: bool) -> Scenario:
    ref = "main@s"

    def arrange(world: World) -> None:
        if ref not in snapshots(world):
            world.client.snapshots.create(ref, settle=settled)

    return Scenario(
        f"snapshot rm, {'settled' if settled else 'raw'}", ("snapshot rm",), arrange,
        lambda world: world.client.snapshots.remove(ref),
        lambda world: ref not in snapshots(world), lambda world: drop_snapshot(world, ref),
    )  # fmt: skip


def warm(world: World, ref: str, number: int) -> None:
    world.client.snapshots.warm(ref, number)
    world.await_spares()


def clear_spares(world: World) -> None:
    drop_branch(world)
    warm(world, "main@settled", 0)


def take_spare() -> Scenario:
    def arrange(world: World) -> None:
        drop_branch(world)
        warm(world, "main@settled", 1)

    def act(world: World) -> None:
        assert world.client.branches.create("b", "main@settled")["spare"]
        world.await_quiet()  # the mark is written after the answer

    def happened(world: World) -> bool:
        if "b" not in branches(world):
            return False
        assert world.rows("b") == ROWS
        assert world.client.branches.show("b")["spare"]
        world.await_quiet()
        check_marked(world, "b")
        return True

    return Scenario(
        "branch create, taking a spare", ("branch create",), arrange, act, happened, clear_spares
    )


def make_spare() -> Scenario:
    """The agent does so by itself, and so again when it starts."""

    def happened(world: World) -> bool:
        return world.await_spares() == 1

    return Scenario(
        "spare make", ("spare make",), lambda world: warm(world, "main@settled", 0),
        lambda world: warm(world, "main@settled", 1), happened, clear_spares,
    )  # fmt: skip


def drop_spare() -> Scenario:
    return Scenario(
        "spare rm", ("spare rm",), lambda world: warm(world, "main@settled", 1),
        lambda world: warm(world, "main@settled", 0),
        lambda world: world.await_spares() == 0, clear_spares,
    )  # fmt: skip


def remove_warm_snapshot() -> Scenario:
    ref = "main@s"

    def arrange(world: World) -> None:
        if ref not in snapshots(world):
            world.client.snapshots.create(ref, settle=True)
        warm(world, ref, 2)

    def happened(world: World) -> bool:
        gone = ref not in snapshots(world)
        assert world.await_spares() == (0 if gone else 2)
        return gone

    return Scenario(
        "snapshot rm, with spares", ("snapshot rm",), arrange,
        lambda world: world.client.snapshots.remove(ref), happened,
        lambda world: drop_snapshot(world, ref),
    )  # fmt: skip


def clear_promoted(world: World) -> None:
    """The branches `b` and `child` with all snapshots that were taken for them."""
    for name in ("child", "b"):
        if name in branches(world):
            world.client.branches.remove(name, promote=True)
    for ref in set(snapshots(world)) - {"main@raw", "main@settled"}:
        world.client.snapshots.remove(ref)


def promote_branch() -> Scenario:
    """`b`, from whose snapshot `child` comes."""

    def arrange(world: World) -> None:
        if "b" not in branches(world):
            clear_promoted(world)
            world.client.branches.create("b", "main@settled")
            world.sql("b", "insert into kept values (-1, 'in b')")
            world.client.snapshots.create("b@mid")
            world.client.branches.create("child", "b@mid")

    def happened(world: World) -> bool:
        assert world.rows("child") == ROWS + 1
        gone = "b" not in branches(world)
        mine = {"main@b.mid"} if gone else {"b@mid"}
        assert set(snapshots(world)) == {"main@raw", "main@settled"} | mine
        assert world.client.branches.show("child")["snapshot"] == mine.pop()
        check_rebuildable(world)
        return gone

    return Scenario(
        "branch rm, promoting", ("branch rm",), arrange,
        lambda world: world.client.branches.remove("b", promote=True), happened, clear_promoted,
        dead=child_is_known,
    )  # fmt: skip


def promote_snapshot() -> Scenario:
    """`main@s`, settled, from which `b` and `child` come."""

    def arrange(world: World) -> None:
        if "main@s" not in snapshots(world):
            clear_promoted(world)
            world.client.snapshots.create("main@s", settle=True)
            for name in ("b", "child"):
                world.client.branches.create(name, "main@s")

    def happened(world: World) -> bool:
        gone = "main@s" not in snapshots(world)
        for name in ("b", "child"):
            assert world.rows(name) == ROWS
            assert world.client.branches.show(name)["snapshot"] == ("" if gone else "main@s")
        check_rebuildable(world)
        return gone

    return Scenario(
        "snapshot rm, promoting", ("snapshot rm",), arrange,
        lambda world: world.client.snapshots.remove("main@s", promote=True), happened,
        clear_promoted, dead=child_is_known,
    )  # fmt: skip


def drop_source(world: World) -> None:
    if "extra" in sources(world):
        world.client.sources.remove("extra")


def add_source(world: World) -> None:
    if "extra" not in sources(world):
        world.client.sources.add("extra")


def has_source(world: World) -> bool:
    if "extra" not in sources(world):
        return False
    found = world.client.sources.show("extra")
    assert found["state"] == "running"
    assert world.host.sql(str(found["dsn"]), "select 1") == [(1,)]
    return True


SCENARIOS = (
    Scenario("source add", ("source add",), drop_source,
             lambda world: world.client.sources.add("extra"), has_source, drop_source,
             costly=True),
    Scenario("source rm", ("source rm",), add_source,
             lambda world: world.client.sources.remove("extra"),
             lambda world: not has_source(world), drop_source),
    *(take_snapshot(parent, mode) for parent in ("main", "keep", "prod")
      for mode in ("online", "checkpoint", "stop")),
    settle(),
    create_branch("main@settled"),
    create_branch("main@raw"),
    create_branch("main"),
    create_branch("keep"),
    reset("main@settled"),
    reset("main@raw"),
    switch("stop", "running", "stopped"),
    switch("stop", "stopped", "stopped"),
    switch("start", "stopped", "running"),
    switch("start", "running", "running"),
    remove_branch("main@settled"),
    remove_branch("main"),
    remove_snapshot(settled=True),
    promote_branch(),
    promote_snapshot(),
    take_spare(),
    make_spare(),
    drop_spare(),
    remove_warm_snapshot(),
)  # fmt: skip
