"""Where the daemon and its commands find each other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from engine.addresses import sqlite_path


def control_path(database: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The control socket: in the unit's runtime folder, else beside the database."""
    folder = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    return Path(folder or sqlite_path(database).parent) / "control.sock"
