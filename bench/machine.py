"""The machine that the figures come from, as far as it explains them; nothing that names it."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

import cowdb

ROOT = Path(__file__).resolve().parent.parent


def describe() -> dict[str, Any]:
    """Taken before anything runs, so that the load is that of others."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "virtualization": _said("systemd-detect-virt", "--vm") or "unknown",
        "os": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "cowdb": cowdb.__version__,
        "git_commit": _said("git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD") or "unknown",
        "git_dirty": bool(_said("git", "-C", str(ROOT), "status", "--porcelain", "--", "cowdb")),
        "load_average_at_start": load(),
    }


def load() -> list[float]:
    """Load averages of 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def filesystem(place: Path) -> str:
    """How the filesystem at a path is made, down to what a loop file lies on."""
    words = _said("findmnt", "--noheadings", "--output", "FSTYPE,OPTIONS,SOURCE", "--target",
                  str(place)).split()  # fmt: skip
    if len(words) < 3:
        return "unknown"
    kind, options, device = words[:3]
    options = ",".join(item for item in options.split(",") if not item.startswith("subvol"))
    if not device.startswith("/dev/loop"):
        return f"{kind} ({options})"
    image = _said("losetup", "--noheadings", "--output", "BACK-FILE", device.partition("[")[0])
    below = _said("stat", "--file-system", "--format", "%T", str(Path(image).parent))
    return f"{kind} ({options}) on a loop file on {below.replace('ext2/ext3', 'ext4')}"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _said(*words: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=20)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()
