"""Steps on volumes: made, cloned, frozen, destroyed through the pool's driver."""

from __future__ import annotations

from cowdb.agent.effects.dispatch import do, undo
from cowdb.agent.engines.postgres import binaries, control
from cowdb.agent.host import Attempt, Host
from cowdb.agent.steps import (
    CloneVolume,
    CreateVolume,
    DestroyVolume,
    ForkVolume,
    FreezeVolume,
    LimitVolume,
    NoteMark,
    ReadControl,
    SnapshotVolume,
)
from cowdb.agent.storage.protocol import Forks, LimitsDisk, Promotes, VolumeId
from cowdb.agent.system import user_of
from cowdb.errors import LimitsUnavailableError


@do.register
def _(step: CreateVolume, host: Host, attempt: Attempt) -> None:
    host.pool(step.pool).create(VolumeId(step.volume), step.mark)


@do.register
def _(step: CloneVolume, host: Host, attempt: Attempt) -> None:
    host.pool(step.pool).clone(VolumeId(step.snapshot), VolumeId(step.volume), step.mark)


@do.register
def _(step: SnapshotVolume, host: Host, attempt: Attempt) -> None:
    host.pool(step.pool).snapshot(VolumeId(step.origin), VolumeId(step.volume), step.mark)


@do.register
def _(step: ForkVolume, host: Host, attempt: Attempt) -> None:
    pool = host.pool(step.pool)
    assert isinstance(pool, Forks)
    pool.fork(
        VolumeId(step.origin), VolumeId(step.snapshot), step.mark,
        VolumeId(step.volume), step.clone_mark,
    )  # fmt: skip


@undo.register
def _(step: ForkVolume, host: Host, attempt: Attempt) -> None:
    for volume in (step.volume, step.snapshot):
        host.pool(step.pool).destroy(VolumeId(volume))


@do.register
def _(step: LimitVolume, host: Host, attempt: Attempt) -> None:
    pool = host.pool(step.pool)
    if not isinstance(pool, LimitsDisk):
        raise LimitsUnavailableError(f"the {pool.driver} driver cannot limit a branch's disk")
    pool.limit(VolumeId(step.volume), step.size)


@do.register
def _(step: FreezeVolume, host: Host, attempt: Attempt) -> None:
    host.pool(step.pool).freeze(VolumeId(step.volume))


@do.register
def _(step: DestroyVolume, host: Host, attempt: Attempt) -> None:
    pool, volume = host.pool(step.pool), VolumeId(step.volume)
    if step.promote and isinstance(pool, Promotes):
        pool.retire(volume)
    else:
        pool.destroy(volume)
    host.settings_file(step.volume).unlink(missing_ok=True)


@do.register
def _(step: NoteMark, host: Host, attempt: Attempt) -> None:
    host.pool(step.pool).set_mark(VolumeId(step.volume), step.mark)


@undo.register
def _(step: NoteMark, host: Host, attempt: Attempt) -> None:
    host.pool(step.pool).set_mark(VolumeId(step.volume), step.before)


@do.register
def _(step: ReadControl, host: Host, attempt: Attempt) -> None:
    datadir = host.pool(step.pool).path(VolumeId(step.volume)) / step.data
    tools = binaries.pick(host.config.bindirs, step.version)
    attempt.control = control.read_control(datadir, tools, user_of(datadir.stat().st_uid))


@undo.register(CreateVolume)
@undo.register(CloneVolume)
@undo.register(SnapshotVolume)
def _(step: CreateVolume | CloneVolume | SnapshotVolume, host: Host, attempt: Attempt) -> None:
    host.pool(step.pool).destroy(VolumeId(step.volume))
