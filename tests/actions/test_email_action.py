"""The email action against real mail servers: what arrives, and what a refusal means."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from email_tries import call_to, params, refusal, scripted, started, verdict
from smtp_servers import Script, mail_server, scripted_server


def test_a_mail_arrives_whole() -> None:
    async def scenario() -> None:
        async with mail_server() as mailbox, started() as action:
            text = "Grüße\n.\n..\nFrom here\n"
            step = params(text=text, to="Anna <anna@example.org>", bcc="carl@example.org")
            result = await action.run(step, call_to(mailbox.port))
            assert result == {
                "message_id": "<key1@example.org>",
                "accepted": ["anna@example.org", "carl@example.org"],
                "refused": {},
                "response": "250 kept as 42",
            }
            (envelope,), (message,) = mailbox.envelopes, mailbox.messages
            assert envelope.mail_from == "bot@example.org"
            assert envelope.rcpt_tos == ["anna@example.org", "carl@example.org"]
            assert message["Message-ID"] == "<key1@example.org>"
            assert message["Bcc"] is None
            assert message.get_content().splitlines() == text.splitlines()

    asyncio.run(scenario())


def test_an_attachment_is_read_when_the_mail_is_sent(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with mail_server() as mailbox, started() as action:
            file = tmp_path / "note.txt"
            step = params(attach=[{"name": "note.txt", "path": str(file)}])
            error = await refusal(
                action, call_to(mailbox.port), attach=[{"name": "x", "path": str(file)}]
            )
            assert verdict(error) == ("bad_parameters", False, False)
            assert str(file) in error.message
            file.write_text("here")
            await action.run(step, call_to(mailbox.port))
            (attachment,) = mailbox.messages[0].iter_attachments()
            assert attachment.get_content() == b"here"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ({"": "421 full"}, ("refused", True, False)),
        ({"": "554 go away"}, ("refused", False, False)),
        ({"": None}, ("connection", True, False)),
        ({"": "hello?"}, ("connection", True, False)),
        ({"EHLO": None}, ("connection", True, False)),
        ({"EHLO": "502 no", "HELO": "502 no"}, ("refused", False, False)),
        ({"MAIL": "451 later"}, ("refused", True, False)),
        ({"MAIL": "550 no"}, ("refused", False, False)),
        ({"MAIL": "421 closing"}, ("refused", True, False)),
        ({"MAIL": None}, ("connection", True, False)),
        ({"RCPT": "450 greylisted"}, ("refused", True, False)),
        ({"RCPT": "550 unknown"}, ("refused", False, False)),
        ({"RCPT": None}, ("connection", True, False)),
    ],
)
def test_what_goes_wrong_before_data_is_known(
    script: Script, expected: tuple[str, bool, bool]
) -> None:
    error, told, before = scripted(script)
    assert verdict(error) == expected
    assert not before
    assert told.count("DATA") == 0


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ({"DATA": "451 later"}, ("refused", True, False)),
        ({"DATA": "554 no valid recipients"}, ("refused", False, False)),
        ({"DATA": None}, ("connection", True, True)),
        ({".": "452 disk full"}, ("refused", True, False)),
        ({".": "421 closing"}, ("refused", True, False)),
        ({".": "554 spam"}, ("refused", False, False)),
        ({".": None}, ("connection", True, True)),
        ({".": "what?"}, ("connection", True, True)),
        ({".": "251 odd"}, ("connection", True, True)),
    ],
)
def test_after_data_only_an_answer_makes_it_known(
    script: Script, expected: tuple[str, bool, bool]
) -> None:
    error, _, before = scripted(script)
    assert verdict(error) == expected
    assert [line.split(" ")[0] for line in before] == ["EHLO", "MAIL", "RCPT"]


def test_silence_is_a_known_failure_before_data_and_unknown_after() -> None:
    early, _, before = scripted({"MAIL": ""}, seconds=0.2)
    assert verdict(early) == ("timeout", True, False)
    assert not before
    late, _, before = scripted({".": ""}, seconds=0.2)
    assert verdict(late) == ("timeout", True, True)
    assert before


def test_nobody_listening_is_a_known_failure() -> None:
    async def scenario() -> None:
        async with scripted_server() as told:
            port = told.port
        async with started() as action:
            assert verdict(await refusal(action, call_to(port))) == ("connection", True, False)
            call = call_to(port, host="no-such-host.invalid")
            assert verdict(await refusal(action, call)) == ("connection", True, False)

    asyncio.run(scenario())


def test_a_mail_goes_to_those_who_are_accepted() -> None:
    async def scenario() -> None:
        script = {"RCPT TO:<gone@example.org>": "550 5.1.1 unknown\x1b"}
        async with scripted_server(script) as told, started() as action:
            to = ["gone@example.org", "anna@example.org"]
            result = await action.run(params(to=to), call_to(told.port))
            assert result["accepted"] == ["anna@example.org"]
            assert result["refused"] == {"gone@example.org": "550 5.1.1 unknown\\x1b"}
            assert result["response"] == "250 taken"

    asyncio.run(scenario())


def test_the_size_is_announced_and_an_old_server_is_greeted_the_old_way() -> None:
    async def scenario() -> None:
        async with scripted_server() as told, started() as action:
            await action.run(params(), call_to(told.port))
            assert any(" SIZE=" in line for line in told.lines if line.startswith("MAIL"))
        script = {"EHLO": "502 what?", "HELO": "250 hello"}
        async with scripted_server(script) as told, started() as action:
            await action.run(params(), call_to(told.port))
            assert told.count("HELO") == 1

    asyncio.run(scenario())


def test_where_all_are_refused_a_passing_refusal_is_tried_again() -> None:
    script = {"RCPT TO:<a@example.org>": "550 unknown", "RCPT TO:<b@example.org>": "450 later"}
    error, told, before = scripted(script, to="a@example.org, b@example.org")
    assert verdict(error) == ("refused", True, False)
    assert "450 later" in error.message
    assert not before
    assert told.count("DATA") == 0


def test_nobody_to_send_to_is_no_recipient() -> None:
    error, told, _ = scripted({}, to="")
    assert verdict(error) == ("no_recipient", False, False)
    assert told.connections == 0


def test_an_address_outside_ascii_needs_a_server_that_knows_it() -> None:
    async def scenario() -> None:
        async with mail_server(enable_SMTPUTF8=True) as mailbox, started() as action:
            await action.run(params(to="анна@example.org"), call_to(mailbox.port))
            assert mailbox.envelopes[0].rcpt_tos == ["анна@example.org"]
            assert mailbox.envelopes[0].smtp_utf8

    asyncio.run(scenario())
    error, told, _ = scripted({}, to="анна@example.org")
    assert verdict(error) == ("refused", False, False)
    assert "SMTPUTF8" in error.message
    assert told.count("MAIL") == 0
