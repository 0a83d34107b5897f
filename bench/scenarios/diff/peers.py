"""How others find the rows that differ: reladiff, EXCEPT both ways; and how long it takes only to
count all rows, which says nothing of what is in them.

reladiff is installed from PyPI into a virtual environment of its own, kept under ~/.cache for the
next run: its dependencies are nobody else's. It runs as its documentation advises for speed, and
with that of a few ways to split the table that was the fastest on the smallest one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

VERSION = "0.6.0"
RELADIFF, EXCEPT, COUNT = "reladiff", "EXCEPT both ways", "count(*) of both"
ALL = (RELADIFF, EXCEPT, COUNT)
# (segments, and rows below which it downloads); the first is its default.
SPLITS = ((32, 16384), (128, 1024), (256, 16384))
THREADS = 4
EXCEPT_SETTINGS = {
    "work_mem": "4GB", "hash_mem_multiplier": "2", "jit": "off",
    "max_parallel_workers_per_gather": "2",
}  # fmt: skip
_TIMED = Path(__file__).with_name("timed.py")
_BOTH = """
SELECT (SELECT count(*) FROM (SELECT * FROM items EXCEPT SELECT * FROM other) a)
    + (SELECT count(*) FROM (SELECT * FROM other EXCEPT SELECT * FROM items) b)
"""


@dataclass(frozen=True)
class Run:
    """A program that has ended. :param ms: from start to end. :param peak: bytes of memory."""

    ms: float
    peak: int
    status: int
    out: str
    error: str


def timed(words: Sequence[str | Path], environment: dict[str, str]) -> Run:
    """Run a program to its end; everything that it started ends with an interrupted run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open(folder / "out", "w+") as out, open(folder / "error", "w+") as error:
            process = subprocess.Popen(
                [sys.executable, "-S", "-E", _TIMED, folder / "result", *words], text=True,
                stdin=subprocess.DEVNULL, stdout=out, stderr=error, env=environment,
                start_new_session=True,
            )  # fmt: skip
            try:
                process.wait()
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            out.seek(0)
            error.seek(0)
            found = json.loads((folder / "result").read_text())
            return Run(found["ms"], found["peak"], found["status"], out.read(), error.read())


def without_passwords(dsns: Sequence[str], folder: Path) -> tuple[list[str], dict[str, str]]:
    """The same addresses for an argument list, and the environment that has the passwords."""
    lines, plain = [], []
    for dsn in dsns:
        parts = urlsplit(dsn)
        lines.append(f"{parts.hostname}:{parts.port}:*:{parts.username}:{parts.password}\n")
        plain.append(f"postgresql://{parts.username}@{parts.hostname}:{parts.port}{parts.path}")
    passfile = folder / "pgpass"
    passfile.touch(mode=0o600)
    passfile.write_text("".join(lines))
    return plain, {"PGPASSFILE": str(passfile)}


def install_reladiff() -> Path:
    """Its program, installed on first use.

    :raises CalledProcessError: PyPI cannot be reached.
    """
    if given := os.environ.get("COWDB_BENCH_RELADIFF"):
        return Path(given)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = cache / f"cowdb-bench/reladiff-{VERSION}-py{sys.version_info[0]}{sys.version_info[1]}"
    program = home / "bin/reladiff"
    if not program.exists():
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([home / "bin/python", "-m", "pip", "install", "-q",
                        f"reladiff[postgresql]=={VERSION}"], check=True,
                       capture_output=True, text=True)  # fmt: skip
    return program


def reladiff(
    program: Path, dsns: Sequence[str], split: tuple[int, int], expected: int, folder: Path
) -> tuple[Run, int]:
    """The run, and how many of the rows it found.

    :param expected: how many rows differ; it prints the old and the new of each.
    :raises RuntimeError: it failed, or found what does not differ. What it misses is its caller's
        to tell: with short segments it now and then prints fewer than there are."""
    plain, passwords = without_passwords(dsns, folder)
    segments, threshold = split
    done = timed(
        [program, plain[0], "items", plain[1], "items", "-k", "id", "-c", "%", "--json",
         "-a", "hashdiff", "-j", str(THREADS), "--bisection-factor", str(segments),
         "--bisection-threshold", str(threshold), "--assume-unique-key", "--skip-sort-results"],
        {**os.environ, **passwords},
    )  # fmt: skip
    keys = _keys(done.out)
    if done.status or len(keys) > expected:
        raise RuntimeError(f"reladiff found {len(keys)} of {expected}: {done.error[-500:]}")
    return done, len(keys)


def _keys(out: str) -> set[str]:
    """Its lines of JSON are folded at 80 columns where it does not write to a terminal."""
    decoder, keys, text = json.JSONDecoder(strict=False), set(), out.strip()
    place = 0
    while place < len(text):
        (_, row), place = decoder.raw_decode(text, place)
        keys.add(row[0])
        while place < len(text) and text[place].isspace():
            place += 1
    return keys


def except_both_ways(dsn: str, expected: int) -> float:
    """Milliseconds; of two tables in one database, which is what EXCEPT needs."""
    with psycopg.connect(dsn, autocommit=True) as db:
        for name, value in EXCEPT_SETTINGS.items():
            db.execute("select set_config(%s, %s, false)", (name, value))
        begun = time.perf_counter()
        row = db.execute(_BOTH.encode()).fetchone()
        took = (time.perf_counter() - begun) * 1000
    if row != (2 * expected,):
        raise RuntimeError(f"EXCEPT found {row} and not {2 * expected}")
    return took


def count_both(dsns: Sequence[str], expected: int) -> float:
    """Milliseconds; both at once."""
    found: list[object] = []

    def count(dsn: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as db:
            found.append(db.execute("select count(*) from items").fetchone())

    begun = time.perf_counter()
    threads = [threading.Thread(target=count, args=(dsn,)) for dsn in dsns]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if found != [(expected,)] * 2:
        raise RuntimeError(f"counted {found} and not {expected}")
    return (time.perf_counter() - begun) * 1000
