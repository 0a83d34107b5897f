"""The storage scenario in a guest that has OpenZFS, for a machine that has not.

The guest is emulated (TCG), so only the ratios of its times mean anything: see `story`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import machine
from bench.record import Results
from bench.scenarios import Say

_RUN = machine.ROOT / "tests/zfs/guest/run-bench"
_LESS = {"scale": 2, "repeats": 8, "copies": 2, "seconds": 2, "started": 3}
_WRITE_EVERY = 10  # starting a server takes seconds there


def run(options: argparse.Namespace, say: Say) -> Results:
    """With less of everything than elsewhere: emulation is slow."""
    host = machine.describe()
    words = ["storage", "--driver", options.part, "--write-every", str(_WRITE_EVERY)]
    for name, most in _LESS.items():
        words += [f"--{name}", str(min(getattr(options, name), most))]
    words += ["--quick"] if options.quick else []
    with tempfile.TemporaryDirectory(prefix="cowdb-bench-", dir="/var/tmp") as out:
        say("this kernel has no ZFS: in a guest, under emulation")
        subprocess.run([_RUN, sys.executable, out, *words], check=True, stdout=sys.stderr)
        (kept,) = Path(out).glob("*.json")
        results: Results = json.loads(kept.read_text())
    for facts in (results["machine"], results["databases"][0]["machine"]):
        _complete(facts, host)
    results["databases"][0]["emulated"] = True
    return results


def _complete(facts: dict[str, Any], host: dict[str, Any]) -> None:
    """What the guest cannot know: the commit, and what the host was doing."""
    for name in ("git_commit", "git_dirty", "load_average_at_start"):
        facts[name] = host[name]
    facts["load_average_at_end"] = machine.load()
    facts["virtualization"] = "QEMU, emulated (TCG)"
    facts["cpu"] = f"emulated on {host['cpu']}"
