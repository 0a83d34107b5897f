"""System calls that Python lacks, and the kernel's refusals in cowdb's words.

Every call here gives up the interpreter lock while the kernel works: a btrfs snapshot may wait
seconds for unwritten data, and btrfsutil and `fcntl.ioctl` with a large buffer would stop all
other threads of the agent for that long.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
from collections.abc import Iterator

from cowdb.errors import PoolFullError, StorageError

_WRITE_AND_WAIT = 7  # SYNC_FILE_RANGE_WAIT_BEFORE | _WRITE | _WAIT_AFTER
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ioctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)


def _raise() -> None:
    code = ctypes.get_errno()
    raise OSError(code, os.strerror(code))


def ioctl(fd: int, request: int, argument: bytearray | int) -> None:
    """Call ioctl(2); a bytearray is passed by address and may be changed. Raises OSError."""
    if isinstance(argument, int):
        failed = _libc.ioctl(fd, request, argument)
    else:
        buffer = (ctypes.c_char * len(argument)).from_buffer(argument)
        failed = _libc.ioctl(fd, request, ctypes.addressof(buffer))
    if failed:
        _raise()


def syncfs(fd: int) -> None:
    """Write out the whole filesystem that `fd` is on; raises OSError also when data was lost."""
    if _libc.syncfs(fd):
        _raise()


def write_back(fd: int) -> None:
    """Have the pages of one file written, without a flush of the disk: sync_file_range(2)."""
    if _libc.sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(0), _WRITE_AND_WAIT):
        _raise()


def open_by_handle(mount: int, kind: int, handle: bytes) -> int:
    """Open what a filesystem knows by a number, without any path; raises OSError.

    :param mount: a descriptor anywhere on the filesystem.
    :param kind: the type of the handle; both are as name_to_handle_at(2) would give them.
    """
    packed = struct.pack(f"=Ii{len(handle)}s", len(handle), kind, handle)
    fd: int = _libc.open_by_handle_at(mount, packed, os.O_RDONLY)
    if fd < 0:
        _raise()
    return fd


def storage_error(what: str, error: OSError) -> StorageError:
    """The StorageError for a native error; the caller chains it.

    :param what: what failed on which object, as the beginning of the message.
    """
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno == errno.EDQUOT:
        return PoolFullError(
            f"{what}: a quota on the pool is used up", hint="raise the quota, or remove branches"
        )
    if error.errno == errno.ENOSPC:
        return PoolFullError(
            f"{what}: the pool is full", hint="remove branches or snapshots, or enlarge the pool"
        )
    if error.errno == errno.EROFS:
        return StorageError(
            f"{what}: the pool's filesystem is read-only",
            hint="look for the reason in `dmesg`, then remount it read-write",
        )
    if error.errno in {errno.ENOTTY, errno.EOPNOTSUPP}:
        return StorageError(
            f"{what}: this filesystem or kernel cannot do it ({reason})", hint="cowdb doctor"
        )
    return StorageError(f"{what}: {reason}")


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn an OSError of the block into the StorageError that `storage_error` chooses."""
    try:
        yield
    except OSError as error:
        raise storage_error(what, error) from error
