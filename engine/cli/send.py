"""`rulewave send`: signs and posts a sample event, exactly as a panel of that version would."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

import typer

from engine.cli.printing import clean
from engine.clock import SystemClock, to_iso
from engine.errors import UserError
from engine.settings import read_places, read_secrets
from engine.sources.samples import NEWEST_PANEL, request_headers, sample
from engine.sources.signature import sign

_TIMEOUT = 30.0
_TWO_HUNDREDS = range(200, 300)


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent, and what was answered."""

    event_type: str
    status: int
    answer: str
    note: str | None


def send(
    type: Annotated[str, typer.Argument(help="An event type, as user.expires_in_24_hours.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A field: data.email=a@b.c (repeatable).")
    ] = None,
    panel: Annotated[str, typer.Option(help="The panel's version.")] = NEWEST_PANEL,
    url: Annotated[str | None, typer.Option(help="Where to; default: this daemon.")] = None,
    count: Annotated[int, typer.Option(min=1, help="So many events, each of its own.")] = 1,
    rate: Annotated[float, typer.Option(min=0.001, help="Events a second.")] = 50.0,
    secret: Annotated[str | None, typer.Option(help="Instead of RULEWAVE_WEBHOOK_SECRET.")] = None,
) -> None:
    """Sign and post a sample event as the panel would."""
    overrides = dict(map(_assignment, set_ or []))
    target = url or _own_url()
    key = read_secrets(secret)[0]
    sent = _all(type, panel, overrides, target, key, count, rate)
    notes: set[str | None] = {None}
    refused = 0
    for one in _with_progress(sent, count):
        if one.note not in notes:
            typer.echo(one.note, err=True)
            notes.add(one.note)
        fine = one.status in _TWO_HUNDREDS
        refused += not fine
        if count == 1 or not fine:
            typer.echo(f"{one.event_type}: {one.status} {clean(one.answer)}")
    if count > 1:
        told = f", {refused} of them refused" if refused else f" to {target}"
        typer.echo(f"{count} events sent{told}")
    if refused:
        raise typer.Exit(1)


def _all(
    type: str, panel: str, overrides: dict[str, Any], url: str, secret: str, count: int, rate: float
) -> Iterator[Sent]:
    start, began = SystemClock().now(), time.monotonic()
    for number in range(count):
        # A millisecond apart, so that no two are the same body.
        yield post(type, panel, overrides, url, secret, start + number * 1000)
        ahead = began + (number + 1) / rate - time.monotonic()
        if ahead > 0 and number + 1 < count:
            time.sleep(ahead)  # noqa: TID251 - this process does nothing else


def post(type: str, panel: str, overrides: dict[str, Any], url: str, secret: str, now: int) -> Sent:
    """Make, sign and post one sample event."""
    made = sample(type, panel=panel, now=now, overrides=overrides)
    target = _target(url)
    headers = request_headers(
        made.body, sign(made.body, secret), _moment(made.body, now), target.netloc
    )
    status, answer = _post(target, headers, made.body)
    return Sent(made.event_type, status, answer, made.note)


def _target(url: str) -> SplitResult:
    """Where to post; UserError where that is no address."""
    try:
        parts = urlsplit(url)
        fine = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine or not url.isascii() or not url.isprintable() or " " in url:
        raise UserError(f"{clean(url)} is no address to post to; write http://host:port/webhook")
    return parts


def _moment(body: bytes, now: int) -> str:
    """The header's time: that of the body, where it can stand in a header."""
    said = json.loads(body).get("timestamp")
    fits = isinstance(said, str) and said.isascii() and said.isprintable()
    return said if fits else to_iso(now)


def _post(target: SplitResult, headers: list[tuple[str, str]], body: bytes) -> tuple[int, str]:
    secure = target.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(target.netloc.rpartition("@")[2], timeout=_TIMEOUT)
    path = urlunsplit(("", "", target.path or "/", target.query, ""))
    try:
        connection.putrequest("POST", path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        return response.status, response.read(65536).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise UserError(f"{target.geturl()} can't be reached: {error}") from error
    finally:
        connection.close()


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UserError(f"--set {text}: write it as data.email=anna@example.org")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _own_url() -> str:
    listen = read_places().listen
    if listen.startswith(("unix:", "fd:")):
        raise UserError(f"the daemon listens on {listen}; say --url")
    host, _, port = listen.rpartition(":")
    return f"http://{host or '127.0.0.1'}:{port}/webhook"


def _with_progress(sent: Iterator[Sent], count: int) -> Iterator[Sent]:
    import sys

    if count == 1 or not sys.stderr.isatty():
        yield from sent
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(sent, "sending", total=count, console=Console(stderr=True))
