"""The script of the demo: what is sent, beat by beat, and what has to come of it."""

from __future__ import annotations

from dataclasses import dataclass

Overrides = tuple[tuple[str, object], ...]


@dataclass(frozen=True, slots=True)
class Posting:
    """An event that the panel sends. `forged` is signed with a wrong secret."""

    type: str
    panel: str
    overrides: Overrides = ()
    forged: bool = False


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
    """One thing that happens: an event is posted, or (without one) time goes by."""

    expect: Expect
    posting: Posting | None = None
    again: bool = False
    says: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """A few beats that belong together."""

    title: str
    beats: tuple[Beat, ...]


_BORIS: Overrides = (("data.username", "boris"), ("data.email", "boris@example.org"))
_TOMORROW = Posting("user.expires_in_24_hours", "1.5.6")
_REMINDED = "your subscription ends tomorrow"
_ASKED_BACK = (("win-back", "pending"), ("demo-in-2-seconds", "pending"))

SCENES = (
    Scene(
        "A subscription ends tomorrow: email the user",
        (
            Beat(
                Expect(
                    202,
                    matched=("expires-tomorrow",),
                    runs=(("expires-tomorrow", "succeeded"),),
                    mails=(("anna@example.org", _REMINDED),),
                ),
                _TOMORROW,
            ),
            Beat(
                Expect(
                    202,
                    matched=("expires-tomorrow",),
                    runs=(("expires-tomorrow", "succeeded"),),
                    mails=(("boris@example.org", _REMINDED),),
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
                    matched=("new-user-to-crm",),
                    runs=(("new-user-to-crm", "succeeded"),),
                    calls=(("/crm/customers", 503), ("/crm/customers", 201)),
                ),
                Posting("user.created", "2.7.0"),
            ),
        ),
    ),
    Scene(
        "Two subscriptions have ended, one is renewed: follow-ups",
        (
            Beat(
                Expect(202, matched=("win-back", "demo-in-2-seconds"), runs=_ASKED_BACK),
                Posting("user.expired", "2.4"),
            ),
            Beat(
                Expect(202, matched=("win-back", "demo-in-2-seconds"), runs=_ASKED_BACK),
                Posting("user.expired", "3.3", _BORIS),
            ),
            Beat(
                Expect(202, runs=(("win-back", "cancelled"), ("demo-in-2-seconds", "cancelled"))),
                Posting("user.modified", "3.3", _BORIS),
                says="boris pays. There is no event for that: his date moves, and that is enough.",
            ),
            Beat(
                Expect(
                    runs=(("demo-in-2-seconds", "succeeded"),),
                    mails=(("anna@example.org", "We miss you, anna_k"),),
                ),
                says="Two seconds after anna's event …",
            ),
        ),
    ),
    Scene(
        "A node is lost, and comes back before anybody is called",
        (
            Beat(
                Expect(202, matched=("node-down",), runs=(("node-down", "pending"),)),
                Posting("node.connection_lost", "2.0.0"),
            ),
            Beat(
                Expect(202, runs=(("node-down", "cancelled"),)),
                Posting("node.connection_restored", "2.0.0"),
            ),
        ),
    ),
    Scene(
        "A failed login starts a program, a torrent report goes to the log",
        (
            Beat(
                Expect(
                    202,
                    matched=("failed-login",),
                    runs=(("failed-login", "succeeded"),),
                    printed=("failed login of admin from 192.0.2.55",),
                    unstored=("made-up-password",),
                ),
                Posting("service.login_attempt_failed", "1.6.1"),
                says="The panel sends the tried password along. It is never stored.",
            ),
            Beat(
                Expect(
                    202,
                    matched=("torrent",),
                    runs=(("torrent", "succeeded"),),
                    logged=("anna_k used torrents on fra-1, from 203.0.113.77",),
                ),
                Posting("torrent_blocker.report", "3.3"),
            ),
        ),
    ),
)
