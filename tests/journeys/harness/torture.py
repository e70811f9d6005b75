"""The rules and the load of the crash torture, and what the rules promise for each event."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from journeys.harness import http_sink, smtp_sink
from journeys.harness.checker import Promise
from journeys.harness.panel import Panel, Posted, make, now

_SECOND = 1_000_000
_PANELS = ("1.5.6", "2.2.6", "3.3")

_RULES = Template("""\
version: 1
connections:
  mail: {kind: smtp, host: 127.0.0.1, port: $smtp, tls: none, from: bot@example.org}
  sink: {kind: http, url: "$sink"}
rules:
  - id: everything
    on: "*"
    do:
      - http: {post: /everything, connection: sink, json: {mark: "{{ user.description }}"}}
        retry: {tries: 500, backoff: 1s, max: 1s}
  - id: two-steps
    on: user.expires_in_24_hours
    do:
      - id: first
        http: {post: /first, connection: sink, json: {mark: "{{ user.description }}"}}
        retry: {tries: 500, backoff: 1s, max: 1s}
      - log: {text: "between the steps of {{ user.description }}"}
      - http:
          post: /second
          connection: sink
          json: {mark: "{{ user.description }}", receipt: "{{ steps.first.json.receipt }}"}
        retry: {tries: 500, backoff: 1s, max: 1s}
  - id: mail
    on: user.limited
    do:
      - email: {to: "{{ user.email }}", subject: "{{ user.description }}", text: hello}
        retry: {tries: 500, backoff: 1s, max: 1s}
  - id: program
    on: user.first_connected
    do:
      - shell: {run: [/bin/sh, "$folder/program.sh", "{{ user.description }}"], cwd: "$folder"}
        retry: {tries: 500, backoff: 1s, max: 1s}
  - id: win-back
    on: user.expired
    do:
      - after: 2s
        cancel_on: [user.renewed, user.deleted]
        http: {post: /win-back, connection: sink, json: {mark: "{{ user.description }}"}}
        retry: {tries: 500, backoff: 1s, max: 1s}
  - id: nested
    on: user.disabled
    do:
      - http: {post: /before, connection: sink, json: {mark: "{{ user.description }}"}}
        retry: {tries: 500, backoff: 1s, max: 1s}
      - after: 1s
        do:
          - http: {post: /inner, connection: sink, json: {mark: "{{ user.description }}"}}
            retry: {tries: 500, backoff: 1s, max: 1s}
          - after: 1s
            http: {post: /innermost, connection: sink, json: {mark: "{{ user.description }}"}}
            retry: {tries: 500, backoff: 1s, max: 1s}
""")

# Every tenth asks to be tried again, once.
_PROGRAM = """\
printf '%s %s\\n' "$RULEWAVE_IDEMPOTENCY_KEY" "$1" >> ran
case "$1" in
  *7) [ "$(grep -c "$RULEWAVE_IDEMPOTENCY_KEY" ran)" -ge 2 ] || exit 75 ;;
esac
"""

_ALWAYS = Promise("everything", "", http=("everything",))
PROMISES: Mapping[str, tuple[Promise, ...]] = {
    "user.expires_in_24_hours": (_ALWAYS, Promise("two-steps", "", http=("first", "second"))),
    "user.limited": (_ALWAYS, Promise("mail", "", mail=True)),
    "user.first_connected": (_ALWAYS, Promise("program", "", program=True)),
    "user.expired": (
        _ALWAYS,
        Promise("win-back", ""),
        Promise("win-back", "do.0", http=("win-back",), delay=2 * _SECOND, cancellable=True),
    ),
    "user.disabled": (
        _ALWAYS,
        Promise("nested", "", http=("before",)),
        Promise("nested", "do.1", http=("inner",), delay=_SECOND),
        Promise("nested", "do.1.do.1", http=("innermost",), delay=2 * _SECOND),
    ),
    "*": (_ALWAYS,),
}
CANCELLING = frozenset({"user.modified", "user.deleted"})
"""Here a `user.modified` always moves the end of the term: it is a `user.renewed`."""


def write_rules(folder: Path, sink_url: str, smtp_port: int) -> str:
    """The rules for these sinks; the program of the shell step goes into the folder."""
    (folder / "program.sh").write_text(_PROGRAM)
    return _RULES.substitute(folder=folder, sink=sink_url, smtp=smtp_port)


def moody_http(call: http_sink.Call, number: int) -> int:
    """One key in four has a bad first call: refused, cut off, or slow."""
    mood = int(call.key[:2], 16) % 12
    if number > 1 or mood > 2:
        return 200
    if mood == 0:
        threading.Event().wait(0.3)
    return (200, 503, http_sink.DROP)[mood]


def moody_smtp(stage: smtp_sink.Stage, number: int) -> str | None:
    """Now and then "later", before DATA and after."""
    return "451 4.3.0 later" if number % (9 if stage == "rcpt" else 7) == 0 else None


@dataclass
class Load:
    """One client: tells stories of users, one after the other, until told to stop."""

    panel: Panel
    name: str
    chance: random.Random
    stop: threading.Event
    count: int = 0
    _later: list[tuple[int, Posted]] = field(default_factory=list)
    _raised: int = 0

    def run(self, pause: float = 0.02) -> None:
        """Post until the stop, then what was still to come."""
        while not self.stop.is_set():
            self._tell()
            self._catch_up(now())
            self.stop.wait(pause)
        self._catch_up(now() + 3600 * _SECOND)

    def _tell(self) -> None:
        type = self.chance.choice(
            ["user.created", "user.limited", "user.first_connected", "user.disabled"]
            + ["user.expires_in_24_hours"] * 2
            + ["user.expired"] * 3
        )
        user = f"{self.name}-{self.count}"
        version = self.chance.choice(_PANELS)
        if type == "user.expires_in_24_hours":
            version = "1.5.6"
        if type == "user.first_connected":
            version = "3.3"
        event = self._event(type, user, version)
        if type == "user.expired":
            self._expire(event, version)
        else:
            self._post(event)

    def _expire(self, expired: Posted, version: str) -> None:
        story = self.chance.random()
        if story < 0.4:
            self._post(expired)
            return
        type = self.chance.choice(["user.modified", "user.deleted"])
        if story < 0.55:  # it overtakes what it cancels
            self._post(self._event("user.deleted", expired.user, version))
            self._post(expired)
            return
        self._post(expired)
        cancels = self._event(type, expired.user, version, days=30)
        wait = 0 if story < 0.75 else self.chance.randrange(3 * _SECOND)
        self._later.append((now() + wait, cancels))

    def _catch_up(self, moment: int) -> None:
        due = [event for at, event in self._later if at <= moment]
        self._later = [(at, event) for at, event in self._later if at > moment]
        for event in due:
            self._post(event)

    def _post(self, event: Posted) -> None:
        self.panel.deliver(event)
        if self.chance.random() < 0.1:  # the same bytes once more
            self.panel.deliver(event)

    def _event(self, type: str, user: str, version: str, days: int = 0) -> Posted:
        self.count += 1
        self._raised = max(now(), self._raised + 1000)
        mark = f"{self.name}-{self.count}"
        return make(type, user, mark, panel=version, raised=self._raised, days=days)
