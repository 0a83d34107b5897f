"""hostprep's scripts as a user meets them: refusals, the clean room, a whole round of quickstart.

The rounds run in hostprep/clean-room, a fresh minimal Debian 12 with a copy of this checkout.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
HOSTPREP = CHECKOUT / "hostprep"
SCRIPTS = ("quickstart", "test", "clean-room", "openzfs", "vagrant-box", "vagrant-try")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def bash(
    script: str, *prefix: str, timeout: float = 60, cwd: Path = CHECKOUT
) -> subprocess.CompletedProcess[str]:
    """Run a script, with what hostprep/lib.sh defines, behind `prefix` (unshare, setpriv)."""
    return subprocess.run(
        [*prefix, "bash", "-c", f"set -euo pipefail; . '{HOSTPREP}/lib.sh'; {script}"],
        capture_output=True, text=True, timeout=timeout, cwd=cwd, check=False,
    )  # fmt: skip


def clean_room(script: str, timeout: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [HOSTPREP / "clean-room", "--worktree", "bash", "-euc", script],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_needs_nothing_and_an_unknown_option_is_a_usage_error(name: str) -> None:
    helped = subprocess.run([HOSTPREP / name, "--help"], capture_output=True, text=True, check=True)
    assert helped.stdout.startswith(f"usage: {name}")
    refused = subprocess.run(
        [HOSTPREP / name, "--no-such"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "--no-such" in refused.stderr


@pytest.fixture
def readable_copy() -> Iterator[Path]:
    """hostprep where any OS user can read it; a checkout may lie in a private home."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    folder.chmod(0o755)
    shutil.copytree(HOSTPREP, folder / "hostprep")
    yield folder / "hostprep"
    shutil.rmtree(folder)


@needs_root
@pytest.mark.parametrize("name", SCRIPTS)
def test_without_root_it_says_how(name: str, readable_copy: Path) -> None:
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    refused = subprocess.run(
        [*nobody, readable_copy / name], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert "run as root" in refused.stderr
    assert refused.stdout == ""


@pytest.mark.parametrize("path", ["", "/", "/etc", "/opt/cowdb/../..", "/var/cache/cowdb", "cowdb"])
def test_no_folder_of_others_is_removed(path: str) -> None:
    refused = bash(f"rm() {{ echo REMOVED; }}; remove_tree '{path}'")
    assert refused.returncode == 1
    assert "refusing to remove" in refused.stderr
    assert "REMOVED" not in refused.stdout


@needs_root
def test_a_folder_with_a_mount_in_it_is_not_removed() -> None:
    alone = ("unshare", "--mount", "--propagation", "private")
    prepare = "mount -t tmpfs tmpfs /opt; mkdir -p /opt/cowdb/in; touch /opt/cowdb/kept;"
    refused = bash(
        f"{prepare} mount -t tmpfs tmpfs /opt/cowdb/in; (remove_tree /opt/cowdb) || ls /opt/cowdb",
        *alone,
    )
    assert "something is mounted in it" in refused.stderr
    assert refused.stdout.split() == ["in", "kept"]
    removed = bash(f"{prepare} remove_tree /opt/cowdb; ls /opt", *alone)
    assert (removed.returncode, removed.stdout) == (0, "")


def _loops() -> list[str]:
    """Those over a room's own image: loop devices belong to the whole machine."""
    shown = subprocess.run(
        ["losetup", "-ln", "-O", "BACK-FILE"], capture_output=True, text=True, check=True
    ).stdout
    return [line for line in shown.splitlines() if line.split()[:1] == ["/image"]]


@needs_root
@pytest.mark.timeout(600)
def test_a_clean_room_passes_the_status_on_and_leaves_nothing() -> None:
    loops = _loops()
    result = clean_room(
        "truncate -s 200M /image; losetup -f /image; test ! -e /opt/cowdb;"
        " touch /etc/of-the-room; (setsid sleep 987654 &); exit 7",
        timeout=600,
    )
    assert result.returncode == 7, result.stdout
    assert not Path("/etc/of-the-room").exists()
    assert _loops() == loops
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert b"sleep\x00987654\x00" not in lines


# `! command` does not end a script under set -e: hence `absent`.
ROUND = r"""
absent() { if "$@"; then echo "NOT ABSENT: $*"; exit 1; fi; }
servers() { cat /proc/[0-9]*/comm 2>/dev/null | grep -x postgres; }
state() {  # packages, users, and every file but those that apt, dpkg and passwd keep for themselves
  dpkg-query -W
  cut -d: -f1 /etc/passwd /etc/group | sort | grep -vxE 'postgres|ssl-cert'  # Debian keeps these
  find / -xdev '(' -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp \
    -o -path /root -o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/dpkg \
    -o -path /var/log -o -path '/etc/*-' ')' -prune -o -print | sort
}
state >/tmp/before
./hostprep/quickstart --no-demo --size 4G
cowdb status
absent compgen -G '/etc/postgresql/*/*'      # no cluster of Debian's
absent sh -c 'id cowdb-pg | grep -F "(cowdb)"'   # servers may not talk to the agent
cp /run/cowdb/agent.pid /tmp/agent.pid
./hostprep/quickstart --no-demo --size 4G | tee /tmp/second
absent grep -E 'installing|starting|sparse|a daemon' /tmp/second
cmp /run/cowdb/agent.pid /tmp/agent.pid
cowdb source add shop --empty
cowdb branch create try --from shop          # a server that runs while all is taken away
servers
./hostprep/quickstart --undo
absent grep -w btrfs /proc/self/mounts
absent servers
ls /run
absent test -e /run/cowdb
state >/tmp/after
diff /tmp/before /tmp/after
echo ROUND DONE
"""


@needs_root
@pytest.mark.timeout(1200)
def test_quickstart_twice_then_undo_leaves_a_fresh_debian_as_it_was() -> None:
    loops = _loops()
    result = clean_room(ROUND, timeout=1200)
    assert result.returncode == 0, result.stdout
    assert result.stdout.rstrip().endswith("ROUND DONE")
    assert _loops() == loops
