"""What one caller may have: how many branches, and how much each of them may use."""

from __future__ import annotations

from cowdb.agent.host import Host
from cowdb.agent.policy import Caller
from cowdb.agent.requests import CreateBranch
from cowdb.agent.storage.protocol import LimitsDisk, Pool
from cowdb.agent.store import Transaction
from cowdb.config import Config
from cowdb.errors import LimitsUnavailableError, NotPermittedError, TooManyError
from cowdb.model import Limits
from cowdb.units import size_text

_OWNED = "json_extract(doc, '$.owner_uid') = ? and json_extract(doc, '$.hidden') = ?"


def require_share(tx: Transaction, host: Host, caller: Caller, *, hidden: bool) -> None:
    """Root has no limit. Hidden branches are counted by themselves, up to the same number: who has
    as many as allowed can still compare them, and nobody gets around the limit by hiding.

    :raises TooManyError: the caller has as many as one user may have.
    """
    most = host.config.branches_per_user
    if caller.is_root or not most:
        return
    if tx.branches.count(_OWNED, caller.uid, int(hidden)) < most:
        return
    if hidden:
        raise TooManyError(
            f"{most} sides of comparisons are at work for user {caller.name!r}, the most that one "
            "user may have (branches_per_user)",
            hint="wait until they are done",
        )
    branches = "branch" if most == 1 else "branches"
    raise TooManyError(
        f"user {caller.name!r} has {most} {branches}, the most that one user may have "
        "(branches_per_user)",
        hint="cowdb branch rm NAME, or root raises branches_per_user in /etc/cowdb/config.toml",
    )


def limits_of(host: Host, pool: str, request: CreateBranch, caller: Caller) -> Limits:
    """What was asked for, or what the host gives by default as far as it can hold a branch to it.

    :param pool: where the branch will be.
    :raises LimitsUnavailableError: it was asked for and cannot be had.
    :raises NotPermittedError: it is more than the host gives to anybody but root.
    """
    config, groups = host.config, host.groups
    wanted = Limits(memory=request.memory_bytes, cpus=request.cpus, disk=request.disk_bytes)
    _refuse_more(wanted, caller, config)
    groups.require(wanted)
    memory = config.branch_memory if "memory" in groups.controllers else None
    cpus = config.branch_cpus if "cpu" in groups.controllers else None
    disk = wanted.disk or config.branch_disk
    if disk is not None and (reason := refuses_disk_limits(host.pool(pool))):
        if wanted.disk is not None:
            raise LimitsUnavailableError(
                f"this pool cannot limit the disk of a branch: {reason}", hint="leave --disk out"
            )
        disk = None
    return Limits(memory=wanted.memory or memory, cpus=wanted.cpus or cpus, disk=disk)


def refuses_disk_limits(pool: Pool) -> str:
    """Why a branch's disk cannot be limited in this pool; empty where it can."""
    if not isinstance(pool, LimitsDisk):
        return f"the {pool.driver} driver has no quotas for what a clone has for itself"
    return pool.refuses_limits()


def _refuse_more(wanted: Limits, caller: Caller, config: Config) -> None:
    most = {
        "memory": (wanted.memory, config.branch_memory, size_text(config.branch_memory)),
        "cpus": (wanted.cpus, config.branch_cpus, f"{config.branch_cpus}"),
        "disk": (wanted.disk, config.branch_disk, size_text(config.branch_disk)),
    }
    for name, (asked, given, text) in most.items():
        if not caller.is_root and asked is not None and given is not None and asked > given:
            raise NotPermittedError(
                f"a branch of user {caller.name!r} may have {text} of {name} at most "
                f"(branch_{name} in /etc/cowdb/config.toml)",
                hint=f"ask for less, or leave --{name} out",
            )
