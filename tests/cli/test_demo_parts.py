"""The parts of the demo: it would notice if something did not happen, and says so."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from engine.cli.demonstration.acting import Actor
from engine.cli.demonstration.checking import Seen, missing, surplus
from engine.cli.demonstration.farside import HttpCall, Mail, mail_of, open_far_side
from engine.cli.demonstration.logtap import LogTap
from engine.cli.demonstration.performance import _conclude
from engine.cli.demonstration.rulesfolder import example_text, with_connections, write_rules
from engine.cli.demonstration.script import Beat, Expect, Posting, Scene
from engine.cli.demonstration.stage import forget_surroundings, open_stage
from engine.cli.demonstration.telling import Teller, Terminal
from engine.daemon.registry import find_actions
from engine.deciding.rulebook import Rulebook
from engine.errors import UserError
from engine.rules.loading import load
from engine.rules.model import RuleSet
from engine.rules.secrets import Secrets

pytestmark = pytest.mark.anyio

_MAIL = Mail("a@example.org", "b@example.org", "Hello", "text", ("b@example.org",))
_CALL = HttpCall("POST", "/crm", "key", "{}", 201)
_RUN: dict[str, Any] = {
    "id": "run_1", "rule": "r", "step": None, "state": "succeeded", "message": None,
    "event": "ev_0",
    "due": "2026-01-05T09:00:00.000Z", "created": "2026-01-05T09:00:00.000Z", "attempts": [],
    "results": {"note": {"stdout": "printed"}, "other": {}},
}  # fmt: skip
_EVENT: dict[str, Any] = {
    "type": "user.expired", "aliases": [], "decision": {"now": 1}, "body": {"data": {}},
    "rules": [{"rule": "r", "verdict": "matched", "why": "no condition"}],
}  # fmt: skip
_WELL = Seen(202, "accepted", _EVENT, (_RUN,), (_MAIL,), (_CALL,), ("written",))
_EXPECT = Expect(
    202, ("r",), (("r", "succeeded"),), (("b@example.org", "Hell"),), (("/crm", 201),),
    ("printed",), ("written",), ("password",),
)  # fmt: skip


def _seen(**changes: Any) -> Seen:
    whole = {name: getattr(_WELL, name) for name in Seen.__slots__}
    return Seen(**{**whole, **changes})


@pytest.fixture
def untouched() -> Iterator[None]:
    """The surroundings as they were: the demo is a process of its own otherwise."""
    environ, handlers = dict(os.environ), logging.root.handlers[:]
    yield
    os.environ.clear()
    os.environ.update(environ)
    logging.root.handlers[:] = handlers
    structlog.reset_defaults()


def test_nothing_is_missing_where_all_has_happened() -> None:
    assert missing(_EXPECT, _WELL) == []


@pytest.mark.parametrize(
    ("seen", "sentence"),
    [
        (_seen(status=503), "the delivery was answered 503, not 202"),
        (_seen(event={**_EVENT, "decision": None}), "the event is not decided"),
        (_seen(event={**_EVENT, "rules": []}), "rules that matched: none; expected: r"),
        (_seen(event={**_EVENT, "body": {"x": "password"}}), "the stored event holds a credential"),
        (_seen(runs=({**_RUN, "state": "dead"},)), "no run of r is succeeded"),
        (_seen(runs=({**_RUN, "results": {}},)), "no program printed “printed”"),
        (_seen(mails=()), "no mail to b@example.org about “Hell” arrived"),
        (_seen(calls=()), "no call of /crm was answered 201"),
        (_seen(writings=()), "the log does not say “written”"),
    ],
)
def test_whatever_did_not_happen_is_named(seen: Seen, sentence: str) -> None:
    assert missing(_EXPECT, seen) == [sentence]


def test_a_mail_too_many_is_noticed() -> None:
    assert surplus(3, 3) == []
    assert surplus(4, 3) == ["4 mails arrived, 3 were due"]


async def test_a_beat_that_never_comes_true_is_given_up_after_a_while(untouched: None) -> None:
    posting = Posting("user.expires_in_24_hours", "3.3")
    beat = Beat(Expect(202, ("expires-tomorrow",), mails=(("nobody@example.org", ""),)), posting)
    async with open_stage(asyncio.Event()) as stage:
        seen, lacking = await Actor(stage, patience=1.0).play(beat)
    assert lacking == ["no mail to nobody@example.org about “” arrived"]
    assert seen.matched == ("expires-tomorrow",)


async def test_a_follow_up_that_never_comes_is_given_up_after_a_while(untouched: None) -> None:
    beat = Beat(Expect(runs=(("win-back", "succeeded"),)), hurried="win-back")
    async with open_stage(asyncio.Event()) as stage:
        seen, lacking = await Actor(stage, patience=0.2).play(beat)
    assert lacking == ["no run of win-back is succeeded"]
    assert not seen.typed


async def test_what_the_daemon_raised_itself_belongs_to_the_beat_in_which_it_came(
    untouched: None,
) -> None:
    expected = (("tell-the-owner", "pending"),)
    async with open_stage(asyncio.Event()) as stage:
        actor = Actor(stage)
        first, _ = await actor.play(Beat(Expect(runs=expected)))
        second, _ = await actor.play(Beat(Expect()))
    assert [event["type"] for event in first.own.values()] == ["rulewave.started"]
    assert second.own == {}


async def test_a_daemon_that_cannot_start_ends_the_demo_with_its_reason(
    untouched: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deep = tmp_path / ("d" * 100)  # too long for the path of a unix socket
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with pytest.raises(Exception, match=r"(?i)too long|cannot listen"):
        async with open_stage(asyncio.Event()):
            raise AssertionError


def _told(width: int = 80) -> tuple[Teller, io.StringIO]:
    out = io.StringIO()
    ruleset = load(Path(__file__).parents[2] / "rules.example.yaml", actions=find_actions(),
                   secrets=Secrets(None, None, {})).ruleset  # fmt: skip
    return Teller(Terminal(file=out, width=width, highlight=False), Rulebook(ruleset)), out


def test_what_did_not_happen_is_told_and_counted() -> None:
    teller, out = _told()
    event = {**_EVENT, "rules": [{"rule": "win-back", "verdict": "could not evaluate", "why": "?"}]}
    run = {**_RUN, "rule": "win-back", "state": "dead", "message": "gave\nup", "attempts": [
        {"step": "do.0.do.0", "try": 1, "outcome": "unknown", "started": "2026-01-05T09:00:00.000Z",
         "ended": None, "seconds": None, "message": None}]}  # fmt: skip
    beat = Beat(Expect(202), Posting("user.expired", "3.3"))
    teller.scene(1, Scene("A title", (beat,)))
    teller.beat(beat, _seen(event=event, runs=(run,)), ["no mail arrived"])
    _conclude(teller, ["no mail arrived"])
    story = out.getvalue()
    assert "! win-back could not evaluate: ?" in story
    assert "email    try 1 of win-back: under way" in story
    assert "ended    win-back: gave\\nup" in story
    assert "✗ did not happen: no mail arrived" in story
    assert "✗ Not everything happened:\n  no mail arrived" in story


def test_a_follow_up_that_is_due_now_says_when() -> None:
    teller, out = _told()
    run = {**_RUN, "rule": "win-back", "step": "do.0", "state": "pending", "results": {}}
    teller.beat(Beat(Expect()), Seen(runs=(run,)), [])
    assert "later    follow-up of win-back: 09:00:00 UTC" in out.getvalue()


def test_an_event_of_the_daemon_is_told_once_before_its_first_run() -> None:
    teller, out = _told()
    event = {"id": "ev_1", "type": "rulewave.started", "aliases": [], "rules": []}
    run = {**_RUN, "rule": "tell-the-owner", "event": "ev_1"}
    ended = {**run, "state": "cancelled", "message": "enough"}
    teller.beat(Beat(Expect()), Seen(runs=(run, ended), own={"ev_1": event}), [])
    story = out.getvalue()
    assert story.count("rulewave.started  raised by Rulewave itself") == 1
    assert story.index("rulewave.started") < story.index("tell-the-owner: enough")


def test_what_is_no_json_is_shown_as_it_came() -> None:
    teller, out = _told()
    teller.call(HttpCall("POST", "/crm", "key", "a=1&b=2", 201))
    assert "a=1&b=2" in out.getvalue()


def test_no_line_is_wider_than_the_terminal() -> None:
    teller, out = _told(60)
    teller.say("word " * 40)
    teller.call(HttpCall("POST", "/crm", "0123456789abcdef", json.dumps({"text": "x" * 200}), 201))
    teller.mail(Mail("a@example.org", "b@example.org", "long " * 30, "line\n" + "y" * 100, ()))
    assert max(map(len, out.getvalue().splitlines())) <= 60


def test_what_strangers_write_cannot_move_the_cursor() -> None:
    teller, out = _told()
    teller.mail(Mail("a@example.org", "b@example.org", "\x1b[2J", "\x1b]0;x\x07", ()))
    assert "\x1b" not in out.getvalue()


def test_the_example_is_found_and_only_its_connections_change(tmp_path: Path) -> None:
    write_rules(tmp_path, smtp_port=2525, http_port=8080)
    known = Secrets(None, None, {"RULEWAVE_SECRET_TELEGRAM_TOKEN": "1:a_bot"})
    loaded = load(tmp_path, actions=find_actions(), secrets=known)
    assert loaded.problems == ()
    connections = {name: spec.raw for name, spec in loaded.ruleset.connections.items()}
    assert {raw["kind"] for raw in connections.values()} == {"smtp", "http", "telegram"}
    assert all("127.0.0.1" in str(raw) for raw in connections.values())
    written = (tmp_path / "rules.example.yaml").read_text(encoding="utf-8")
    assert (
        written.partition("# Your own words")[2] == example_text().partition("# Your own words")[2]
    )


def test_the_example_of_an_installation_comes_before_that_of_a_checkout(tmp_path: Path) -> None:
    installed, checkout = tmp_path / "installed", tmp_path / "checkout"
    for place in (installed, checkout):
        place.mkdir()
    with pytest.raises(UserError, match="install Rulewave again"):
        example_text((installed, checkout))
    for place in (checkout, installed):
        (place / "rules.example.yaml").write_text(place.name, encoding="utf-8")
        assert example_text((installed, checkout)) == place.name


def test_connections_are_replaced_whatever_stands_around_them() -> None:
    text = "version: 1\nconnections:\n  a: {}\n\n# note\n  b: {}\n\n# rules\nrules: []\n"
    assert with_connections(text, {"c": {"url": r"\1"}}) == (
        'version: 1\nconnections: {"c": {"url": "\\\\1"}}\n\n# rules\nrules: []\n'
    )


def test_settings_of_a_real_installation_are_forgotten() -> None:
    environ = {"RULEWAVE_RULES": "x", "RUNTIME_DIRECTORY": "y", "LISTEN_FDS": "1", "PATH": "z"}
    forget_surroundings(environ)
    assert environ == {"PATH": "z"}


def test_the_log_tap_keeps_what_rules_wrote_and_passes_warnings_on() -> None:
    beside = io.StringIO()
    tap = LogTap(beside)
    tap.write('{"event": "action.log", "text": "said", "level": "warning"}\n{"event": "daemon')
    tap.write('.ready", "intake": "127.0.0.1:1", "level": "info"}\n')
    tap.write('{"event": "run.step", "level": "info"}\n{"event": "x", "level": "error"}\nno JSON\n')
    assert tap.written == ["said"]
    assert tap.ready["intake"] == "127.0.0.1:1"
    assert beside.getvalue() == '{"event": "x", "level": "error"}\nno JSON\n'


async def test_the_web_server_of_the_demo_survives_a_client_that_goes_away() -> None:
    async with open_far_side() as far:
        _, writer = await asyncio.open_connection("127.0.0.1", far.http_port)
        writer.write(b"POST /crm")
        writer.close()
        reader, other = await asyncio.open_connection("127.0.0.1", far.http_port)
        other.write(b"GET /heartbeat HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 201")
        other.close()
    assert [(call.method, call.path, call.status) for call in far.calls] == [
        ("GET", "/heartbeat", 201)
    ]


def test_a_mail_is_shown_as_its_reader_sees_it() -> None:
    raw = (
        b"From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>\r\nTo: b@example.org\r\n"
        b"Subject: =?utf-8?b?0J/RgNC40LLQtdGC?=\r\n\r\nbody\r\n"
    )
    mail = mail_of(raw, ("b@example.org",))
    assert (mail.sender, mail.subject, mail.text) == ("Jürgen <j@example.org>", "Привет", "body")


def test_a_rulebook_without_rules_has_no_story() -> None:
    out = io.StringIO()
    teller = Teller(Terminal(file=out, width=80, highlight=False), Rulebook(RuleSet()))
    teller.beat(
        Beat(Expect(), Posting("user.expired", "3.3")),
        _seen(event={**_EVENT, "rules": []}, runs=()),
        [],
    )
    assert "no rule waits for it" in out.getvalue()
