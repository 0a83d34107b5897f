"""What a copy would do while it replays its WAL, before any link of it can be looked at again.

The record of a CREATE TABLESPACE holds the absolute path of the original. Replaying it makes
directories there, changes their mode, and leads the copy's link back to its parent's files. So a
copy whose WAL still holds such a record is never started.
"""

from __future__ import annotations

import re
from pathlib import Path

from cowdb.agent import system
from cowdb.agent.beneath import Beneath
from cowdb.agent.engines.postgres.binaries import Binaries
from cowdb.agent.engines.postgres.control import SMALL, read_control
from cowdb.agent.engines.postgres.walscan import surely_no_tablespace
from cowdb.agent.system import OsUser
from cowdb.errors import UnsoundError

_CREATED = re.compile(r'^rmgr: Tablespace .*desc: CREATE \d+ "(.*)"$', re.MULTILINE)
_LABEL = re.compile(r"^START WAL LOCATION: ([0-9A-F]+/[0-9A-F]+) ", re.MULTILINE)
_LABEL_TIMELINE = re.compile(r"^START TIMELINE: (\d+)", re.MULTILINE)
_PATIENCE = 3600  # seconds; it reads the WAL that recovery will read as well


def refuse_tablespaces(datadir: Path, binaries: Binaries, user: OsUser) -> None:
    """:raises UnsoundError: replay would create a tablespace where its parent has one."""
    control = read_control(datadir, binaries, user)
    start, timeline = control.redo, str(control.timeline)
    with Beneath(datadir) as directory:
        label = ""
        if directory.exists("backup_label"):
            label = directory.read_text("backup_label", SMALL)
    if found := _LABEL.search(label):
        start = found[1]
        if line := _LABEL_TIMELINE.search(label):
            timeline = line[1]
    elif control.clean or surely_no_tablespace(datadir, control.redo, control.timeline):
        return
    # It ends with an error where the WAL ends, which for a copy of a running server is anywhere.
    shown = system.run(
        [binaries["pg_waldump"], "--rmgr=Tablespace", "--path", datadir / "pg_wal",
         "--timeline", timeline, "--start", start],
        user=user, timeout=_PATIENCE, fine=(0, 1),
    )  # fmt: skip
    if created := _CREATED.search(shown.stdout):
        raise UnsoundError(
            f"a tablespace was created in {created[1]} just before this snapshot; recovering a "
            "copy would touch that directory",
            hint="take the snapshot again with --mode checkpoint",
        )
