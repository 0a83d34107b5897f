"""What libzfs_core lacks, by the `zfs` command: properties, lists, mounts.

Its answers are taken in the form made for programs (-H -p: tabs, plain numbers), and each is of
one instant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cowdb.agent import system
from cowdb.errors import CommandError, StorageError

_PATIENCE = 300.0  # seconds; a command waits for a transaction group on a loaded disk


@dataclass(frozen=True, slots=True)
class Entry:
    """A dataset or snapshot with the properties asked for.

    :param values: "-" for one that it has not.
    :param sources: where each comes from: local, default, received, inherited from NAME, or -.
    """

    name: str
    values: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    def value(self, name: str) -> str:
        return self.values.get(name, "-")

    def local(self, name: str) -> str | None:
        """What was set on it itself, None otherwise."""
        return self.values[name] if self.sources.get(name) == "local" else None

    def chosen(self, name: str) -> str | None:
        """What somebody set on it or above it, None for ZFS's default."""
        return None if self.sources.get(name, "-") in ("default", "-") else self.values[name]


def get(name: str, properties: Sequence[str], *, beneath: bool = False) -> list[Entry]:
    """A dataset or snapshot with its properties, and, asked for, all that is beneath it.

    :raises CommandError: there is none of that name.
    """
    scope = ["-r", "-t", "filesystem,snapshot"] if beneath else []
    wanted = ",".join(properties)
    shown = system.run(
        ["zfs", "get", "-H", "-p", *scope, "-o", "name,property,value,source", wanted, name],
        timeout=_PATIENCE,
    ).stdout
    found: dict[str, Entry] = {}
    for line in shown.splitlines():
        item, key, value, source = line.split("\t")
        entry = found.setdefault(item, Entry(item))
        entry.values[key] = value
        entry.sources[key] = source
    return list(found.values())


def set_properties(dataset: str, properties: Mapping[str, str]) -> None:
    words = [f"{name}={value}" for name, value in properties.items()]
    _run(["zfs", "set", *words, dataset], f"dataset {dataset} cannot be changed")


def inherit(dataset: str, properties: Sequence[str]) -> None:
    """Take properties off a dataset, one after the other."""
    for name in properties:
        _run(["zfs", "inherit", name, dataset], f"dataset {dataset} cannot be changed")


def create(dataset: str, properties: Mapping[str, str]) -> None:
    """Make and mount a dataset, its parents too."""
    options = [word for name, value in properties.items() for word in ("-o", f"{name}={value}")]
    _run(["zfs", "create", "-p", *options, dataset], f"dataset {dataset} cannot be made")


def mount(dataset: str) -> None:
    """Mount a dataset where its property says; no error when it is mounted."""
    try:
        system.run(["zfs", "mount", dataset], timeout=_PATIENCE)
    except CommandError as error:
        (entry,) = get(dataset, ["mounted", "keystatus"])
        if entry.value("mounted") == "yes":
            return
        if entry.value("keystatus") == "unavailable":
            raise StorageError(
                f"dataset {dataset} cannot be mounted: its encryption key is not loaded",
                hint=f"zfs load-key -r {dataset.split('/')[0]}",
            ) from error
        raise StorageError(f"dataset {dataset} cannot be mounted: {error.message}") from error


def _run(words: Sequence[str], what: str) -> None:
    try:
        system.run(words, timeout=_PATIENCE)
    except CommandError as error:
        raise StorageError(f"{what}: {error.message}") from error
