"""What every effect works with: one value that the composing place makes once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cowdb.agent.cgroups import Groups
from cowdb.agent.engines.postgres.controlfile import Control
from cowdb.agent.engines.postgres.sessions import Sessions
from cowdb.agent.engines.postgres.standing import Standing
from cowdb.agent.front.client import FrontClient
from cowdb.agent.processes import Children
from cowdb.agent.secrets import Keyring
from cowdb.agent.steps import Step
from cowdb.agent.storage.protocol import Pool
from cowdb.agent.system import OsUser
from cowdb.config import Config
from cowdb.model import Process

Report = Callable[[str, int | None, int | None], None]
"""(what is being done, how much of it is done, of how much) as an operation goes on."""


@dataclass(frozen=True, slots=True)
class Host:
    """:param pool: the open pool of that id; raises PoolMissingError.
    :param user: the OS user that servers run as.
    :param front: holds the ports of branches that may sleep.
    :param groups: the control groups of branches with limits.
    :param sessions: with servers that were asked a moment ago."""

    config: Config
    pool: Callable[[str], Pool]
    keyring: Keyring
    children: Children
    user: OsUser
    front: FrontClient
    groups: Groups = field(default_factory=Groups)
    sessions: Sessions = field(default_factory=Sessions)

    def settings_file(self, snapshot: str) -> Path:
        """Settings of an attached source as they were at a snapshot; root's alone, since an
        application may keep a secret in a setting of its own."""
        return self.config.state_dir / "snapshots" / f"{snapshot}.conf"


@dataclass(slots=True)
class Attempt:
    """One run of a plan: what its steps are given beside the plan, and what they learn.

    :param secrets: such as the password of a `--dsn`; never journaled.
    :param settings: of the server that is being copied; they may hold secrets, too.
    :param lost_ports: that others have taken from attempts before this one.
    :param standing: of the server whose files are copied, from before that.
    :param resumed: the server that was paused goes on.
    :param stuck: it failed, and could not be taken back.
    :param passed: is told of each step that was done.
    """

    report: Report = lambda what, done, total: None
    secrets: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    lost_ports: frozenset[int] = frozenset()
    timings: dict[str, float] = field(default_factory=dict)
    process: Process | None = None
    control: Control | None = None
    standing: Standing | None = None
    quarantined: list[str] = field(default_factory=list)
    backup: bool = False
    resumed: bool = False
    stuck: bool = False
    passed: Callable[[Step], None] = lambda step: None

    def again(self, lost_ports: frozenset[int]) -> Attempt:
        """Another one at the same, which knows nothing yet."""
        return Attempt(self.report, self.secrets, self.settings, lost_ports)
