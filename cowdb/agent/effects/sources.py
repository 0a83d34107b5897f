"""Steps on attached sources: stopped and started through what runs them, snapshotted live."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from cowdb.agent.effects.dispatch import do, undo
from cowdb.agent.engines.postgres import attached, backup, runner
from cowdb.agent.engines.postgres.settings import Settings, carry, render
from cowdb.agent.host import Attempt, Host
from cowdb.agent.steps import Foreign, SnapshotSource, StartSource, StopSource
from cowdb.agent.storage.protocol import Enclosure, VolumeId
from cowdb.errors import StorageError


def _note(source: Foreign, host: Host) -> Path:
    """Where it is written how a stopped source is started again, should the agent die."""
    return host.config.state_dir / "sources" / f"{source.name}.runner"


@do.register
def _(step: StopSource, host: Host, attempt: Attempt) -> None:
    datadir = Path(step.source.datadir)
    process = attached.running(datadir)
    if process is None:
        _note(step.source, host).unlink(missing_ok=True)
        return
    with attached.session(datadir, step.source.superuser) as db:
        known = attached.facts(db)
        keeper = runner.runner_of(process, known.config_file)
        attempt.quarantined += keep_settings(host, step.snapshot, known.settings)
    _write_private(_note(step.source, host), msgspec.json.encode(keeper))
    runner.stop(keeper, process, datadir, attached.owner_of(datadir))


@undo.register
def _(step: StopSource, host: Host, attempt: Attempt) -> None:
    do(StartSource(source=step.source), host, attempt)
    host.settings_file(step.snapshot).unlink(missing_ok=True)


@do.register
def _(step: StartSource, host: Host, attempt: Attempt) -> None:
    note = _note(step.source, host)
    if not note.exists():  # it was down before
        return
    keeper = msgspec.json.decode(note.read_bytes(), type=runner.Runner)
    datadir = Path(step.source.datadir)
    runner.start(keeper, datadir, attached.owner_of(datadir))
    note.unlink()


@do.register
def _(step: SnapshotSource, host: Host, attempt: Attempt) -> None:
    pool, datadir = host.pool(step.pool), Path(step.source.datadir)
    territory = attached.territory(datadir)
    enclosure = pool.enclose(territory.paths)
    if attached.running(datadir) is None:
        attached.check_at_rest(datadir)
        if not host.settings_file(step.volume).exists():  # StopSource noted them
            at_rest = attached.settings_at_rest(datadir)
            attempt.quarantined += keep_settings(host, step.volume, at_rest)
        pool.snapshot(enclosure, VolumeId(step.volume), step.mark)
        return
    with attached.session(datadir, step.source.superuser) as db:
        known = attached.facts(db)
        attempt.quarantined += keep_settings(host, step.volume, known.settings)
        if not pool.atomic:
            _copy_live(step, host, attempt, enclosure)
            return
        if not pool.ordered:
            attached.check_write_order(db, datadir)
        if step.mode == "checkpoint":
            attempt.report("checkpoint", None, None)
            db.execute("checkpoint")
        pool.snapshot(enclosure, VolumeId(step.volume), step.mark)


def _copy_live(step: SnapshotSource, host: Host, attempt: Attempt, enclosure: Enclosure) -> None:
    pool, datadir = host.pool(step.pool), Path(step.source.datadir)
    territory = attached.territory(datadir)

    def copy() -> Path:
        pool.snapshot(enclosure, VolumeId(step.volume), step.mark)
        return pool.path(VolumeId(step.volume)) / enclosure.parts[0].inside

    wal = (datadir / "pg_wal").resolve()
    if wal != datadir / "pg_wal" and wal not in territory.paths:
        raise StorageError(f"{wal} is not covered by the snapshot of {datadir}")
    inside = next((str(part.inside) for part in enclosure.parts if part.origin == wal), None)
    with attached.session(datadir, step.source.superuser) as db:
        tree = pool.path(VolumeId(step.volume))
        copied_wal = tree / inside if inside else None
        backup.bracket(db, copy, wal, copied_wal, attached.owner_of(datadir))
    attempt.backup = True


def keep_settings(host: Host, snapshot: str, settings: Settings) -> tuple[str, ...]:
    """Note what the branches of this snapshot will run with; returns what they may not have."""
    carried = carry(settings, host.config.keep_preload_libraries)
    _write_private(host.settings_file(snapshot), render(carried.kept).encode())
    return carried.dropped


def _write_private(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@undo.register
def _(step: SnapshotSource, host: Host, attempt: Attempt) -> None:
    host.pool(step.pool).destroy(VolumeId(step.volume))
    host.settings_file(step.volume).unlink(missing_ok=True)
