"""The email action against real mail servers, well-behaved and other."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from smtp_servers import Script, Transcript, mail_server, scripted_server

from actions.email import Email, EmailParams, SmtpConnection
from actions.http import HttpConnection
from engine.action import Call
from engine.errors import ActionFailed


@asynccontextmanager
async def started(idle: float = 30.0) -> AsyncIterator[Email]:
    """An action that is started, and stopped at the end."""
    async with AsyncExitStack() as stack:
        action = Email(idle)
        await action.start(stack)
        yield action


def params(**values: Any) -> EmailParams:
    return EmailParams(**({"to": "anna@example.org", "subject": "Hi", "text": "Hello"} | values))


def server_at(port: int, **values: Any) -> SmtpConnection:
    settings = {"host": "localhost", "tls": "none", "from": "bot@example.org"}
    return SmtpConnection(port=port, **(settings | values))


def call_to(port: int, **values: Any) -> Call:
    return Call("key1", connection=server_at(port, **values), timeout=20)


async def refusal(action: Email, call: Call, **values: Any) -> ActionFailed:
    """How one try fails."""
    with pytest.raises(ActionFailed) as caught:
        await action.run(params(**values), call)
    return caught.value


def scripted(script: Script, **values: Any) -> tuple[ActionFailed, Transcript, list[str]]:
    """How a try fails where the server says this; and what it was told before and after."""

    async def scenario() -> tuple[ActionFailed, Transcript, list[str]]:
        async with scripted_server(script) as told, started() as action:
            before: list[str] = []

            async def irrevocable() -> None:
                before.extend(told.lines)

            seconds = values.pop("seconds", 20)
            settings = {
                name: values.pop(name) for name in ("username", "password") if name in values
            }
            connection = server_at(told.port, **settings)
            call = Call("key1", connection=connection, timeout=seconds, irrevocable=irrevocable)
            return await refusal(action, call, **values), told, before

    return asyncio.run(scenario())


def verdict(error: ActionFailed) -> tuple[str, bool, bool]:
    return str(error.reason), error.retry, error.unknown


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


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def test_starttls_and_login_come_before_the_mail(tls: ssl.SSLContext, trusted: str) -> None:
    async def scenario() -> None:
        settings = {"tls_context": tls, "require_starttls": True, "auth_required": True}
        async with mail_server(**settings) as mailbox, started() as action:
            who = {"tls": "starttls", "username": "me", "password": "right", "verify": trusted}
            await action.run(params(), call_to(mailbox.port, **who))
            assert mailbox.logins == [("me", "right")]
            assert len(mailbox.envelopes) == 1

    asyncio.run(scenario())


def test_tls_may_begin_with_the_first_byte(tls: ssl.SSLContext, trusted: str) -> None:
    async def scenario() -> None:
        async with mail_server(tls) as mailbox, started() as action:
            await action.run(params(), call_to(mailbox.port, tls="tls", verify=trusted))
            await action.run(params(), call_to(mailbox.port, tls="tls", verify=False))
            assert len(mailbox.envelopes) == 2

    asyncio.run(scenario())


@pytest.mark.parametrize("how", ["starttls", "tls"])
def test_a_certificate_that_cannot_be_verified_stops_everything(
    how: str, tls: ssl.SSLContext, trusted: str
) -> None:
    async def scenario() -> None:
        server = mail_server(tls) if how == "tls" else mail_server(tls_context=tls)
        async with server as mailbox, started() as action:
            wrong = [{"host": "localhost"}, {"host": "127.0.0.1", "verify": trusted}]
            for settings in wrong:
                who = {"tls": how, "username": "me", "password": "right"} | settings
                error = await refusal(action, call_to(mailbox.port, **who))
                assert verdict(error) == ("connection", True, False)
                assert "certificate verify failed" in error.message
            assert not mailbox.logins

    asyncio.run(scenario())


def test_a_server_without_starttls_gets_neither_password_nor_mail() -> None:
    async def scenario() -> None:
        async with mail_server(auth_require_tls=False) as mailbox, started() as action:
            who = {"tls": "starttls", "username": "me", "password": "right"}
            error = await refusal(action, call_to(mailbox.port, **who))
            assert verdict(error) == ("refused", False, False)
            assert "STARTTLS" in error.message
            assert not mailbox.logins

    asyncio.run(scenario())


def test_a_wrong_password_is_not_tried_again() -> None:
    async def scenario() -> None:
        async with mail_server(auth_require_tls=False) as mailbox, started() as action:
            who = {"username": "me", "password": "wr0ng"}
            error = await refusal(action, call_to(mailbox.port, **who))
            assert verdict(error) == ("refused", False, False)
            assert "did not accept the username and password: 535" in error.message
            assert "wr0ng" not in error.message

    asyncio.run(scenario())


def test_a_server_that_knows_no_login_is_a_clear_failure() -> None:
    error, _, _ = scripted({}, username="me", password="x")
    assert verdict(error) == ("refused", False, False)
    assert "AUTH" in error.message


def test_a_login_that_is_refused_for_now_is_tried_again() -> None:
    script = {"EHLO": "250-scripted\r\n250 AUTH PLAIN", "AUTH": "454 later"}
    error, _, _ = scripted(script, username="me", password="x")
    assert verdict(error) == ("refused", True, False)


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


def test_only_an_smtp_connection_will_do() -> None:
    async def scenario() -> None:
        other = HttpConnection(url="https://example.org")
        for connection in (None, other):
            error = await refusal(Email(), Call("k", connection=connection))
            assert verdict(error) == ("bad_parameters", False, False)

    asyncio.run(scenario())


def test_a_private_server_is_not_called_where_that_is_forbidden() -> None:
    async def scenario() -> None:
        async with scripted_server() as told, started() as action:
            call = Call("k", connection=server_at(told.port), allow_private=False)
            assert verdict(await refusal(action, call)) == ("refused", False, False)
            assert told.connections == 0
            call = Call("k", connection=server_at(told.port, host="x.invalid"), allow_private=False)
            assert verdict(await refusal(action, call)) == ("connection", True, False)

    asyncio.run(scenario())


def test_mails_share_a_connection_one_after_the_other() -> None:
    async def scenario() -> None:
        async with scripted_server() as told, started() as action:
            for _ in range(3):
                await action.run(params(), call_to(told.port))
            assert told.connections == 1
            assert told.count("RSET") == 2
        assert told.lines[-1] == "QUIT"

    asyncio.run(scenario())


def test_a_stale_connection_does_not_fail_a_mail() -> None:
    async def scenario() -> None:
        dead: list[str | None] = [None, "421 idle for too long", "250 ok"]
        async with scripted_server({"RSET": lambda: dead.pop(0)}) as told, started() as action:
            for _ in range(4):
                await action.run(params(), call_to(told.port))
            assert told.connections == 3
            assert told.count("DATA") == 4

    asyncio.run(scenario())


def test_an_idle_connection_is_closed() -> None:
    async def scenario() -> None:
        async with scripted_server() as told, started(idle=0.01) as action:
            await action.run(params(), call_to(told.port))
            await told.gone.wait()
            assert told.connections == 1
            await action.run(params(), call_to(told.port))
            assert told.connections == 2

    asyncio.run(scenario())


def test_a_connection_is_not_used_again_after_an_error() -> None:
    async def scenario() -> None:
        answers = ["550 no", "250 ok"]
        async with scripted_server({"MAIL": lambda: answers.pop(0)}) as told, started() as action:
            assert (await refusal(action, call_to(told.port))).reason == "refused"
            await action.run(params(), call_to(told.port))
            assert told.connections == 2

    asyncio.run(scenario())


def test_few_connections_are_open_at_a_time() -> None:
    async def scenario() -> None:
        async with scripted_server() as told, started() as action:
            tries = [action.run(params(), call_to(told.port)) for _ in range(20)]
            await asyncio.gather(*tries)
            assert told.connections <= 4
            assert told.count("DATA") == 20

    asyncio.run(scenario())


@pytest.mark.parametrize("waits_at", ["MAIL", ".", "RSET"])
def test_a_cancelled_try_leaves_no_connection_behind(waits_at: str) -> None:
    async def scenario() -> None:
        reached = asyncio.Event()

        def silent() -> str:
            reached.set()
            return ""

        async with scripted_server({waits_at: silent}) as told, started() as action:
            if waits_at == "RSET":
                await action.run(params(), call_to(told.port))
            attempt = asyncio.create_task(action.run(params(), call_to(told.port)))
            await reached.wait()
            attempt.cancel()
            with pytest.raises(asyncio.CancelledError):
                await attempt
            await told.gone.wait()

    asyncio.run(scenario())


def test_a_server_that_does_not_say_goodbye_does_not_hold_up_the_stop() -> None:
    async def scenario() -> None:
        async with scripted_server({"QUIT": "550 never"}) as told, started() as action:
            await action.run(params(), call_to(told.port))
        await told.gone.wait()

    asyncio.run(scenario())
