"""The plugin for coding assistants, as a folder that can be written wherever one wants it."""

from __future__ import annotations

import shutil
from pathlib import Path

from cowdb.errors import ConflictError, CowdbError

PLUGIN = Path(__file__).parent / "plugin"


def write(directory: Path) -> list[Path]:
    """The files written. :raises ConflictError: there is such a directory already."""
    try:
        shutil.copytree(PLUGIN, directory, ignore=shutil.ignore_patterns("__pycache__"))
    except FileExistsError:
        raise ConflictError(f"{directory} is there already", hint="name another one") from None
    except (OSError, shutil.Error) as error:
        raise CowdbError(f"the plugin cannot be written to {directory}: {error}") from error
    return sorted(path for path in directory.rglob("*") if path.is_file())
