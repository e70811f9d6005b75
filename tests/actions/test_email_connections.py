"""The email action's connections: encrypted, logged in, shared, and left behind by nobody."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from email_tries import call_to, params, refusal, scripted, server_at, started, verdict
from http_servers import free_port
from smtp_servers import mail_server, scripted_server

from actions.email import Email
from actions.http import HttpConnection
from engine.action import Call


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


def test_a_server_that_is_not_there_is_told_in_few_words() -> None:
    async def scenario() -> None:
        async with started() as action:
            error = await refusal(action, call_to(free_port(), host="127.0.0.1", tls="none"))
            assert verdict(error) == ("connection", True, False)
            assert error.message == "127.0.0.1: Connection refused"

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
