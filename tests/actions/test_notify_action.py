"""The notify action against services that listen on loopback: what they get, and why they do not."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from typing import Any

import pytest
from http_servers import HttpServer, Reply, free_port, http_server, reply

from actions.notify import Notify, NotifyConnection, NotifyParams
from engine.action import Call
from engine.errors import ActionFailed

TOPIC = "topic-nobody-may-know"


def _told(
    url: str, answer: Reply | None = None, **params: Any
) -> tuple[dict[str, Any], HttpServer]:
    """The result of telling one service, and what it was asked. `PORT` becomes its port."""

    async def scenario() -> tuple[dict[str, Any], HttpServer]:
        async with http_server(answer or reply(200, b"{}")) as server:
            urls = url.replace("PORT", str(server.port))
            call = Call("key-1", connection=NotifyConnection(urls=urls))
            step = NotifyParams(**{"connection": "n", "text": "hello", **params})
            return await Notify().run(step, call), server

    return asyncio.run(scenario())


def _refusal(url: str, answer: Reply | None = None, **params: Any) -> ActionFailed:
    with pytest.raises(ActionFailed) as caught:
        _told(url, answer, **params)
    return caught.value


def test_ntfy_gets_title_and_text() -> None:
    result, server = _told(
        f"ntfy://127.0.0.1:PORT/{TOPIC}?mode=private", title="Node", text="ünder <b>&amp;"
    )
    (asked,) = server.requests
    said = json.loads(asked.body)
    assert result == {"services": 1}
    assert (said["topic"], said["title"], said["message"]) == (TOPIC, "Node", "ünder <b>&amp;")


def test_gotify_gets_the_message_with_its_token() -> None:
    _, server = _told("gotify://127.0.0.1:PORT/tokenOfAnApp", reply(200, b'{"id": 1}'))
    (asked,) = server.requests
    assert asked.target.startswith("/message")
    assert asked.headers["x-gotify-key"] == "tokenOfAnApp"
    assert json.loads(asked.body)["message"] == "hello"


def test_several_services_hear_the_same() -> None:
    result, server = _told("json://127.0.0.1:PORT/a\njson://127.0.0.1:PORT/b")
    assert result == {"services": 2}
    assert sorted(request.target for request in server.requests) == ["/a", "/b"]


@pytest.mark.parametrize("status", [403, 500])
def test_a_refusal_is_tried_again_and_told_without_the_credentials(status: int) -> None:
    error = _refusal(
        f"ntfy://someuser:secretword@127.0.0.1:PORT/{TOPIC}?mode=private",
        reply(status, b'{"code": 40301, "error": "no such luck"}'),
    )
    assert error.retry
    assert error.message
    assert str(status) in error.message or "no such luck" in error.message
    assert TOPIC not in error.message
    assert "secretword" not in error.message


def test_nobody_there_is_tried_again() -> None:
    error = _refusal(f"json://127.0.0.1:{free_port()}/x")
    assert error.retry


def test_apprise_says_nothing_anywhere_else() -> None:
    heard = io.StringIO()
    handler, root = logging.StreamHandler(heard), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        _refusal("json://127.0.0.1:PORT/x-very-secret", reply(500))
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    assert "very-secret" not in heard.getvalue()
    assert "asyncio" in heard.getvalue() or "selector" in heard.getvalue()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nosuch://host/very-secret-word", "knows no service nosuch://"),
        ("discord://very-secret-word", "can't read the URL of discord://"),
        ("very-secret-word", "begins with a scheme"),
        ("syslog://very-secret-word", "no service to write to from here"),
    ],
)
def test_a_url_that_apprise_can_not_read_is_a_dead_letter_and_not_repeated_aloud(
    url: str, words: str
) -> None:
    error = _refusal(url)
    assert (error.retry, error.reason) == (False, "bad_parameters")
    assert words in error.message
    assert "very-secret-word" not in error.message
    flaws = [*NotifyConnection.flaws({"urls": url}), *Notify().flaws({"urls": [url]}, None)]
    assert len(flaws) == 2
    assert all(words in flaw.message and "very-secret" not in flaw.message for flaw in flaws)


def test_what_is_not_written_out_shows_only_when_it_is_used() -> None:
    for text in ("secret('x')", "nosuch://{{ vars.x }}"):
        assert not list(NotifyConnection.flaws({"urls": text}))


def test_no_text_is_a_template_for_apprise() -> None:
    _, server = _told("json://127.0.0.1:PORT/", text="{{app_id}} {{ body }} \\n")
    assert json.loads(server.requests[0].body)["message"].rstrip() == "{{app_id}} {{ body }} \\n"


def test_a_description_names_the_service_and_no_more() -> None:
    params = NotifyParams(urls=f"ntfy://user:password@host/{TOPIC}", title="Node", text="x")
    assert Notify().describe(params) == "notify ntfy: Node"
    assert TOPIC not in repr(params)


@pytest.mark.parametrize("wrong", [{}, {"connection": "n", "urls": "json://x"}, {"urls": ""}])
def test_there_is_one_way_to_name_a_service(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        NotifyParams(text="x", **wrong)


def test_where_private_addresses_are_forbidden_nothing_is_told() -> None:
    async def scenario() -> None:
        call = Call("k", connection=NotifyConnection(urls="json://x"), allow_private=False)
        await Notify().run(NotifyParams(connection="n", text="x"), call)

    with pytest.raises(ActionFailed, match="private addresses"):
        asyncio.run(scenario())
