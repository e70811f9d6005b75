"""What happens in a month: what the panel sends, and what becomes of rules, daemon and mail server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from journeys.month.rules import RULES

from engine.clock import DAY, HOUR, MINUTE, SECOND, from_iso

START = from_iso("2026-03-01T00:00:00.000Z") or 0
NEVER = 2**62
UPGRADES = ((0, "1.5"), (8, "2.4"), (15, "2.8"), (22, "3.3"))
"""From which day on the panel has which version."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One event of the panel: `arrived` is when the daemon accepted it first."""

    arrived: int
    raised: int
    type: str
    who: str
    email: str | None = None
    ends: int = 0
    status: str = "ACTIVE"

    @property
    def panel(self) -> str:
        """The version that the panel had."""
        return [panel for day, panel in UPGRADES if START + day * DAY <= self.raised][-1]


@dataclass(slots=True)
class Gap:
    """A rule was away; what was due meanwhile was released by a person at `released`."""

    start: int
    end: int
    released: int
    name: str


@dataclass(slots=True)
class Story:
    """All that happens in a month, for those who let it happen and for the one who foretells.

    Attributes:
        sent: what the panel says, in order of arrival.
        again: redeliveries: when, and what.
        acts: what people and machines do: when, what, and to what.
        versions: rule → since when which version of its text is in force.
        gaps: rule → when it was away.
        down: spans in which the daemon did not run.
        away: spans in which the mail server did not.
        told: what the owner must have been told by the daemon itself, and when.
        cut: events with which the process died, and when it was back.
        rules: those that there are.
    """

    end: int
    sent: list[Sent] = field(default_factory=list)
    again: list[tuple[int, Sent]] = field(default_factory=list)
    acts: list[tuple[int, str, tuple[str, ...]]] = field(default_factory=list)
    versions: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    gaps: dict[str, list[Gap]] = field(default_factory=dict)
    down: list[tuple[int, int]] = field(default_factory=list)
    away: list[tuple[int, int]] = field(default_factory=list)
    told: list[tuple[int, str]] = field(default_factory=list)
    cut: dict[Sent, int] = field(default_factory=dict)
    rules: Sequence[str] = tuple(RULES)

    # ------------------------------------------------------------------------ people and machines

    def edit(self, at: int, rule: str) -> None:
        """Other texts."""
        known = self.versions.setdefault(rule, [])
        known.append((at, len(known) + 2))
        self.acts.append((at, "edit", (rule, str(len(known) + 1))))

    def typo(self, at: int, rule: str, until: int, name: str | None = None) -> None:
        """A mistake in one rule, which is then called `name`."""
        self.acts += [(at, "typo", (rule,)), (until, "mend", (rule,))]
        self.told.append((at, f"rulewave.rule_broken {name or rule}"))

    def remove(
        self, at: int, rule: str, until: int, released: int, name: str | None = None
    ) -> None:
        """A rule is taken out, and put back; a person releases what is overdue."""
        self.acts += [(at, "remove", (rule,)), (until, "put back", (rule,))]
        self.acts.append((released, "release", (name or rule,)))
        self.gaps.setdefault(rule, []).append(Gap(at, until, released, name or rule))

    def rename(self, at: int, rule: str, name: str) -> None:
        """A rule gets another name."""
        self.acts.append((at, "rename", (rule, name)))

    def reboot(self, at: int, until: int) -> None:
        """The daemon is away, from one moment to another."""
        self.acts.append((at, "reboot", (str(until - at),)))
        self.down.append((at, until))

    def cut_off(self, sent: Sent, until: int) -> None:
        """The process dies with that event in its journal, before it does anything about it."""
        self.acts.append((sent.arrived, "cut off", (str(until - sent.arrived),)))
        self.down.append((sent.arrived + 1, until))
        self.cut[sent] = until

    def mail_away(self, at: int, until: int) -> None:
        """The mail server is away."""
        self.acts += [(at, "mail away", ()), (until, "mail back", ())]
        self.away.append((at, until))

    def is_awake(self, at: int) -> int:
        """That moment, or when the daemon runs again."""
        for start, end in self.down:
            if start <= at < end:
                return end
        return at

    # ------------------------------------------------------------------------------- the panel

    def send(self, raised: int, type: str, who: str, *, late: int = 0, **fields: object) -> None:
        """The panel says something, which arrives so much later; where nobody listens, after that."""
        arrived = self.is_awake(raised + late)
        if arrived != raised + late:
            arrived = max([arrived, *(one.arrived for one in self._held(arrived))]) + SECOND
        self.sent.append(Sent(arrived, raised, type, who, **fields))  # type: ignore[arg-type]

    def _held(self, since: int) -> list[Sent]:
        """What arrives in the minute after a start."""
        return [one for one in self.sent if since <= one.arrived < since + MINUTE]

    def in_order(self) -> list[Sent]:
        """What was sent, as it arrived."""
        return sorted(self.sent, key=lambda sent: sent.arrived)


@dataclass(slots=True)
class Customer:
    """One subscription: who, since when, until when, and what the customer does about its end.

    `pays` are moments of payment, each good for `plan` more from the later of now and the end.
    """

    name: str
    since: int
    plan: int
    email: str | None
    pays: tuple[int, ...] = ()
    leaves: int = NEVER
    by: str = "user.modified"

    def events(self, end: int) -> Iterator[tuple[int, str, int, str]]:
        """What the panel says of them until `end`: raised, type, end of subscription, status."""
        ends = self.since + self.plan
        yield self.since, "user.created", ends, "ACTIVE"
        marks = sorted([*self.pays, NEVER])
        while True:
            paid = marks.pop(0)
            until = min(paid, self.leaves, end)
            for moment, type, status in (
                (ends - 72 * HOUR, "user.expires_in_72_hours", "ACTIVE"),
                (ends - 24 * HOUR, "user.expires_in_24_hours", "ACTIVE"),
                (ends, "user.expired", "EXPIRED"),
            ):
                if last_paid(self, paid) <= moment < until:
                    yield moment, type, ends, status
            if paid >= min(self.leaves, end):
                break
            ends = max(ends, paid) + self.plan
            yield paid, self.by, ends, "ACTIVE"
        if self.leaves < end:
            yield self.leaves, "user.deleted", ends, "DISABLED"


def last_paid(customer: Customer, before: int) -> int:
    """The payment before that one, or when they came."""
    return max((paid for paid in customer.pays if paid < before), default=customer.since)


def day(number: float, hours: float = 0, minutes: float = 0) -> int:
    """A moment of the month."""
    return START + int(number * DAY + hours * HOUR + minutes * MINUTE)
