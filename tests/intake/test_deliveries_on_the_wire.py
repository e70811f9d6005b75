"""What panels really send arrives byte for byte: recorded deliveries, and axios itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from panel_deliveries import PanelDelivery, deliveries
from wire import PATIENCE, SECRET, Listener, Store, ask

NODE = Path(__file__).parents[1] / "node"


@pytest.mark.parametrize("sent", deliveries(), ids=lambda sent: sent.name)
def test_a_recorded_delivery_reaches_us_with_its_bytes_and_headers(sent: PanelDelivery) -> None:
    store = Store(secret=sent.secret)
    with Listener(store.intake()) as listener:
        headers = _complete(sent)
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        reply = ask(listener, b"POST /webhook HTTP/1.1\r\n" + lines + b"\r\n" + sent.body)
    assert reply.status == 202
    (got,) = store.deliveries
    assert got.body == sent.body
    assert got.headers == tuple((name.lower(), value) for name, value in headers)


def _complete(sent: PanelDelivery) -> tuple[tuple[bytes, bytes], ...]:
    """The samples lack what every HTTP client adds."""
    if any(name == b"Host" for name, _ in sent.headers):
        return sent.headers
    length = b"%d" % len(sent.body)
    return (*sent.headers, (b"Content-Length", length), (b"Host", b"127.0.0.1"))


def test_an_event_posted_by_axios_as_the_panel_does_verifies_and_arrives_unchanged() -> None:
    store = Store()
    with Listener(store.intake()) as listener:
        url = f"http://127.0.0.1:{listener.address[1]}/webhook"
        shown = subprocess.run(
            ["node", NODE / "panel.mjs", url, SECRET, "2"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
    first, second = (json.loads(line) for line in shown.stdout.strip().split("\n"))
    assert [first["status"], second["status"]] == [202, 200]
    assert first["answer"] == {"event_id": "e1", "status": "accepted"}
    (got,) = store.deliveries
    assert got.body == first["sent"].encode()
    _is_as_javascript_writes_it(got.body)
    assert dict(got.headers)[b"user-agent"] == b"Remnawave"
    assert dict(got.headers)[b"content-type"] == b"application/json"


def _is_as_javascript_writes_it(body: bytes) -> None:
    for written in (
        "Анна — «Базовый» 🚀".encode(),
        "\u2028".encode(),
        b'"big":1e+21',
        b'"exact":"9007199254740993"',
        b'"small":1e-7',
        b'"lone":"\\ud800"',
        b'"path":"a/b"',
    ):
        assert written in body


def test_axios_hears_of_a_refusal_as_a_status() -> None:
    with Listener(Store().intake(max_body=64)) as listener:
        url = f"http://127.0.0.1:{listener.address[1]}/webhook"
        command = ["node", NODE / "panel.mjs", url, SECRET]
        shown = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=True
        )
    told = json.loads(shown.stdout)
    assert told["status"] == 413
    assert told["answer"]["error"]["code"] == "too_large"
