"""`rulewave explain`: of a file, of standard input, of a stored event, with a daemon and without."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.commands import Daemon, Place, command, serving

from engine.clock import SystemClock
from engine.sources.samples import sample

HOSTILE = "evil\x1b[31m\u202e"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with serving(tmp_path_factory.mktemp("d")) as running:
        running.send("user.revoked", "username=anna", "tag=VIP")
        yield running


@pytest.fixture
def alone(tmp_path: Path) -> Place:
    return Place(tmp_path)


def body_file(place: Place, type: str = "user.revoked", **fields: object) -> str:
    """A file with the body of a sample event."""
    made = sample(type, panel="3.3", now=SystemClock().now(), overrides=fields)
    (place.folder / "body.json").write_bytes(made.body)
    return "body.json"


def test_a_file_is_explained_where_there_is_no_journal(alone: Place) -> None:
    done = alone.call("explain", body_file(alone, **{"data.tag": "VIP"}))
    assert done.code == 0
    head, _, rules = done.out.partition("\n\n")
    assert "type     user.revoked" in head
    assert "note: nothing is known of what came before: there is no journal at" in head
    assert rules == (
        "- silent: not matched\n"
        "  needed: user.tag would have to be 'NOBODY' (it is 'VIP')\n"
        "  - user.tag == 'NOBODY': not matched\n"
        '    user.tag is "VIP"\n'
        "2 rules do not listen to it: greet, fails\n"
    )
    assert sorted(each.name for each in alone.folder.iterdir()) == ["body.json", "rules.yaml"]


def test_the_plan_tells_what_would_be_done_and_what_calls_it_off(alone: Place) -> None:
    body = (
        alone.folder / body_file(alone, "user.created", **{"data.username": "anna"})
    ).read_bytes()
    done = alone.call("explain", "-", "--rule", "greet", stdin=body)
    told = done.out.partition("\n\n")[2].splitlines()
    assert told[:4] == [
        "+ greet: matched",
        "  no condition",
        "  would do",
        "    log info: hello anna",
    ]
    assert told[4].startswith("    follow-up, due 20")
    assert told[5:] == ["      would be cancelled by user.deleted", "      log info: later"]


def test_all_rules_are_told_where_that_is_wished(alone: Place) -> None:
    file = body_file(alone)
    done = alone.call("explain", file, "--all")
    assert "- greet: not matched\n  needed: it waits for user.created; this is user.rev" in done.out
    assert "do not listen" not in done.out
    only = alone.call("explain", file, "--rule", "greet", "--json").json["rules"]
    assert [line["rule"] for line in only] == ["greet"]


def test_no_line_is_wider_than_eighty_columns_and_none_moves_the_cursor(alone: Place) -> None:
    file = body_file(alone, **{"data.tag": HOSTILE * 20})
    for args in (("explain", file), ("explain", file, "--json")):
        done = alone.call(*args)
        assert not {"\x1b", "\u202e"} & set(done.out)
    assert max(map(len, alone.call("explain", file).out.splitlines())) <= 80


def test_on_a_terminal_it_is_a_tree(alone: Place) -> None:
    file = body_file(alone, **{"data.tag": "VIP"})
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command("explain", file),
        stdout=theirs, env=alone.environ | {"TERM": "xterm", "COLUMNS": "80"}, cwd=alone.folder,
    ) as process:  # fmt: skip
        os.close(theirs)
        out = b""
        while True:
            try:
                out += os.read(ours, 65536)
            except OSError:  # the terminal's way to say that its last writer is gone
                break
        assert process.wait(60) == 0
    os.close(ours)
    assert "└── user.tag is" in out.decode().replace("\x1b[0m", "")
    assert b"\x1b[33m" in out


def test_a_stored_event_is_explained_as_it_was_decided(daemon: Daemon) -> None:
    (line,) = daemon.call("events", "list", "--key", "anna", "--json").json
    told = daemon.call("explain", line["id"], "--json").json
    assert list(told) == [
        "event", "type", "aliases", "subject", "raised", "decided", "now", "previous", "latest",
        "rules_changed", "error", "notes", "rules",
    ]  # fmt: skip
    assert (told["event"], told["decided"], told["rules_changed"]) == (line["id"], True, False)
    silent = told["rules"][0]
    assert list(silent) == [
        "rule", "version", "since", "listens", "key", "verdict", "why", "needed", "held",
        "condition", "plan",
    ]  # fmt: skip
    assert silent["condition"] == {
        "kind": "text",
        "verdict": "not matched",
        "parts": [],
        "text": "user.tag == 'NOBODY'",
        "value": False,
        "error": None,
        "operator": "==",
        "sides": [
            {"text": "user.tag", "value": "VIP", "absent": False, "literal": False, "error": None},
            {"text": "'NOBODY'", "value": "NOBODY", "absent": False, "literal": True, "error": None},
        ],
        "seen": [{"text": "user.tag", "value": "VIP", "absent": False}],
    }  # fmt: skip
    assert "judged   as it was decided at 20" in daemon.call("explain", line["id"]).out


def test_a_file_is_explained_with_what_the_daemon_knows(daemon: Daemon) -> None:
    (line,) = daemon.call("events", "list", "--key", "anna", "--json").json
    told = daemon.call("explain", body_file(daemon, **{"data.username": "anna"}), "--json").json
    assert (told["previous"], told["notes"]) == (line["id"], [])
    assert daemon.call("events", "list", "--key", "anna", "--json").json == [line]


def test_what_the_rules_were_is_told_after_they_changed(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        id = daemon.send("user.limited", "username=boris")
        daemon.wait_for("run.step", rule="fails", state="dead")
    place = Place(tmp_path)
    text = (tmp_path / "rules.yaml").read_text().replace("user.limited", "user.deleted")
    (tmp_path / "rules.yaml").write_text(text.replace("id: silent", "id: quiet"))
    told = place.call("explain", id).out
    assert "note: the rules have changed since; it is judged by those of that time" in told
    assert "+ fails: matched\n  the rule has changed since; this is as it was\n" in told
    assert "2 rules do not listen to it: greet, silent\n" in told
    shown = place.call("events", "show", id).out
    assert "rules\n  (the rules have changed since; these are those of that time)\n" in shown
    assert "  + fails: matched: no condition" in shown


@pytest.mark.parametrize(
    ("args", "stdin", "told"),
    [
        (("nope.json",), b"", "there is no file nope.json\n"),
        ((".",), b"", ". can't be read: Is a directory\n"),
        (("-",), b"{", "this is no event: the body is not JSON"),
        (("-",), b"\xff", "this is no event: the body is not UTF-8\n"),
        (
            ("-", "--rule", "nope"),
            b'{"event": "x"}',
            "this event is not judged by a rule nope, but by: ",
        ),
        (("ev_nope",), b"", "there is no journal at"),
    ],
)
def test_what_cannot_be_explained_is_one_clear_message(
    alone: Place, args: tuple[str, ...], stdin: bytes, told: str
) -> None:
    done = alone.call("explain", *args, stdin=stdin)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(told)
    assert len(done.err.splitlines()) == 1


def test_an_id_that_is_not_known_says_so(daemon: Daemon) -> None:
    done = daemon.call("explain", "ev_nope")
    assert (done.code, done.err) == (1, "there is no event ev_nope\n")


def test_what_could_not_be_evaluated_is_told_apart_from_what_does_not_match(alone: Place) -> None:
    (alone.folder / "rules.yaml").write_text("""version: 1
rules:
  - id: odd
    on: user.revoked
    when: {any: ["contains(user.telegramId, 'x')", data.nothing, "length(user.tag) > `9`"]}
    do: [{log: {text: x}}]
  - id: sure
    on: user.revoked
    do:
      - {when: user.tag == 'NOBODY', log: {text: "first"}}
      - {when: "contains(user.telegramId, 'x')", log: {text: "second"}}
      - {log: {text: "{{ user.telegramId }}"}}
      - {after: {until: user.tag}, when: user.tag, log: {text: never}}
""")
    fields = {"data.tag": "VIP", "data.telegramId": None}
    told = alone.call("explain", body_file(alone, **fields)).out.partition("\n\n")[2]
    assert "! odd: could not evaluate\n" in told
    assert "  ! any: could not evaluate\n    ! contains(user.telegramId, 'x'): could not" in told
    assert "    - data.nothing: not matched\n      data.nothing is absent\n" in told
    assert "      length(user.tag) is 3\n" in told
    plan = " ".join(told.split())
    assert "(when user.tag == 'NOBODY': not matched, so it would be passed over)" in plan
    assert "could not evaluate, which would be a dead letter)" in plan
    assert "log: as things stand it would be a dead letter: log: text: telegramId is null" in plan
    assert "follow-up: user.tag is 'VIP', which is no time" in plan


def test_an_empty_rules_file_says_that_there_are_no_rules(alone: Place) -> None:
    (alone.folder / "rules.yaml").write_text("version: 1\nrules: []\n")
    assert alone.call("explain", body_file(alone)).out.endswith("\n\nthere are no rules\n")


def test_what_a_rule_waits_for_is_told_with_both_ways_on(alone: Place) -> None:
    (alone.folder / "rules.yaml").write_text("""version: 1
rules:
  - id: waits
    on: user.revoked
    do:
      - await: [user.renewed, {on: user.enabled, when: user.tag}]
        within: 1h
        cancel_on: user.deleted
        do:
          - log: {text: "{{ arrived.event }}"}
          - {after: 1h, log: {text: later}}
        else: [{log: {text: nothing}}]
""")
    told = alone.call("explain", body_file(alone)).out.partition("\n\n")[2]
    plan = " ".join(told.split())
    assert "waits for user.renewed or user.enabled when user.tag until 20" in plan
    assert "cancelled by user.deleted when it comes log: it can't be told before" in plan
    assert "follow-up: when it is due is known once the event has come log info: later" in plan
    assert "when it does not come log info: nothing" in plan
