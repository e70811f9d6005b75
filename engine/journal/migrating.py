"""Migrates an older journal file (`python -m engine.journal.migrating FILE`)."""

from __future__ import annotations

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from engine.journal.opening import TOO_NEW

FOLDER = Path(__file__).parent / "migrations"


def configuration(path: Path) -> Config:
    """Alembic's settings for one file."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["path"] = path
    return config


def upgrade(path: Path, revision: str = "head") -> None:
    """Bring the file to `revision`."""
    command.upgrade(configuration(path), revision)


def main() -> int:
    """Exit 0, or TOO_NEW with one message where the file was made by a newer Rulewave."""
    path = Path(sys.argv[1])
    try:
        upgrade(path)
    except CommandError as error:
        sys.stderr.write(f"the database {path} was made by a newer Rulewave: {error}\n")
        return TOO_NEW
    return 0


if __name__ == "__main__":
    sys.exit(main())
