"""An installation as most have it, and systemd's own judgement of its units."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from engine.cli.units import Installation

INSTALLED = Installation(
    command=(str(Path(sys.executable).with_name("rulewave")),),
    program_folders=(Path("/opt/rulewave"),),
    rules=Path("/etc/rulewave/rules.yaml"),
    database=Path("/var/lib/rulewave/rulewave.db"),
    secrets_dir=Path("/etc/rulewave/secrets"),
    secrets=("webhook_secret", "smtp_password"),
    listen="127.0.0.1:8787",
    console_listen="127.0.0.1:8788",
)
_SCORE = re.compile(r"exposure level for \S+: ([\d.]+)")


def written(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Write the files; their paths."""
    for name, text in files.items():
        (folder / name).write_text(text)
    return [str(folder / name) for name in files]


def verify(*files: str) -> tuple[int, str]:
    """Exit code of `systemd-analyze verify`, and all that it has to say."""
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def score(service: str) -> str:
    """How exposed a service is: from 0.0 to 10.0."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", service],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: str = _SCORE.findall(done.stdout)[0]
    return found
