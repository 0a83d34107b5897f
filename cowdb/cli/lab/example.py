"""The example that `cowdb lab init` writes: a lab file, and the demo's migrations beside it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from cowdb.demo.script import SQL
from cowdb.errors import ConflictError, CowdbError

TEMPLATE = Path(__file__).parent / "template" / "lab.yaml"
MIGRATIONS = ("v2-strategy-a.sql", "v2-strategy-b.sql", "v2-up.sql", "v2-down.sql")


def write(file: str) -> list[Path]:
    """The files written.

    :raises ConflictError: one of them is there already; nothing is written then."""
    lab = Path(file)
    wanted = {lab: TEMPLATE} | {lab.parent / "migrations" / name: SQL / name for name in MIGRATIONS}
    for path in wanted:
        if path.is_symlink() or path.exists():
            raise ConflictError(f"{path} is there already",
                                hint="name another file, in an empty directory")  # fmt: skip
    made: list[Path] = []
    try:
        for path, origin in wanted.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as stream:
                made.append(path)
                stream.write(origin.read_text(encoding="utf-8"))
    except OSError as error:
        for path in made:
            with contextlib.suppress(OSError):
                path.unlink()
        raise CowdbError(f"cannot write {error.filename}: {error.strerror}") from error
    return made
