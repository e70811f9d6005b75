"""Where the daemon and its commands find each other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from engine.addresses import sqlite_path

STATE_ROOT, RUNTIME_ROOT = Path("/var/lib"), Path("/run")


def control_path(database: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The control socket: in the unit's runtime folder, else beside the database."""
    folder = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    return Path(folder or sqlite_path(database).parent) / "control.sock"


def find_control(
    database: str, environ: Mapping[str, str] = os.environ, *, runtime: Path = RUNTIME_ROOT
) -> Path:
    """Where a command finds the daemon; of a unit, /run/NAME belongs to /var/lib/NAME."""
    folder = sqlite_path(database).parent
    if folder.is_relative_to(STATE_ROOT) and not environ.get("RUNTIME_DIRECTORY"):
        of_unit = runtime / folder.relative_to(STATE_ROOT) / "control.sock"
        if of_unit.exists():
            return of_unit
    return control_path(database, environ)
