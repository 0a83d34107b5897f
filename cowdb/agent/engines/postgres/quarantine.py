"""Cut the outgoing wires of a clone before its first start.

    postmaster.pid, *.signal, ...       removed: they speak of the parent's server
    pg_replslot/*, pg_stat_tmp/*        emptied: inherited slots would pin WAL for ever
    pg_wal, pg_tblspc/OID, ...          links made relative, inside the tree; or UnsoundError
    postgresql.conf                     written anew from the settings that a branch may keep
    postgresql.auto.conf                emptied, since it wins over postgresql.conf

Links are judged before anything is changed, and doing it twice does no harm: after a crash of the
host it is to be done again, since nothing here is flushed to disk.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from cowdb.agent.beneath import Beneath, Link, links, own
from cowdb.agent.engines.postgres.modest import modest
from cowdb.agent.engines.postgres.settings import Settings, carry, parse, render
from cowdb.agent.storage.protocol import Part
from cowdb.agent.system import OsUser
from cowdb.errors import NotFoundError, UnsoundError

CONF: Final = "postgresql.conf"
AUTO_CONF: Final = "postgresql.auto.conf"
CONF_LIMIT: Final = 4 * 2**20  # bytes; a real one has 30 thousand
MAP_LIMIT: Final = 2**20  # bytes

# backup_label stays: it is where the recovery of a base backup begins.
_REMOVED: Final[Mapping[str, str]] = {
    "tablespace_map": "",
    "postmaster.pid": "",
    "postmaster.opts": "",
    "current_logfiles": "",
    "promote": "",
    "fallback_promote": "",
    "standby.signal": "it would follow production as a standby",
    "recovery.signal": "it would restore from production's archive",
    "recovery.conf": "Postgres 12 and later does not start with it",
}
_EMPTIED: Final[Mapping[str, str]] = {
    "pg_replslot": "its slots would keep WAL for ever",
    "pg_stat_tmp": "",
}
# What Postgres keeps its data in. Links elsewhere are dispensable: Debian's old server.crt, a
# pg_log on another disk, a postgresql.conf kept in /etc.
_ESSENTIAL: Final = re.compile(r"base|global|pg_(?!hba|ident|log$|replslot|stat_tmp).*|PG_VERSION")
_HEADER: Final = (
    "Written by cowdb when it made this branch: its source's settings without those that reach",
    "outside the branch. It may be edited; cowdb writes it anew when the branch is reset.",
    "What the server's command line sets (address, port, archiving, replication, logging) wins",
    "over this file.",
    "",
)


def quarantine(
    tree: Path,
    data: PurePosixPath,
    *,
    parts: Sequence[Part],
    settings: Settings | None,
    branch_settings: Settings,
    keep_preload: Sequence[str],
    owner: OsUser,
    major: int | None = None,
) -> tuple[str, ...]:
    """Make the clone at `tree` fit to start beside the server that it was cloned from.

    :param tree: a volume's path, whose parents are root's; no server runs on it.
    :param data: the data directory, relative to `tree`.
    :param parts: where the clone's directories came from, to know links to them by.
    :param settings: the source's effective settings; None to read those in the data directory.
    :param branch_settings: what branches run with in place of their source's.
    :param major: of Postgres, for a branch, which is to cost little; None keeps a source's size.
    :return: a sentence for each thing taken out, without any setting's value.
    :raises UnsoundError: a link that Postgres writes through leads outside the tree.
    """
    with Beneath(tree) as beneath:
        layout = _layout(beneath, data, parts)
        if layout.outside:
            raise _leads_outside(tree, layout.outside[0])
        for place in (data, *(part.inside for part in parts), *layout.inside.values()):
            own(beneath, place, owner)
            _open_way(beneath, place, owner)
        found, unread = _settings_inside(beneath, data) if settings is None else (settings, [])
        taken = [*_mend_links(beneath, layout, owner), *_take_out(beneath, data, owner)]
        carried = carry(found, keep_preload)
        sized = modest(carried.kept, major) if major else {}
        conf = render({**carried.kept, **sized, **branch_settings}, _HEADER)
        beneath.write_text(data / CONF, conf, owner, 0o600)
        # last: until then a repeated run still finds in it what the regenerated file lacks
        beneath.write_text(data / AUTO_CONF, "", owner, 0o600)
    return (*taken, *unread, *carried.dropped)


def inspect_links(tree: Path, data: PurePosixPath) -> list[Link]:
    """The links in a volume that Postgres writes through and that lead outside it.

    A snapshot of the volume would not hold what they lead to. A server may run on it meanwhile.
    """
    with Beneath(tree) as beneath:
        return list(_layout(beneath, data, [Part(tree, PurePosixPath("."))]).outside)


# --- links -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Layout:
    """Every link in the data directory and in the directories its links lead to.

    :param inside: leads to this place in the tree.
    :param outside: leads elsewhere, and Postgres writes through it.
    :param dispensable: leads elsewhere, and Postgres starts without it.
    """

    inside: dict[Link, PurePosixPath] = field(default_factory=dict)
    outside: list[Link] = field(default_factory=list)
    dispensable: list[Link] = field(default_factory=list)


def _layout(beneath: Beneath, data: PurePosixPath, parts: Sequence[Part]) -> _Layout:
    layout = _Layout()
    walked = [data]
    for root in walked:  # grows: a tablespace beside the data directory can hold links too
        missing = _mapped_links(beneath, data) if root == data else []
        for link in [*links(beneath, root), *missing]:
            place = next(_places(beneath, link, data, parts), None)
            if place is not None:
                layout.inside[link] = place
                if beneath.kind(place) == "directory" and not _covers(walked, place):
                    walked.append(place)
            elif _essential(link.path, data):
                layout.outside.append(link)
            else:
                layout.dispensable.append(link)
    return layout


def _covers(walked: Sequence[PurePosixPath], place: PurePosixPath) -> bool:
    return any(place.is_relative_to(root) for root in walked)


def _essential(path: PurePosixPath, data: PurePosixPath) -> bool:
    if not path.is_relative_to(data):
        return True
    return is_essential(path.relative_to(data).parts[0])


def is_essential(name: str) -> bool:
    """Whether Postgres keeps data in that entry of a data directory."""
    return _ESSENTIAL.fullmatch(name) is not None


def _places(
    beneath: Beneath, link: Link, data: PurePosixPath, parts: Sequence[Part]
) -> Iterator[PurePosixPath]:
    """Where in the tree a link leads to, through no other link; nothing when it leaves it."""
    lexical = [] if posixpath.isabs(link.target) else [_normal(link.path.parent / link.target)]
    for place in (*lexical, *_guesses(link, parts)):
        # the tree itself or a parent of the data directory would become the server's own
        if ".." in place.parts or data.is_relative_to(place):
            continue
        try:
            if beneath.kind(place) in {"directory", "file"}:
                yield place
        except UnsoundError:
            continue  # it passes another link


def _guesses(link: Link, parts: Sequence[Part]) -> Iterator[PurePosixPath]:
    """Places to look for, the likeliest first."""
    nearest = sorted(parts, key=lambda part: len(part.origin.parts), reverse=True)
    for target in _meant(link, nearest):
        for part in nearest:
            if target.is_relative_to(part.origin):
                yield _normal(part.inside / target.relative_to(part.origin))


def _meant(link: Link, parts: Sequence[Part]) -> Iterator[PurePosixPath]:
    """What the link meant over at the origin, as an absolute path.

    The source's administrator may have gone by way of a link of the host's, which realpath
    resolves: its answer is only compared with the origins, nothing is opened.
    """
    if posixpath.isabs(link.target):
        if ".." not in link.target.split("/"):
            yield PurePosixPath(link.target)
        yield PurePosixPath(os.path.realpath(link.target))
        return
    for part in parts:  # parts may stand elsewhere in the tree than they did at the origin
        if link.path.is_relative_to(part.inside):
            here = part.origin / link.path.parent.relative_to(part.inside)
            yield _normal(here / link.target)
            yield PurePosixPath(os.path.realpath(here / link.target))


def _normal(path: os.PathLike[str] | str) -> PurePosixPath:
    return PurePosixPath(posixpath.normpath(path))


def _leads_outside(tree: Path, link: Link) -> UnsoundError:
    return UnsoundError(
        f"'{tree / link.path}' is a link to '{link.target}', outside the volume; a branch would "
        "write into files that are not its own",
        hint="move what it leads to into the volume that holds the data directory (a tablespace: "
        "ALTER TABLE ... SET TABLESPACE, then DROP TABLESPACE), and take a new snapshot",
    )


def _mapped_links(beneath: Beneath, data: PurePosixPath) -> list[Link]:
    """Tablespaces that only a base backup's tablespace_map knows.

    Recovery would make their links to the parent's directories; we make them ourselves.
    """
    path = data / "tablespace_map"
    if beneath.kind(path) != "file":
        return []
    # OID, space, path; a backslash escapes newlines and itself
    entries = re.findall(
        r"^(\d+) ((?:[^\\\n]|\\[\s\S])+)$", beneath.read_text(path, MAP_LIMIT), re.M
    )
    named = [
        Link(data / "pg_tblspc" / oid, re.sub(r"\\([\s\S])", r"\1", target))
        for oid, target in entries
    ]
    return [link for link in named if not beneath.exists(link.path)]


def _mend_links(beneath: Beneath, layout: _Layout, owner: OsUser) -> Iterator[str]:
    for link, place in layout.inside.items():
        target = posixpath.relpath(place, link.path.parent)
        if link.target != target:
            beneath.symlink(link.path, target, owner)
    for link in layout.dispensable:
        beneath.unlink(link.path, missing_ok=True)
        yield f"{link.path.name} (a link that leads outside the branch)"


# --- files -------------------------------------------------------------------------------------


def _take_out(beneath: Beneath, data: PurePosixPath, owner: OsUser) -> Iterator[str]:
    for name, reason in _REMOVED.items():
        if beneath.unlink(data / name, missing_ok=True) and reason:
            yield f"{name} ({reason})"
    for name, reason in _EMPTIED.items():
        if beneath.kind(data / name) == "directory":
            entries = beneath.remove_tree(data / name)
        else:  # a link, to a RAM disk say: a branch must not share it
            entries = 0
            beneath.unlink(data / name, missing_ok=True)
            beneath.make_directory(data / name, owner)
        if entries and reason:
            yield f"{name} ({entries} taken out: {reason})"


def _settings_inside(beneath: Beneath, data: PurePosixPath) -> tuple[Settings, list[str]]:
    """What the data directory's own two files set, and a sentence for each thing not read."""
    settings: dict[str, str] = {}
    unread: list[str] = []
    for name in (CONF, AUTO_CONF):
        try:
            file = parse(beneath.read_text(data / name, CONF_LIMIT))
        except NotFoundError:  # as on Debian, whose postgresql.conf is in /etc
            continue
        except UnsoundError:
            unread.append(f"{name} (not read: it is no plain file of the data directory)")
            continue
        settings |= file.settings
        unread += [f"{word} {path!r} in {name} (not read)" for word, path in file.includes]
        unread += [
            f"line {line} of {name} (Postgres does not accept it)" for line in file.unreadable
        ]
    return settings, unread


def _open_way(beneath: Beneath, place: PurePosixPath, owner: OsUser) -> None:
    """Let the server's user pass through the directories above; it may do no more there.

    In a production volume they can be 0700 and another user's.
    """
    for above in place.parents if place.parts else ():
        with beneath.directory(above) as descriptor:
            status = os.fstat(descriptor)
            mode = stat.S_IMODE(status.st_mode)
            if status.st_uid == owner.uid:
                passes = mode & stat.S_IXUSR
            elif status.st_gid == owner.gid:
                passes = mode & stat.S_IXGRP
            else:
                passes = mode & stat.S_IXOTH
            if not passes:
                os.fchown(descriptor, -1, owner.gid)
                os.fchmod(descriptor, mode & ~stat.S_IRWXG | stat.S_IXGRP)
