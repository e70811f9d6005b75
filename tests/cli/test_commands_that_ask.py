"""`events`, `runs` and `followups`: the same answers from the daemon and from the journal."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cli.commands import Daemon, Place, command, serving

HOSTILE = r'"evil\u001b[31m\u009b31m\u202e\nx"'


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with one event of each kind behind it."""
    with serving(tmp_path_factory.mktemp("d")) as running:
        running.send("user.created", "username=anna", f"description={HOSTILE}")
        running.wait_for("run.step", rule="greet", state="succeeded")
        running.send("user.limited", "username=boris")
        running.wait_for("run.step", rule="fails", state="dead")
        running.send("user.revoked", "username=clara")
        assert running.call("send", "user.created", "--set", "event=5").code == 1
        yield running


@pytest.fixture(scope="module")
def journal(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A copy of its journal, with nobody running."""
    place = Place(tmp_path_factory.mktemp("j"))
    with (
        closing(sqlite3.connect(daemon.folder / "rw.db")) as source,
        closing(sqlite3.connect(place.folder / "rw.db")) as copy,
    ):
        source.backup(copy)
    return place


@pytest.fixture(params=["daemon", "journal"])
def place(request: pytest.FixtureRequest) -> Place:
    """Once with a daemon, once without."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Place)
    return found


def ids(place: Place, noun: str, *args: str) -> list[str]:
    return [line["id"] for line in place.call(noun, "list", "--json", *args).json]


def test_events_are_listed_newest_first_and_by_what_is_wished(place: Place) -> None:
    lines = place.call("events", "list", "--json").json
    assert [line["type"] for line in lines] == [
        "user.revoked", "rulewave.dead_letter", "user.limited", "user.created", "rulewave.started",
    ]  # fmt: skip
    assert [line["source"] for line in lines[-2:]] == ["remnawave", "rulewave"]
    assert set(lines[0]) == {
        "id", "type", "aliases", "source", "subject", "raised", "stored", "decided",
    }  # fmt: skip
    newest, *_, oldest, _ = (line["id"] for line in lines)
    assert ids(place, "events", "--key", "anna") == [oldest]
    assert ids(place, "events", "--type", "user.revoked") == [newest]
    assert ids(place, "events", "--limit", "1") == [newest]
    assert len(ids(place, "events", "--since", "1h")) == 5
    assert ids(place, "events", "--since", "2100-01-01T00:00:00Z") == []


def test_lists_are_plain_columns_where_nobody_looks(place: Place) -> None:
    head, *lines = place.call("runs", "list").out.splitlines()
    assert head.split() == ["due", "id", "rule", "step", "key", "state", "tries", "message"]
    assert len(lines) == 3
    assert "\x1b" not in head + "".join(lines)


def test_an_empty_list_says_so(place: Place) -> None:
    assert place.call("events", "list", "--key", "nobody").out == "no events\n"
    assert place.call("runs", "list", "--rule", "nobody").out == "no runs\n"
    assert place.call("followups", "list", "--key", "nobody").out == "no follow-ups\n"
    assert place.call("runs", "list", "--rule", "nobody", "--json").json == []


def test_an_event_is_shown_with_what_every_rule_said_and_its_runs(place: Place) -> None:
    (id,) = ids(place, "events", "--type", "user.revoked")
    shown = place.call("events", "show", id, "--json").json
    said = {line["rule"]: (line["verdict"], line["why"]) for line in shown["rules"]}
    assert said["silent"][0] == "not matched"
    assert said["silent"][1].startswith("user.tag == 'NOBODY' is false")
    assert said["greet"] == (
        "not matched",
        "it waits for user.created; this is user.revoked",
    )
    assert shown["runs"] == []
    text = place.call("events", "show", id).out
    assert "  - silent: not matched: user.tag == 'NOBODY' is false" in text
    assert "runs\n  none\n" in text


def test_private_fields_are_masked_and_credentials_are_not_there(place: Place) -> None:
    (id,) = ids(place, "events", "--type", "user.created")
    done = place.call("events", "show", id, "--json")
    assert done.json["body"]["data"]["subscriptionUrl"] == "•••"
    assert "trojanPassword" not in done.json["body"]["data"]
    assert "sub.example.org" not in done.out


def test_what_strangers_write_cannot_move_the_cursor(place: Place) -> None:
    (id,) = ids(place, "events", "--type", "user.created")
    for done in (place.call("events", "show", id), place.call("events", "show", id, "--json")):
        assert not {"\x1b", "\x9b", "\u202e"} & set(done.out)
        assert r"evil\u001b[31m\u009b31m\u202e\nx" in done.out
    rejected = place.call("events", "rejected").out
    assert not {"\x1b", "\x9b", "\u202e"} & set(rejected)


def test_rejected_deliveries_are_listed_without_credentials(place: Place) -> None:
    (line,) = place.call("events", "rejected", "--json").json
    assert line["code"] == "no_event"
    assert '"trojanPassword":"•••"' in line["body"]
    assert "no_event" in place.call("events", "rejected").out


def test_a_run_is_shown_with_its_tries_and_results(place: Place) -> None:
    (id,) = [line["id"] for line in place.call("runs", "list", "--rule", "greet", "--state", "succeeded", "--json").json]  # fmt: skip
    run = place.call("runs", "show", id, "--json").json
    assert run["state"] == "succeeded"
    assert run["results"] == {"said": {}}
    (attempt,) = run["attempts"]
    assert (attempt["step"], attempt["try"], attempt["outcome"]) == ("do.0", 1, "succeeded")
    text = place.call("runs", "show", id).out
    assert "state    succeeded" in text
    assert "\nresults\n" in text


def test_a_follow_up_is_shown_as_the_run_that_it_is(place: Place) -> None:
    (id,) = ids(place, "followups", "--rule", "greet")
    shown = place.call("followups", "show", id, "--json").json
    assert (shown["id"], shown["state"], shown["attempts"]) == (id, "pending", [])
    assert place.call("followups", "show", id).out == place.call("runs", "show", id).out


def test_a_dead_letter_says_why(place: Place) -> None:
    (line,) = place.call("runs", "list", "--state", "dead", "--json").json
    assert (line["rule"], line["reason"]) == ("fails", "template")
    assert "nothing" in line["message"]
    assert line["message"] in place.call("runs", "show", line["id"]).out


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("events", "show", "ev_nope"), "there is no event ev_nope"),
        (("runs", "show", "run_nope"), "there is no run run_nope"),
        (("followups", "cancel", "run_nope"), "there is no run run_nope"),
        (("runs", "list", "--state", "nope"), "'nope' is no state; there are pending, queued,"),
        (("runs", "list", "--since", "nope"), "--since nope: write a duration such as 2h, or a time"),
    ],
)  # fmt: skip
def test_a_wrong_wish_is_one_clear_message(place: Place, args: tuple[str, ...], told: str) -> None:
    done = place.call(*args)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(told)
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    "args",
    [
        ("runs", "list", "--limit", "0"),
        ("runs", "list", "--limit", "many"),
        ("events", "show"),
        ("events", "nope"),
        ("nope",),
        ("runs", "list", "--nope"),
    ],
)
def test_wrong_usage_is_exit_2(journal: Place, args: tuple[str, ...]) -> None:
    done = journal.call(*args)
    assert done.code == 2
    assert "Usage: rulewave" in done.err
    assert "Traceback" not in done.err


def test_a_run_that_is_no_follow_up_is_not_cancelled(place: Place) -> None:
    (id,) = [line["id"] for line in place.call("runs", "list", "--state", "dead", "--json").json]
    done = place.call("followups", "cancel", id)
    assert (done.code, done.err) == (
        1,
        f"{id} is no follow-up; see: rulewave runs show {id}\n",
    )


def test_a_follow_up_is_cancelled_once(place: Place) -> None:
    (id,) = ids(place, "followups", "--rule", "greet")
    done = place.call("followups", "cancel", id)
    assert (done.code, done.out) == (0, f"{id} of rule greet (anna) is cancelled\n")
    again = place.call("followups", "cancel", id)
    assert (again.code, again.err) == (
        1,
        f"{id} can't be cancelled any more: it is cancelled\n",
    )
    assert ids(place, "followups") == []
    assert ids(place, "followups", "--state", "cancelled") == [id]
    assert "cancelled by a person" in place.call("runs", "show", id).out


def test_cancelling_answers_in_json_too(daemon: Daemon) -> None:
    daemon.send("user.created", "username=dora")
    daemon.wait_for("run.step", rule="greet", state="succeeded")
    (id,) = ids(daemon, "followups", "--key", "dora")
    assert daemon.call("followups", "cancel", id, "--json").json["state"] == "cancelled"


def test_a_reader_that_goes_away_is_no_error(journal: Place) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as out:
        done = subprocess.run(
            command("events", "list"),
            stdout=out, stderr=subprocess.PIPE, check=False, env=journal.environ, timeout=60,
        )  # fmt: skip
    assert done.stderr == b""


# ------------------------------------------------------------------- where nobody can answer


@pytest.mark.parametrize(
    ("database", "told"),
    [
        ("sqlite:///{folder}/none.db", "there is no journal at {folder}/none.db"),
        ("sqlite:///{folder}/rules.yaml/x.db", "there is no journal at {folder}/rules.yaml/x.db"),
        ("sqlite:///{folder}/rules.yaml", "the database {folder}/rules.yaml can't be used"),
        ("sqlite:///{folder}", "the database {folder} can't be opened: Is a directory"),
        (
            "postgresql://host/db",
            "RULEWAVE_DATABASE (--database): the database 'postgresql://host/db' can't be used",
        ),
        ("sqlite:///", "RULEWAVE_DATABASE (--database): the database 'sqlite:///' can't be used"),
    ],
)
def test_a_journal_that_cannot_be_read_is_one_clear_message(
    tmp_path: Path, database: str, told: str
) -> None:
    done = Place(tmp_path).call("events", "list", "--database", database.format(folder=tmp_path))
    assert done.code == 1
    assert done.err.startswith(told.format(folder=tmp_path))
    assert len(done.err.splitlines()) == 1


def test_a_journal_in_other_hands_says_so(daemon: Daemon, tmp_path: Path) -> None:
    done = daemon.call("events", "list", environ={"RUNTIME_DIRECTORY": str(tmp_path)})
    assert done.code == 1
    assert "another rulewave is using this database" in done.err


def test_a_socket_that_nobody_serves_is_passed_over(journal: Place) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(journal.folder / "control.sock"))
    left.close()
    try:
        assert journal.call("events", "list").code == 0
    finally:
        (journal.folder / "control.sock").unlink()


@pytest.mark.parametrize(
    ("answer", "code", "told"),
    [
        (b"", 1, "the daemon does not answer"),
        (b"nonsense\r\n\r\n", 1, "the daemon does not answer"),
        (b'{"error": {"code": "bug", "message": "its log has the traceback"}}', 3, "its log"),
        (b'{"error": {"code": "journal_away", "message": "disk full"}}', 1, "disk full"),
    ],
)
def test_a_daemon_that_answers_badly(tmp_path: Path, answer: bytes, code: int, told: str) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "control.sock"))
        listening.listen()

        def serve() -> None:
            client, _ = listening.accept()
            with client:
                request = b""
                while not request.endswith(b"}"):
                    request += client.recv(65536)
                head = b"HTTP/1.1 500 X\r\nContent-Length: %d\r\n\r\n" % len(answer)
                client.sendall(head + answer if answer.startswith(b"{") else answer)

        thread = threading.Thread(target=serve)
        thread.start()
        done = Place(tmp_path).call("events", "list")
        thread.join()
    assert done.code == code
    assert told in done.err
    assert ("Traceback" in done.err) is (code == 3)


def test_the_api_refuses_what_it_does_not_know(daemon: Daemon) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(daemon.folder / "control.sock"))
        client.sendall(b"GET /api/v1/events/list HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    assert b"405" in head.splitlines()[0]
    assert json.loads(body)["error"]["code"] == "refused"
