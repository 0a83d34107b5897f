"""Where the drivers that keep volumes as directories (btrfs, reflink) put things on disk.

    POOL/.cowdb-pool            JSON: the pool's id, format, driver, what its filesystem can do
    POOL/volumes/<id>/          root's, mode 0755; there only with its mark inside
        cowdb.json              the mark: format, pool, volume, frozen, the agent's words
        tree/                   the content (a subvolume or a directory); there = complete
    POOL/staging/<id>/          a volume before it has its mark, or on its way out

A volume directory is filled in staging and renamed, so that nothing in volumes/ that cowdb made
ever lacks its mark; on its way out it is renamed back first, so that half a tree is never taken
for a volume. What lies in volumes/ without a mark of this pool belongs to somebody else.

Each operation opens POOL, reads `.cowdb-pool` beneath that descriptor, and reaches all else
through the same descriptor (/proc/PID/fd/N/...): a pool that is unmounted is noticed, and one
that is unmounted a moment later cannot make cowdb write into the empty mount point.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cowdb.agent.storage.kernel import FULL, translated
from cowdb.agent.storage.protocol import Mark, Space, Volume, VolumeId
from cowdb.errors import CowdbError, PoolMissingError, StorageError

FORMAT = 1
POOL_FILE = ".cowdb-pool"
MARK_FILE = "cowdb.json"
TREE = "tree"
_MARK_LIMIT = 64 * 1024  # bytes; a larger file is not a mark of ours
_ID = re.compile(r"[a-z0-9-]{1,100}")


@dataclass(frozen=True, slots=True)
class PoolMark:
    """What `.cowdb-pool` says.

    :param allow_copy: clones may be full copies where blocks cannot be shared.
    :param shares_blocks: sharing was seen to work when the pool was made.
    """

    id: str
    driver: str
    allow_copy: bool = False
    shares_blocks: bool = True


@dataclass(frozen=True, slots=True)
class Record:
    """A volume's mark file."""

    volume: VolumeId
    frozen: bool
    mark: Mark


def write_durably(path: Path, value: object, keep: Callable[[int], None] = os.fsync) -> None:
    """Replace the JSON file at `path` so that a crash leaves the old or the new one, whole.

    :param keep: makes the content of a descriptor last, before it gets its name.
    """
    fresh = path.with_name(path.name + ".new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    with open(fd, "w") as file:
        json.dump(value, file, indent=1, sort_keys=True)
        file.write("\n")
        file.flush()
        keep(fd)
    fresh.rename(path)


def _read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object at `path`; None when it is missing, a link, too long or something else."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        text = file.read(_MARK_LIMIT + 1)
    try:
        value = json.loads(text) if len(text) <= _MARK_LIMIT else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def read_pool_mark(base: Path) -> PoolMark | None:
    """What the pool in directory `base` says of itself; None when there is no pool.

    :raises StorageError: it is of a newer format.
    """
    value = _read_json(base / POOL_FILE)
    if value is None or not isinstance(value.get("id"), str):
        return None
    if value.get("format") != FORMAT:
        raise StorageError(
            f"the pool has format {value.get('format')!r}, this cowdb knows {FORMAT}",
            hint="use the cowdb that made it, or a newer one",
        )
    return PoolMark(
        id=value["id"],
        driver=str(value.get("driver")),
        allow_copy=value.get("allow_copy") is True,
        shares_blocks=value.get("shares_blocks") is True,
    )


def write_pool_mark(base: Path, mark: PoolMark) -> None:
    """Make `base` a pool, completely or not at all."""
    for name in ("volumes", "staging"):
        (base / name).mkdir(exist_ok=True)
    (base / "volumes").chmod(0o755)  # servers pass through it to their data
    (base / "staging").chmod(0o700)
    write_durably(
        base / POOL_FILE,
        {
            "format": FORMAT,
            "id": mark.id,
            "driver": mark.driver,
            "allow_copy": mark.allow_copy,
            "shares_blocks": mark.shares_blocks,
        },
    )


def _is_directory(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return False


class Layout:
    """The volumes of one pool as directories; knows nothing of how a tree is made.

    :param remove_content: removes all that the driver puts into a volume directory beside the
        mark, also when only half of it is there, following no link.
    :param is_frozen: whether the tree at that path, with that record, is frozen.
    :param keep_mark: makes the mark of a volume that is being made last, at the latest by the time
        that its tree is on disk.
    """

    def __init__(
        self,
        root: Path,
        pool: str,
        *,
        remove_content: Callable[[Path], None],
        is_frozen: Callable[[Path, Record], bool],
        keep_mark: Callable[[int], None] = os.fsync,
    ) -> None:
        self._keep_mark = keep_mark
        self.root = root
        self.pool = pool
        self._remove_content = remove_content
        self._is_frozen = is_frozen

    @contextlib.contextmanager
    def present(self) -> Iterator[Path]:
        """POOL, held open and known to be this pool, as a path that cannot change its meaning."""
        gone = "mount it, then try again; cowdb doctor shows what it expects"
        try:
            fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise PoolMissingError(f"there is no pool at {self.root}", hint=gone) from error
        try:
            base = Path(f"/proc/{os.getpid()}/fd/{fd}")
            mark = read_pool_mark(base)
            if mark is None:
                raise PoolMissingError(
                    f"there is no pool at {self.root}: {POOL_FILE} is not there", hint=gone
                )
            if mark.id != self.pool:
                raise PoolMissingError(
                    f"the pool at {self.root} is {mark.id}, not {self.pool}", hint=gone
                )
            yield base
        finally:
            os.close(fd)

    def path(self, volume: VolumeId) -> Path:
        return Path(f"{self.root}/volumes/{_checked(volume)}/{TREE}")  # parsed once: for listings

    def space(self) -> Space:
        with self.present() as base, translated(f"pool {self.root} cannot be measured"):
            room = os.statvfs(base)
        return Space(total=room.f_blocks * room.f_frsize, free=room.f_bavail * room.f_frsize)

    @contextlib.contextmanager
    def making(self, volume: VolumeId, mark: Mark, *, frozen: bool) -> Iterator[Path]:
        """A new marked volume directory, for the block to put `tree` into; undone if it fails."""
        what = f"volume {volume!r} cannot be made"
        with self.present() as base, translated(what):
            place = base / "volumes" / _checked(volume)
            if os.path.lexists(place):
                raise StorageError(f"{what}: there is one of that name")
            try:
                self._announce(base, place, Record(volume, frozen, mark))
                yield place
            except BaseException as error:
                try:
                    self._remove(base, volume)
                except (OSError, CowdbError) as second:
                    error.add_note(f"what was made of it is still there: {second}")
                raise

    def _announce(self, base: Path, place: Path, record: Record) -> None:
        staged = base / "staging" / place.name
        staged.mkdir(exist_ok=True)
        self._write(staged, record, self._keep_mark)
        staged.chmod(0o755)  # whatever the umask: servers pass through it to their data
        staged.rename(place)

    def _write(self, place: Path, record: Record, keep: Callable[[int], None] = os.fsync) -> None:
        write_durably(
            place / MARK_FILE,
            {
                "format": FORMAT,
                "pool": self.pool,
                "volume": record.volume,
                "frozen": record.frozen,
                "mark": dict(record.mark),
            },
            keep,
        )

    def _read(self, place: Path) -> Record | None:
        value = _read_json(place / MARK_FILE)
        if value is None or value.get("pool") != self.pool or value.get("volume") != place.name:
            return None
        words = value.get("mark")
        mark = {str(key): str(word) for key, word in words.items()} if type(words) is dict else {}
        return Record(VolumeId(place.name), value.get("frozen") is True, mark)

    def tree(self, base: Path, volume: VolumeId) -> tuple[Path, bool]:
        """The tree of a complete volume beneath `base`, and whether it is frozen."""
        place = base / "volumes" / _checked(volume)
        record = self._read(place)
        if record is None or not _is_directory(place / TREE):
            raise StorageError(f"volume {volume!r} is not in the pool at {self.root}")
        return place / TREE, self._is_frozen(place / TREE, record)

    def set_frozen(self, base: Path, volume: VolumeId) -> None:
        """Write into the mark that the volume is frozen."""
        place = base / "volumes" / _checked(volume)
        record = self._read(place)
        if record is None:
            raise StorageError(f"volume {volume!r} is not in the pool at {self.root}")
        self._write(place, replace(record, frozen=True))

    def set_mark(self, volume: VolumeId, mark: Mark) -> None:
        with self.present() as base, translated(f"volume {volume!r} cannot be marked"):
            place = base / "volumes" / _checked(volume)
            record = self._read(place)
            if record is None:
                raise StorageError(f"volume {volume!r} is not in the pool at {self.root}")
            self._write(place, replace(record, mark=mark))

    def destroy(self, volume: VolumeId) -> None:
        _checked(volume)
        with self.present() as base, translated(f"volume {volume!r} cannot be destroyed"):
            self._remove(base, volume)

    def _remove(self, base: Path, volume: VolumeId) -> None:
        place, staged = base / "volumes" / volume, base / "staging" / volume
        if os.path.lexists(place):
            if self._read(place) is None:
                raise StorageError(
                    f"{self.root}/volumes/{volume} does not carry the mark of this pool",
                    hint="cowdb did not make it and will not remove it",
                )
            self._leave(place, staged)
        if _is_directory(staged):
            self._empty(staged)

    def _leave(self, place: Path, staged: Path) -> None:
        """Move a volume directory to staging, or empty it where it is when the disk is full.

        A full btrfs has room to delete and none to rename. Until there is, the volume is listed
        as before; whoever destroys knows from the journal that it was to go.
        """
        try:
            place.rename(staged)
        except OSError as error:
            if error.errno not in FULL:
                raise
            self._empty(place)

    def _empty(self, place: Path) -> None:
        """Remove a volume directory with all that is in it, the mark after the content."""
        if self._read(place) is not None:
            self._remove_content(place)
        for name in (MARK_FILE + ".new", MARK_FILE):
            (place / name).unlink(missing_ok=True)
        place.rmdir()

    def list(self) -> list[Volume]:
        with self.present() as base, translated(f"pool {self.root} cannot be listed"):
            found = {place.name: self._volume(place) for place in _places(base / "volumes")}
            for place in _places(base / "staging"):
                record = self._read(place) or Record(VolumeId(place.name), False, {})
                found.setdefault(
                    place.name, Volume(record.volume, record.frozen, False, record.mark)
                )
        return [found[name] for name in sorted(found) if found[name]]  # type: ignore[misc]

    def _volume(self, place: Path) -> Volume | None:
        record = self._read(place)
        if record is None:
            return None
        try:
            complete = _is_directory(place / TREE)
            frozen = self._is_frozen(place / TREE, record) if complete else record.frozen
        except FileNotFoundError:  # destroyed while we looked
            return None
        return Volume(record.volume, frozen, complete, record.mark)


def _places(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return [
            folder / entry.name
            for entry in entries
            if _ID.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
        ]


def _checked(volume: VolumeId) -> VolumeId:
    if not _ID.fullmatch(volume):
        raise StorageError(f"{volume!r} is not the id of a volume")
    return volume
