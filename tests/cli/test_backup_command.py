"""`backup` and `restore` as people call them, with a daemon and after one was killed."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from cli.commands import PATIENCE, Daemon, Place, command, serving
from journeys.harness.waiting import until

_SOON = """version: 1
rules:
  - id: greet
    on: user.created
    do:
      - {after: 3s, do: [{id: later, log: {text: "later {{ user.key }}"}}]}
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A journal with one event and its follow-up; no daemon."""
    with serving(tmp_path) as daemon:
        daemon.send("user.created", "data.username=anna")
        daemon.wait_for("run.step", state="succeeded")
    return Place(tmp_path)


def _kill(daemon: Daemon) -> None:
    """Kill -9; `serving` is told that it has seen its end."""
    daemon.process.send_signal(signal.SIGKILL)
    assert daemon.process.wait(PATIENCE) == -signal.SIGKILL
    daemon.process.returncode = 0


def _delivered(place: Place) -> set[str]:
    """The ids of events that a panel sent; that the daemon started is one of its own."""
    rows = place.call("events", "list", "--json").json
    return {row["id"] for row in rows if row["source"] == "remnawave"}


def test_a_backup_beside_a_running_daemon_tells_what_it_holds(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        daemon.send("user.created")
        daemon.wait_for("run.step", state="succeeded")
        done = daemon.call("backup", "copy.db")
        assert daemon.call("events", "list").code == 0
    assert (done.code, done.err) == (0, "")
    told = dict(line.split("  ", 1) for line in done.out.splitlines())
    newest = told.pop("newest event").strip()
    assert newest.endswith("Z")
    assert {name: value.strip() for name, value in told.items()} == {
        "backup": "copy.db", "events": "2", "runs": "2", "followups to come": "1",
    }  # fmt: skip


def test_a_backup_tells_the_same_to_programs(place: Place) -> None:
    told = place.call("backup", "copy.db", "--json").json
    assert told.pop("newest_event")
    assert told == {"backup": "copy.db", "events": 2, "runs": 2, "followups_to_come": 1}


def test_what_was_acknowledged_before_a_kill_is_in_a_backup_made_after_it(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        sent = {daemon.send("user.created", f"data.username=u{number}") for number in range(5)}
        _kill(daemon)
        assert daemon.call("backup", "copy.db").code == 0
    place = Place(tmp_path, {"RULEWAVE_DATABASE": f"sqlite:///{tmp_path / 'copy.db'}"})
    assert _delivered(place) == sent


def test_a_backup_into_a_folder_that_cannot_be_written_is_refused_in_words(place: Place) -> None:
    folder = place.folder / "closed"
    folder.mkdir(mode=0o500)
    # Root minds no rights of files, unless it gives that power away.
    confined = ["setpriv", "--bounding-set=-all"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*confined, *command("backup", str(folder / "copy.db"))],
        env=place.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{folder}")
    assert done.stderr.endswith(" can't be opened: Permission denied\n")


def test_a_backup_onto_a_full_disk_leaves_nothing_there(place: Place) -> None:
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 64; exec "$@"', "sh", *command("backup", "copy.db")],
        env=place.environ, cwd=place.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert "rw.db can't be copied to ." in done.stderr
    assert [entry.name for entry in place.folder.iterdir() if "copy" in entry.name] == []


def test_nothing_is_restored_while_the_daemon_runs(place: Place) -> None:
    assert place.call("backup", "copy.db").code == 0
    with serving(place.folder) as daemon:
        done = daemon.call("restore", "copy.db")
        assert daemon.call("events", "list").code == 0
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith(
        "is locked: another rulewave is using this database; stop it, then restore\n"
    )


def test_a_restore_says_where_the_present_journal_went_and_what_to_do_next(place: Place) -> None:
    assert place.call("backup", "copy.db").code == 0
    done = place.call("restore", "copy.db")
    assert done.code == 0
    (aside,) = place.folder.glob("rw.db.before-restore-*")
    assert f"kept aside         {aside}\n" in done.out
    assert "\nNext: `rulewave followups list` shows what is still to come." in done.out
    told = place.call("restore", "copy.db", "--database", "sqlite:///new.db", "--json").json
    assert (told["restored"], told["kept_aside"]) == ("new.db", None)


def test_a_restored_journal_goes_on_and_what_was_due_in_between_runs(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with serving(tmp_path, _SOON) as daemon:
        daemon.send("user.created", "data.username=anna")
        until(lambda: daemon.call("followups", "list", "--json").json, "the follow-up")
        assert daemon.call("backup", "copy.db").code == 0
        daemon.send("user.created", "data.username=boris")
        daemon.wait_for("action.log", text="later anna")
        _kill(daemon)
    assert place.call("restore", "copy.db").code == 0
    with serving(tmp_path, _SOON) as daemon:
        daemon.wait_for("action.log", text="later anna")
        assert daemon.send("user.created", "data.username=clara")
        until(lambda: len(_delivered(daemon)) == 2, "both events")
