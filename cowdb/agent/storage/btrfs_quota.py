"""Quotas of single subvolumes: how much one may take that it does not share.

Two kinds of accounting can be on for a filesystem. "Simple" (kernel 6.7) notes for each extent
which subvolume allocated it, costs next to nothing however many snapshots there are, and makes the
filesystem unmountable for older kernels. "Full" finds out who shares what at each commit, at a cost
that grows with snapshots. Either one counts what a clone wrote as its own.
"""

from __future__ import annotations

import struct
import uuid
from pathlib import Path

from cowdb.agent.storage.kernel import ioctl

_QUOTA_CTL = 0xC0109428
_ENABLE_SIMPLE = 4
_QGROUP_LIMIT = 0x8030942B
_MAX_EXCLUSIVE = 1 << 1
# struct btrfs_ioctl_qgroup_limit_args: id, flags, then referenced, exclusive, two reservations
_LIMIT = struct.Struct("<6Q")


def is_on(filesystem: bytes) -> bool:
    """Whether the filesystem of that id accounts for subvolumes, in either way."""
    state = Path(f"/sys/fs/btrfs/{uuid.UUID(bytes=filesystem)}/qgroups/enabled")
    try:
        return state.read_text().strip() == "1"
    except FileNotFoundError:
        return False


def is_full(filesystem: bytes) -> bool:
    """Whether it does so in the full way. Before Linux 6.7 there was no other."""
    state = Path(f"/sys/fs/btrfs/{uuid.UUID(bytes=filesystem)}/qgroups/mode")
    try:
        return state.read_text().strip() == "qgroup"
    except FileNotFoundError:
        return is_on(filesystem)


def is_simple_known() -> bool:
    """Whether this kernel can turn simple quotas on."""
    return Path("/sys/fs/btrfs/features/simple_quota").exists()


def turn_on(fd: int) -> None:
    """Simple accounting from now on, for the filesystem that `fd` is on."""
    ioctl(fd, _QUOTA_CTL, bytearray(struct.pack("<2Q", _ENABLE_SIMPLE, 0)))


def limit(fd: int, number: int, size: int) -> None:
    """Let the subvolume of that number take `size` bytes for itself."""
    ioctl(fd, _QGROUP_LIMIT, bytearray(_LIMIT.pack(number, _MAX_EXCLUSIVE, 0, size, 0, 0)))
