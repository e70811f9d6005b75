"""docs/how-to/back-up.md and rotate-a-secret.md: the units, and when a new secret is in use."""

from __future__ import annotations

import shlex
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from cli.commands import Place, command
from daemon.in_process import Running, Site, body, daemon
from docs.fenced import ROOT, all_blocks
from http_servers import http_server
from service.units import verify

from engine.journal.opening import prepare

_ROTATE = ROOT / "docs" / "how-to" / "rotate-a-secret.md"
_RULES = """
version: 1
connections:
  crm: {{kind: http, url: "{url}", auth: {{bearer: "secret('crm_token')"}}}}
rules:
  - {{id: copy, on: user.created, do: [{{http: {{connection: crm, post: /x, json: user}}}}]}}
"""


def _units() -> dict[str, str]:
    return {block.info[1]: block.text for block in all_blocks("systemd")}


def test_systemd_takes_the_units_of_the_nightly_backup(tmp_path: Path) -> None:
    for name, text in _units().items():
        # What is at hand here in place of what is installed there.
        (tmp_path / name).write_text(text.replace("/usr/local/bin/rulewave", str(command()[0])))
    assert verify(*(str(tmp_path / name) for name in _units())) == (0, "")


def test_the_command_of_the_nightly_backup_makes_one_copy_for_each_day_of_the_week(
    tmp_path: Path,
) -> None:
    (line, _) = (
        found.removeprefix("ExecStart=")
        for found in _units()["rulewave-backup.service"].splitlines()
        if found.startswith("ExecStart=")
    )
    line = line.replace("%%", "%").replace("$$", "$")
    line = line.replace("/usr/local/bin/rulewave", str(command()[0]))
    words = shlex.split(line.replace("/var/backups/rulewave", str(tmp_path)))
    prepare(tmp_path / "rw.db")
    for _ in range(2):
        subprocess.run(words, env=Place(tmp_path).environ, capture_output=True, check=True)
    (copy,) = tmp_path.glob("journal-[1-7].db")
    with closing(sqlite3.connect(copy)) as opened:
        assert opened.execute("select count(*) from events").fetchone() == (0,)


@pytest.mark.anyio
async def test_a_secret_in_a_file_is_in_use_after_a_reload(tmp_path: Path) -> None:
    secret = tmp_path / "secrets" / "crm_token"
    secret.parent.mkdir()
    secret.write_text("the-old-one")
    async with (
        http_server() as server,
        daemon(Site(tmp_path, _RULES.format(url=server.url))) as running,
    ):
        await _copied(running, "anna", 1)
        secret.write_text("the-new-one")
        await _copied(running, "boris", 2)
        await running.engine.reloader.reload()
        await _copied(running, "clara", 3)
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer the-old-one", "Bearer the-old-one", "Bearer the-new-one"]
    assert "| after `rulewave reload` |" in _ROTATE.read_text("utf-8")


async def _copied(running: Running, username: str, number: int) -> None:
    assert await running.post(body(username)) == 202
    await running.until("/metrics", f'rulewave_runs{{state="succeeded"}} {number}.0')
