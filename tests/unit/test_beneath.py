"""The directory handle that is never left, whatever is planted in the directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

from cowdb.agent.beneath import Beneath, Link, links
from cowdb.agent.system import user_of
from cowdb.errors import NotFoundError, UnsoundError

ME = user_of(os.geteuid())


@pytest.fixture
def beneath(tmp_path: Path) -> Iterator[Beneath]:
    (tmp_path / "root/sub").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("secret")
    (tmp_path / "root/file").write_text("text")
    (tmp_path / "root/dirlink").symlink_to("../outside")
    (tmp_path / "root/filelink").symlink_to("../outside/file")
    os.mkfifo(tmp_path / "root/fifo")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Beneath(tmp_path / "root") as handle:
        yield handle
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_reading_refuses_all_but_a_regular_file(beneath: Beneath) -> None:
    assert beneath.read_text("file", 4) == "text"
    for path in ("filelink", "dirlink/file", "dirlink", "fifo", "sub"):
        with pytest.raises(UnsoundError):
            beneath.read_text(path, 100)
    with pytest.raises(UnsoundError, match="longer than 3 bytes"):
        beneath.read_text("file", 3)
    with pytest.raises(NotFoundError):
        beneath.read_text("missing", 100)


@pytest.mark.parametrize("path", ["../outside/file", "sub/../../outside/file", "/etc/passwd"])
def test_no_path_climbs_out(beneath: Beneath, path: str) -> None:
    with pytest.raises(ValueError, match="beneath"):
        beneath.read_text(path, 100)


def test_nothing_is_changed_beyond_a_link(beneath: Beneath) -> None:
    actions: list[Callable[[], object]] = [
        lambda: beneath.write_text("dirlink/new", "x", ME, 0o600),
        lambda: beneath.unlink("dirlink/file"),
        lambda: beneath.symlink("dirlink/new", "x", ME),
        lambda: beneath.make_directory("dirlink/new", ME),
        lambda: beneath.remove_tree("dirlink"),
        lambda: beneath.names("dirlink"),
        lambda: beneath.readlink("dirlink/file"),
        lambda: beneath.kind("dirlink/file"),
    ]
    for action in actions:
        with pytest.raises(UnsoundError):
            action()
    outside = beneath.root.parent / "outside"
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert (outside / "file").read_text() == "secret"


def test_kinds_and_replacement(beneath: Beneath) -> None:
    kinds = {name: beneath.kind(name) for name in beneath.names()}
    assert kinds == {
        "dirlink": "link",
        "fifo": "other",
        "file": "file",
        "filelink": "link",
        "sub": "directory",
    }
    assert beneath.kind("nothing/here") is None
    beneath.symlink("file", "sub", ME)
    assert beneath.readlink("file") == "sub"
    with pytest.raises(UnsoundError, match="is a directory"):
        beneath.write_text("sub", "x", ME, 0o600)
    assert len(beneath.names()) == 5  # no temporary file is left
    assert beneath.unlink("nothing", missing_ok=True) is False
    with pytest.raises(NotFoundError):
        beneath.unlink("nothing")


def test_the_root_itself_is_no_link(beneath: Beneath) -> None:
    with pytest.raises(UnsoundError), Beneath(beneath.root / "dirlink"):
        pass
    with pytest.raises(NotFoundError), Beneath(beneath.root / "missing"):
        pass


def test_links_are_listed_and_not_followed(beneath: Beneath) -> None:
    (beneath.root / "sub/up").symlink_to("..")
    assert sorted(links(beneath, "."), key=str) == [
        Link(PurePosixPath("dirlink"), "../outside"),
        Link(PurePosixPath("filelink"), "../outside/file"),
        Link(PurePosixPath("sub/up"), ".."),
    ]
