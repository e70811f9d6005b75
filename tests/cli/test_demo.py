"""`rulewave demo`: the whole road in one command, as somebody sees it who types it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from engine.cli.demonstration.script import SCENES

_PROGRAM = str(Path(sys.executable).parent / "rulewave")
_FOLDER = re.compile(r"SQLite in (\S+)\. ")


def _environment(folder: Path) -> dict[str, str]:
    """With settings of a real installation around, which must not matter."""
    return {
        **os.environ,
        "TMPDIR": str(folder),
        "COLUMNS": "100",
        "RULEWAVE_MAX_BODY": "nonsense",
        "RULEWAVE_WEBHOOK_SECRET": "a-secret-of-a-real-installation",
    }


def _start(folder: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [_PROGRAM, "demo", *options], env=_environment(folder), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def _read_until(process: subprocess.Popen[str], text: str) -> str:
    """What it printed, up to the line with this text."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line:
            return seen
    raise AssertionError(seen)


def test_the_demo_tells_a_true_story_and_ends_well(tmp_path: Path) -> None:
    process = _start(tmp_path, "--once")
    story, warnings = process.communicate(timeout=60)
    assert process.returncode == 0, story
    assert warnings == ""
    for scene in SCENES:
        assert scene.title in story
    for expected in (
        "user.expires_in_24_hours  signed as panel 1.5.6 does it  →  202 accepted",
        "user.expiration  signed as panel 3.3 does it  →  202 accepted",
        "✓ expires-tomorrow matched: user.email is",
        "– expires-tomorrow not matched: user.email is null",
        "Subject: Example VPN: your subscription ends tomorrow",
        "→  200 duplicate",
        "→  401 signature_wrong",
        "answered 503",
        "PUT /crm/customers/anna_k → 201",
        "passed over by crm-copy: event == 'user.deleted' is false",
        "follow-up of win-back: in 3 days",
        "follow-up of win-back: cancelled by user.modified (user.renewed)",
        "Subject: We miss you, anna_k",
        "follow-up of node-down: cancelled by node.connection_restored",
        "follow-up of node-down: waits for node.connection_restored, gives up in 1 day",
        '"text": "<b>ams-1</b> is back after 20 minutes"',
        "Login from 192.0.2.55 after failed ones. Was it you?",
        "it printed: failed logins of admin from 192.0.2.55",
        "anna_k used torrents on fra-1",
        "The clock rule heartbeat is next due",
        "✓ Everything happened as the rules say.",
    ):
        assert expected in story or expected in " ".join(story.split())
    assert "made-up" not in story, "a credential of the sample events"
    assert "\x1b" not in story, "no colours where there is no terminal"
    assert max(map(len, story.splitlines())) <= 96
    assert list(tmp_path.iterdir()) == [], "nothing stays behind"


def test_the_demo_stays_for_commands_until_ctrl_c(tmp_path: Path) -> None:
    process = _start(tmp_path)
    story = _read_until(process, "Ctrl-C ends it")
    found = _FOLDER.search(story.replace("\n", " "))
    assert found is not None
    environment = Path(found[1]) / "env"
    assert environment.stat().st_mode & 0o077 == 0, "the secret is ours alone"
    commands = (
        f". {shlex.quote(str(environment))} && rulewave followups list && "
        "rulewave send user.expires_in_24_hours --panel 2.4 --set data.email=you@example.org && "
        "rulewave send user.created --set data.username=dora"
    )
    asked = subprocess.run(
        ["bash", "-c", commands], text=True, capture_output=True, timeout=30, check=False
    )
    assert asked.returncode == 0, asked.stderr
    assert "has-ended" in asked.stdout
    later = _read_until(process, "/crm/customers/dora")
    assert "you@example.org" in later, "what arrives is shown"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert not Path(found[1]).exists()


def test_ctrl_c_in_the_middle_of_the_story_ends_it_at_once(tmp_path: Path) -> None:
    process = _start(tmp_path, "--once")
    _read_until(process, "CRM")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert errors == ""
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away_gets_no_traceback(tmp_path: Path) -> None:
    process = _start(tmp_path, "--once")
    _read_until(process, "panel 1.5.6")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=20) == 130
