"""A page in a file: refused before any work, replaced as a whole."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from cowdb.cli import diff as command
from cowdb.cli.pagefile import PageFile
from cowdb.errors import CowdbError, InvalidError


def test_what_cannot_be_written_is_refused_before_anything_is_compared(tmp_path: Path) -> None:
    """No agent and no server is there: comparing would have failed in another way."""
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for name, said in [
        ("-", "stdout"),
        (f"{tmp_path}", "directory"),
        (f"{tmp_path}/no/such", "No such file or directory"),
        (f"{tmp_path}/file/page.html", "Not a directory"),
        (f"{tmp_path}/pipe", "no regular file"),
        ("/proc/page.html", "/proc/page.html"),
    ]:
        done = CliRunner().invoke(
            command.diff, ["postgresql://nowhere.invalid/a", "postgresql://nowhere.invalid/b",
                           "--html", name],
        )  # fmt: skip
        assert isinstance(done.exception, InvalidError), (name, done.exception)
        assert done.exception.exit_status == 2
        assert said in done.exception.message
        assert done.exception.hint


def test_checking_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    PageFile(str(file))
    assert list(tmp_path.iterdir()) == []
    file.write_text("old")
    PageFile(str(file))
    assert file.read_text() == "old"


def test_a_new_page_has_the_mode_that_the_shell_would_give_it(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        PageFile(str(tmp_path / "page.html")).write("new")
    finally:
        os.umask(old)
    assert mode(tmp_path / "page.html") == 0o640


def test_replacing_keeps_mode_and_link_and_those_who_read_the_old_one(tmp_path: Path) -> None:
    file, link = tmp_path / "page.html", tmp_path / "link.html"
    file.write_text("old")
    file.chmod(0o604)
    link.symlink_to(file)
    with file.open() as reader:
        PageFile(str(link)).write("new\N{SNOWMAN}")
        assert reader.read() == "old"
    assert link.is_symlink()
    assert file.read_text(encoding="utf-8") == "new\N{SNOWMAN}"
    assert mode(file) == 0o604
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.html", "page.html"]


def test_a_full_disk_leaves_the_old_page(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text("old")
    target = PageFile(str(file))
    with at_most(1000), pytest.raises(CowdbError, match=r"page\.html.*File too large"):
        target.write("x" * 100_000)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """Files cannot grow beyond so many bytes; Python ignores the signal that comes with it."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
