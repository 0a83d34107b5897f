"""The one place where the agent is put together, as a daemon or in a root user's own process."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from cowdb.agent import cgroups, recover
from cowdb.agent.api import Api
from cowdb.agent.audit import Audit
from cowdb.agent.background import Background
from cowdb.agent.front.client import FrontClient
from cowdb.agent.host import Host
from cowdb.agent.operations import Claims, Operations
from cowdb.agent.policy import Caller
from cowdb.agent.pools import Pools
from cowdb.agent.processes import Children
from cowdb.agent.reaper import Reaper
from cowdb.agent.refiller import Refiller
from cowdb.agent.secrets import KEY_FILE, Keyring
from cowdb.agent.service import settling
from cowdb.agent.service.context import Context
from cowdb.agent.store import Store
from cowdb.agent.system import user_named
from cowdb.config import Config
from cowdb.errors import BusyError, NotPermittedError

Kind = Literal["daemon", "in-process"]
_LOCK_PATIENCE = 5.0  # seconds that one waits for another


class JsonLines(logging.Formatter):
    """One JSON object for each line of the log, with the operation's id where there is one."""

    FIELDS = ("operation", "kind", "target", "caller", "reason")

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name in self.FIELDS if (value := getattr(record, name, None))}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_to_stderr(level: int) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler])


@contextlib.contextmanager
def agent(config: Config, kind: Kind, patience: float = _LOCK_PATIENCE) -> Iterator[Api]:
    """The whole agent, recovered and at work; everything is closed on the way out, and the
    servers go on.

    :param patience: seconds to wait for another agent to leave this host.
    :raises NotPermittedError: the caller is not root.
    :raises BusyError: another agent has this host.
    """
    if os.geteuid() != 0:
        raise NotPermittedError(
            "no agent is running, and only root can do its work without one",
            hint="start it: cowdb agent serve (as root)",
        )
    _directories(config)
    with _only_one(config.state_dir / "agent.lock", patience):
        yield from _running(config, kind)


def _running(config: Config, kind: Kind) -> Iterator[Api]:
    store, audit = Store(config.store), Audit(config.log_dir / "audit.jsonl")
    pools, children = Pools(store, config.min_free_bytes), Children()
    background, finishing = Background("background"), Background("finishing")
    user = user_named(config.server_user)
    host = Host(
        config=config,
        pool=pools.get,
        keyring=Keyring(config.state_dir / KEY_FILE),
        children=children,
        user=user,
        front=FrontClient(config, user, children),
        groups=cgroups.find(config.cgroup),
    )
    context = Context(
        store=store,
        host=host,
        pools=pools,
        operations=Operations(store, host),
        claims=Claims(),
        now=lambda: datetime.now(UTC),
        in_background=background.put if kind == "daemon" else lambda task: task(),
        soon=finishing.put if kind == "daemon" else lambda task: task(),
    )
    api = Api(context, audit, kind)
    rounds = (api.branches.expire, api.sources.expire_loaders, children.reap)
    reaper = Reaper(rounds, config.reap_interval)
    refiller = Refiller(api.spares.tidy, api.spares.refill, context.spares_due,
                        lambda: context.operations.busy)  # fmt: skip
    try:
        recover.recover(context)
        api.spares.tidy()
        if kind == "daemon":
            finishing.start()
            refiller.start()
            background.start()
            background.put(lambda: settling.all_left(context))
            reaper.start()
            api.sleep.start()
        else:
            for task in rounds:
                task()
        yield api
    finally:
        api.sleep.stop()
        if kind == "daemon":
            reaper.stop()
            refiller.stop()
            background.stop()
            finishing.stop(drain=True)
        host.sessions.close()
        children.release()
        audit.close()
        store.close()


def _directories(config: Config) -> None:
    """The state directory can be passed through, since servers work beneath it, but not read."""
    for path, mode in (
        (config.state_dir, 0o711),
        (config.run_dir, 0o755),
        (config.log_dir, 0o750),
        (config.state_dir / "servers", 0o711),
        (config.run_dir / "servers", 0o711),
        (config.state_dir / "snapshots", 0o700),
        (config.state_dir / "sources", 0o700),
    ):
        path.mkdir(parents=True, exist_ok=True, mode=mode)
        path.chmod(mode)


@contextlib.contextmanager
def _only_one(path: Path, patience: float) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BusyError(
                        "another agent, or another root user's command, is at work on this host",
                        hint="wait for it, or talk to the agent through its socket",
                    ) from None
                time.sleep(0.02)  # flock has no timeout of its own
        yield
    finally:
        os.close(handle)


def caller_here() -> Caller:
    """The user of this process, for requests that never crossed a socket."""
    return Caller(os.getuid(), os.getpid())


def to_json(value: object) -> bytes:
    return msgspec.json.encode(value)


def serve(config: Config, level: int) -> None:
    """The daemon, until a signal ends it."""
    from cowdb.agent.http.app import App
    from cowdb.agent.http.server import serve as serve_http

    log_to_stderr(level)
    with agent(config, "daemon") as api:
        serve_http(App(api), config.socket, config.group)
