"""The script of the demo: what is sent, beat by beat, and what has to come of it."""

from __future__ import annotations

from dataclasses import dataclass

Overrides = tuple[tuple[str, object], ...]


@dataclass(frozen=True, slots=True)
class Posting:
    """An event that the panel sends.

    Attributes:
        forged: signed with a wrong secret.
        minutes_ago: when it happened.
    """

    type: str
    panel: str
    overrides: Overrides = ()
    forged: bool = False
    minutes_ago: int = 0


@dataclass(frozen=True, slots=True)
class Expect:
    """What has to come of a beat; each entry at least once, `matched` exactly.

    Attributes:
        runs: rule and state.
        mails: recipient and a part of the subject.
        calls: path and status.
        printed: a part of what a program printed.
        logged: a part of what a `log` action wrote.
        unstored: what the event as stored must not hold.
    """

    status: int | None = None
    matched: tuple[str, ...] = ()
    runs: tuple[tuple[str, str], ...] = ()
    mails: tuple[tuple[str, str], ...] = ()
    calls: tuple[tuple[str, int], ...] = ()
    printed: tuple[str, ...] = ()
    logged: tuple[str, ...] = ()
    unstored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Beat:
    """One thing that happens: an event is posted, or a follow-up of the rule `hurried` runs now."""

    expect: Expect
    posting: Posting | None = None
    again: bool = False
    says: str = ""
    hurried: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """A few beats that belong together."""

    title: str
    beats: tuple[Beat, ...]


_ANNA, _TO_BORIS = "anna@example.org", "boris@example.org"
_BORIS: Overrides = (("data.username", "boris"), ("data.email", _TO_BORIS))
_TOMORROW = Posting("user.expires_in_24_hours", "1.5.6")
_REMINDED = "your subscription ends tomorrow"
_AFTER_THE_END = ("has-ended", "win-back")
_ALERT = (("/ops/bot…/sendMessage", 200),)
_AMS: Overrides = (
    ("data.uuid", "7c0de5b2-41f8-4a6e-9b3d-2f5a8c1e6d90"),
    ("data.name", "ams-1"),
)


def _all(rules: tuple[str, ...], state: str) -> tuple[tuple[str, str], ...]:
    return tuple((rule, state) for rule in rules)


SCENES = (
    Scene(
        "Rulewave has started, and says so",
        (
            Beat(
                Expect(runs=(("tell-the-owner", "succeeded"),), calls=_ALERT),
                says="In ten seconds the owner would be told in the chat. Nobody waits here, so:",
                hurried="tell-the-owner",
            ),
        ),
    ),
    Scene(
        "A subscription ends tomorrow: email the user",
        (
            Beat(
                Expect(
                    202,
                    matched=("expires-tomorrow",),
                    runs=(("expires-tomorrow", "succeeded"),),
                    mails=((_ANNA, _REMINDED),),
                ),
                _TOMORROW,
            ),
            Beat(
                Expect(
                    202,
                    matched=("expires-tomorrow",),
                    runs=(("expires-tomorrow", "succeeded"),),
                    mails=((_TO_BORIS, _REMINDED),),
                ),
                Posting("user.expiration", "3.3", (*_BORIS, ("meta.expiration", -24))),
                says="Newer panels have another name for it. The same rule understands both.",
            ),
            Beat(
                Expect(202),
                Posting(
                    "user.expires_in_24_hours",
                    "2.4",
                    (("data.username", "clara"), ("data.email", None)),
                ),
                says="A user without an address: no mail, and it is on record why.",
            ),
        ),
    ),
    Scene(
        "Deliveries that must do nothing",
        (
            Beat(
                Expect(200),
                _TOMORROW,
                again=True,
                says="The panel sends the first event once more, byte by byte the same.",
            ),
            Beat(
                Expect(401),
                Posting("user.deleted", "3.3", forged=True),
                says="Somebody who does not know the secret is turned away; nothing of it is stored.",
            ),
        ),
    ),
    Scene(
        "A new user goes to the CRM, which is busy at first",
        (
            Beat(
                Expect(
                    202,
                    matched=("crm-copy", "never-connected"),
                    runs=(("crm-copy", "succeeded"), ("never-connected", "pending")),
                    calls=(("/crm/customers/anna_k", 503), ("/crm/customers/anna_k", 201)),
                ),
                Posting("user.created", "2.7.0"),
            ),
        ),
    ),
    Scene(
        "Two subscriptions have ended, one is renewed: follow-ups",
        (
            Beat(
                Expect(202, matched=_AFTER_THE_END, runs=_all(_AFTER_THE_END, "pending")),
                Posting("user.expired", "2.4"),
            ),
            Beat(
                Expect(202, matched=_AFTER_THE_END, runs=_all(_AFTER_THE_END, "pending")),
                Posting("user.expired", "3.3", _BORIS),
            ),
            Beat(
                Expect(
                    202,
                    matched=("crm-copy",),
                    runs=(*_all(_AFTER_THE_END, "cancelled"), ("crm-copy", "succeeded")),
                    calls=(("/crm/customers/boris", 201),),
                ),
                Posting("user.modified", "3.3", _BORIS),
                says="boris pays. There is no event for that: his date moves, and that is enough.",
            ),
            Beat(
                Expect(
                    runs=(("win-back", "succeeded"),),
                    mails=((_ANNA, "We miss you, anna_k"),),
                ),
                says="anna does not. Let us not wait three days for what comes then:",
                hurried="win-back",
            ),
        ),
    ),
    Scene(
        "One node comes back before anybody is told, one does not",
        (
            Beat(
                Expect(202, matched=("node-down",), runs=(("node-down", "pending"),)),
                Posting("node.connection_lost", "2.0.0"),
            ),
            Beat(
                Expect(202, runs=(("node-down", "cancelled"),)),
                Posting("node.connection_restored", "2.0.0"),
            ),
            Beat(
                Expect(202, matched=("node-down",), runs=(("node-down", "pending"),)),
                Posting("node.connection_lost", "3.3", _AMS, minutes_ago=20),
                says="Another one stays away …",
            ),
            Beat(
                Expect(runs=(("node-down", "succeeded"), ("node-down", "pending")), calls=_ALERT),
                says="… so five minutes later:",
                hurried="node-down",
            ),
            Beat(
                Expect(202, runs=(("node-down", "succeeded"),), calls=_ALERT),
                Posting("node.connection_restored", "3.3", _AMS),
                says="It is back. Whoever was told that it is gone, is told that, too.",
            ),
        ),
    ),
    Scene(
        "Failed logins and torrents: programs, the chat, the log, mails",
        (
            Beat(
                Expect(202, unstored=("made-up-password",)),
                Posting("service.login_attempt_failed", "1.6.1", minutes_ago=2),
                says="The panel sends the tried password along. It is never stored.",
            ),
            Beat(
                Expect(202),
                Posting("service.login_attempt_failed", "1.6.1", minutes_ago=1),
                says="One failed login is nothing, nor are two …",
            ),
            Beat(
                Expect(
                    202,
                    matched=("failed-login",),
                    runs=(("failed-login", "succeeded"), ("failed-login", "pending")),
                    printed=("failed logins of admin from 192.0.2.55",),
                ),
                Posting("service.login_attempt_failed", "1.6.1"),
                says="… but three are.",
            ),
            Beat(
                Expect(202, runs=(("failed-login", "succeeded"),), calls=_ALERT),
                Posting("service.login_attempt_success", "1.6.1"),
                says="From the same address, the next try succeeds: that the owner wants to know.",
            ),
            Beat(
                Expect(
                    202,
                    matched=("torrent",),
                    runs=(("torrent", "succeeded"),),
                    mails=((_ANNA, "please no torrents"),),
                    logged=("anna_k used torrents on fra-1",),
                ),
                Posting("torrent_blocker.report", "3.3"),
            ),
        ),
    ),
    Scene(
        "A mail can't be delivered: the owner is told, and not by mail",
        (
            Beat(
                Expect(
                    202,
                    matched=("traffic",),
                    runs=(("traffic", "dead"), ("tell-the-owner", "pending")),
                ),
                Posting(
                    "user.limited",
                    "3.3",
                    (("data.username", "dora"), ("data.email", "gone@example.org")),
                ),
            ),
            Beat(
                Expect(runs=(("tell-the-owner", "succeeded"),), calls=_ALERT),
                says="Ten seconds later, or at once:",
                hurried="tell-the-owner",
            ),
        ),
    ),
)
