"""What docs/how-to/systemd.md says about units holds for the units that we write."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from cli.commands import Place
from docs.fenced import ROOT, Block, all_blocks
from journeys.harness.waiting import until
from service.manager import mailbox, newest, serving, stop
from service.units import INSTALLED, score, verify, written

from engine.cli.units import INTAKE, OTHER_SETTINGS, SERVICE, render

_PAGE = ROOT / "docs" / "how-to" / "systemd.md"
_USER_RULES = """version: 1
rules:
  - id: shows
    on: user.created
    do:
      - {id: who, shell: {user: nobody, run: [sh, -c, "id -u; grep CapEff /proc/self/status"]}}
"""


@pytest.mark.parametrize("block", all_blocks("ini"), ids=str)
def test_a_drop_in_of_the_documents_fits_the_units(block: Block, tmp_path: Path) -> None:
    unit = INTAKE if "socket" in block.info else SERVICE
    (tmp_path / f"{unit}.d").mkdir()
    (tmp_path / f"{unit}.d" / "override.conf").write_text(block.text)
    assert verify(*written(tmp_path, render(INSTALLED))) == (0, "")


def test_the_score_is_the_one_that_the_page_tells(tmp_path: Path) -> None:
    shown = re.search(r"security rulewave` says ([\d.]+)", _PAGE.read_text())
    service, *_ = written(tmp_path, render(INSTALLED))
    assert shown
    assert shown[1] == score(service)


def test_the_file_of_other_settings_is_the_one_that_the_unit_reads() -> None:
    assert f"`{OTHER_SETTINGS}`" in _PAGE.read_text()


def test_the_status_line_is_the_one_that_the_page_shows(tmp_path: Path) -> None:
    shown = re.search(r'Status: "(.*)"', _PAGE.read_text())
    place = Place(tmp_path)
    with mailbox(tmp_path) as manager, serving(place, NOTIFY_SOCKET=manager.address) as daemon:
        manager.until("READY=1")
        status = manager.until("STATUS=").removeprefix("STATUS=")
        stop(daemon)
    assert shown
    assert re.sub(r"\d+", "0", status) == re.sub(r"\d+", "0", shown[1])


def test_with_the_rights_of_the_drop_in_a_program_runs_as_its_user_and_has_none(
    tmp_path: Path,
) -> None:
    (block,) = (found for found in all_blocks("ini") if "user" in found.info)
    rights = re.findall(r"CAP_(\w+)", block.text)
    bounded = ",".join(["-all", *(f"+{name.lower()}" for name in rights)])
    confined = ("setpriv", "--no-new-privs", f"--bounding-set={bounded}")
    if os.geteuid() != 0:  # only root has rights to give away
        assert subprocess.run([*confined, "true"], check=False).returncode != 0
        return
    place = Place(tmp_path)
    (tmp_path / "rules.yaml").write_text(_USER_RULES)
    with (
        mailbox(tmp_path) as manager,
        serving(place, *confined, NOTIFY_SOCKET=manager.address) as daemon,
    ):
        manager.until("READY=1")
        place.more["RULEWAVE_LISTEN"] = newest(place, "daemon.ready")["intake"]
        assert place.call("send", "user.created").code == 0
        ended = ("runs", "list", "--state", "succeeded", "--json")
        until(lambda: place.call(*ended).json, "the program's end")
        (run,) = place.call(*ended).json
        (result,) = place.call("runs", "show", run["id"], "--json").json["results"].values()
        stop(daemon)
    assert result["stdout"].split() == ["65534", "CapEff:", "0000000000000000"]
