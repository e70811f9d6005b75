"""A panel as the daemon meets it: signed events, posted again with the same bytes until answered."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass, field, replace

from journeys.harness.daemon import SECRET

from engine.clock import to_iso
from engine.sources.samples import sample
from engine.sources.signature import sign

_TIMEOUT = 15.0
_PAUSE = 0.03
_MILLISECOND = 1000
_DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Posted:
    """An event and what its posts were answered; `sent` and `acked` are moments (µs)."""

    mark: str
    type: str
    user: str
    raised: int
    body: bytes
    sent: int = 0
    acked: int | None = None
    answers: tuple[tuple[int, str], ...] = ()
    """Status and event id of every 2xx."""


def make(
    type: str, user: str, mark: str, *, panel: str = "3.3", raised: int | None = None, days: int = 0
) -> Posted:
    """An event about a user who is paid up to `days` from now; `mark` is its description."""
    moment = (now() if raised is None else raised) // _MILLISECOND * _MILLISECOND
    about = {"username": user, "description": mark, "expireAt": to_iso(moment + days * _DAY)}
    made = sample(type, panel=panel, now=moment, overrides=about)
    return Posted(mark, made.event_type, user, moment, made.body)


def now() -> int:
    """The wall clock, in microseconds."""
    return time.time_ns() // 1000


@dataclass
class Panel:
    """Posts to one address; `posted` is everything, as it stands now. Threads may share it."""

    port: int
    posted: dict[str, Posted] = field(default_factory=dict)
    give_up: threading.Event = field(default_factory=threading.Event)

    def deliver(self, event: Posted) -> Posted:
        """Post until it is answered 2xx, or until told to give up."""
        event = self.posted.setdefault(event.mark, replace(event, sent=now()))
        while not self.give_up.is_set():
            answer = self._post(event.body)
            if answer is not None:
                moment = now() if event.acked is None else event.acked
                event = replace(event, acked=moment, answers=(*event.answers, answer))
                self.posted[event.mark] = event
                break
            self.give_up.wait(_PAUSE)
        return event

    def _post(self, body: bytes) -> tuple[int, str] | None:
        headers = {
            "Content-Type": "application/json",
            "X-Remnawave-Signature": sign(body, SECRET),
            "User-Agent": "Remnawave",
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_TIMEOUT)
        try:
            connection.request("POST", "/webhook", body, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        if response.status not in {200, 202}:
            assert response.status == http.client.SERVICE_UNAVAILABLE, content
            return None
        return response.status, json.loads(content)["event_id"]
