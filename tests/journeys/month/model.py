"""What must come of a month, foretold in plain Python by somebody who only knows the rules' words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from journeys.month.rules import OWNER
from journeys.month.story import NEVER, START, Sent, Story

from engine.clock import DAY, HOUR, MINUTE, from_datetime, to_datetime

ALMOST_AT_ONCE = MINUTE
AFTER_AN_OUTAGE = 80 * MINUTE
"""The longest wait between two tries is an hour and a fifth, and a paused target is probed."""

_MAIL = {"welcome", "how-is-it", "last-hours", "three-days-left", "one-day-left", "win-back"}
"""The rules that ask for a mail address."""
Wanted = Callable[[int], bool]


@dataclass(frozen=True, slots=True)
class Promise:
    """Somebody has to be told something in that span, once; where not `certain`, may be told."""

    to: str
    text: str
    earliest: int
    latest: int
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Effect:
    """Somebody was told something."""

    to: str
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Wait:
    """A follow-up of a rule that was to come in that span."""

    rule: str
    since: int
    until: int


@dataclass(frozen=True, slots=True)
class Model:
    """Foretells one story.

    Attributes:
        waits: what waited, as far as it was foretold already.
    """

    story: Story
    sent: Sequence[Sent]
    waits: list[Wait] = field(default_factory=list)

    # ------------------------------------------------------------------------- what is known when

    def before(self, sent: Sent) -> Sent | None:
        """The last state known of the same subject before that event."""
        place = self.sent.index(sent)
        known = [
            other for other in self.sent[:place]
            if other.who == sent.who and other.raised <= sent.raised
        ]  # fmt: skip
        return max(known, key=lambda other: other.raised, default=None)

    def latest(self, who: str, at: int) -> Sent:
        """The newest state known at a moment."""
        known = [sent for sent in self.sent if sent.who == who and sent.arrived <= at]
        return max(known, key=lambda sent: sent.raised)

    def renews(self, sent: Sent) -> bool:
        """Whether the subscription ends later than it did."""
        if sent.type not in {"user.modified", "user.enabled"}:
            return False
        before = self.before(sent)
        return before is not None and sent.ends > before.ends

    def undone(self, origin: Sent, undoes: Callable[[Sent], bool]) -> int:
        """When something arrived that was raised after the origin and undoes it."""
        came = [
            other.arrived
            for other in self.sent
            if other.who == origin.who and other.raised > origin.raised and undoes(other)
        ]
        return min(came, default=NEVER)

    # ------------------------------------------------------------------------------- rules in time

    def version(self, rule: str, at: int) -> str | None:
        """What the texts begin with that a rule makes at that moment; None where it is away."""
        away = any(gap.start <= at < gap.end for gap in self.story.gaps.get(rule, ()))
        if away or rule not in self.story.rules:
            return None
        edits = [number for since, number in self.story.versions.get(rule, ()) if since <= at]
        return f"[{edits[-1] if edits else 1}]"

    def at_once(self, sent: Sent) -> int:
        """When an event is acted upon."""
        return self.story.cut.get(sent, sent.arrived)

    def taken_up(self, rule: str, due: int) -> int:
        """When a follow-up is taken up that is due then."""
        at = self.story.is_awake(due)
        for gap in self.story.gaps.get(rule, ()):
            if gap.start <= at < gap.end:
                at = gap.released
        return at

    def wait(self, rule: str, since: int, due: int, undone: int = NEVER) -> int:
        """When a follow-up is taken up; it waits until then, or until something undoes it."""
        at = self.taken_up(rule, due)
        self.waits.append(Wait(rule, since, min(at, undone)))
        return at

    def mail(self, sent: Sent, text: str, at: int, wanted: Wanted = lambda _: True) -> Iterator[Promise]:  # fmt: skip
        """A mail at that moment, or when the mail server is back, if it is wanted then."""
        earliest, latest = at, at + ALMOST_AT_ONCE
        for start, end in self.story.away:
            if start <= at < end:
                earliest = self.story.is_awake(end)
                latest = self.story.is_awake(end + AFTER_AN_OUTAGE)
        if wanted(earliest):
            yield Promise(sent.email or "", text, earliest, latest, wanted(latest))

    def call(self, text: str, at: int) -> Promise:
        """A call at that moment."""
        return Promise(OWNER, text, at, at + ALMOST_AT_ONCE)

    # ---------------------------------------------------------------------------- rule by rule

    def promises(self) -> list[Promise]:
        """All that must have happened at the end of the story."""
        every = [*self.of_events(), *self.mornings(), *self.holds()]
        for at, text in self.story.told:
            every.append(self.call(f"{self.version('tell-owner', at)} {text}", at))
        return [promise for promise in every if promise.earliest <= self.story.end]

    def of_events(self) -> Iterator[Promise]:
        """What comes of what the panel sent."""
        rules: dict[str, dict[str, Callable[[Sent, str], Iterable[Promise]]]] = {
            "user.created": {
                "welcome": self.welcome, "new-user": self.new_user,
                "how-is-it": self.how_is_it, "last-hours": self.last_hours,
            },
            "user.renewed": {"last-hours": self.last_hours},
            "user.expires_in_72_hours": {"three-days-left": self.three_days_left},
            "user.expires_in_24_hours": {"one-day-left": self.one_day_left},
            "user.expired": {"win-back": self.win_back},
            "user.bandwidth_usage_threshold_reached": {"quota": self.quota},
            "node.connection_lost": {"node-down": self.node_down},
        }  # fmt: skip
        for sent in self.sent:
            type = "user.renewed" if self.renews(sent) else sent.type
            for rule, promised in rules.get(type, {}).items():
                version = self.version(rule, sent.arrived)
                if version is not None and (sent.email or rule not in _MAIL):
                    yield from promised(sent, version)

    def welcome(self, sent: Sent, version: str) -> Iterable[Promise]:
        return self.mail(sent, f"{version} welcome {sent.who}", self.at_once(sent))

    def new_user(self, sent: Sent, version: str) -> Iterable[Promise]:
        yield self.call(f"{version} new {sent.who}, 100 GiB", self.at_once(sent))

    def how_is_it(self, sent: Sent, version: str) -> Iterable[Promise]:
        due = sent.arrived + HOUR
        at = self.wait("how-is-it", sent.arrived, due)
        if self.story.is_awake(due) - due <= 30 * MINUTE:
            yield from self.mail(sent, f"{version} how is it, {sent.who}", at)

    def three_days_left(self, sent: Sent, version: str) -> Iterable[Promise]:
        return self.reminder(sent, f"{version} three days left, {sent.who}")

    def one_day_left(self, sent: Sent, version: str) -> Iterable[Promise]:
        return self.reminder(sent, f"{version} one day left, {sent.who}")

    def reminder(self, sent: Sent, text: str) -> Iterable[Promise]:
        def wanted(at: int) -> bool:
            return self.latest(sent.who, at).ends <= sent.ends

        return self.mail(sent, text, self.at_once(sent), wanted)

    def last_hours(self, sent: Sent, version: str) -> Iterable[Promise]:
        def undoes(other: Sent) -> bool:
            renewed = self.renews(other) and other.ends != sent.ends
            return renewed or other.type == "user.deleted"

        undone = self.undone(sent, undoes)
        due = max(sent.arrived, sent.ends - 6 * HOUR)
        at = self.wait("last-hours", sent.arrived, due, undone)
        text = f"{version} six hours left, {sent.who}"
        return self.mail(sent, text, at, lambda at: at <= undone)

    def win_back(self, sent: Sent, version: str) -> Iterable[Promise]:
        def undoes(other: Sent) -> bool:
            return self.renews(other) or other.type == "user.deleted"

        undone = self.undone(sent, undoes)

        def wanted(at: int) -> bool:
            return at <= undone

        def first_wanted(at: int) -> bool:
            return wanted(at) and self.latest(sent.who, at).status == "EXPIRED"

        at = self.wait("win-back", sent.arrived, sent.arrived + 3 * DAY, undone)
        for first in self.mail(sent, f"{version} we miss you, {sent.who}", at, first_wanted):
            yield first
            second = self.wait("win-back", first.latest, first.earliest + 7 * DAY, undone)
            text = f"{version} last call, {sent.who}"
            for last in self.mail(sent, text, second, wanted):
                latest = last.latest + first.latest - first.earliest
                certain = first.certain and last.certain and wanted(latest)
                yield Promise(last.to, text, last.earliest, latest, certain)

    def quota(self, sent: Sent, version: str) -> Iterable[Promise]:
        yield self.call(f"{version} {sent.who} used 82 %", self.at_once(sent))

    def node_down(self, sent: Sent, version: str) -> Iterable[Promise]:
        def back(other: Sent) -> bool:
            return other.type == "node.connection_restored"

        undone = self.undone(sent, back)
        told = self.wait("node-down", sent.arrived, sent.arrived + 5 * MINUTE, undone)
        if undone < told:
            return
        yield self.call(f"{version} {sent.who} is down", told)
        if undone > told + DAY:
            at = self.wait("node-down", told, told + DAY)
            yield self.call(f"{version} {sent.who} is gone for good", at)
            return
        first = self.first_back(sent, undone)
        at = self.wait("node-down", told, self.at_once(first))
        seconds = round((first.raised - sent.raised) / 1e6)
        yield self.call(f"{version} {sent.who} is back after {seconds} s", at)

    def first_back(self, lost: Sent, arrived: int) -> Sent:
        """What said that a node is back."""
        return next(sent for sent in self.sent if (sent.who, sent.arrived) == (lost.who, arrived))

    def holds(self) -> Iterator[Promise]:
        """The owner is told of what is put on hold, where there is something."""
        for rule, gaps in self.story.gaps.items():
            for gap in gaps:
                if any(
                    one.rule == rule and one.since <= gap.start < one.until for one in self.waits
                ):
                    version = self.version("tell-owner", gap.start)
                    yield self.call(f"{version} rulewave.on_hold {gap.name}", gap.start)

    def mornings(self) -> Iterator[Promise]:
        """Nine o'clock in Berlin, whatever summer time does."""
        zone = ZoneInfo("Europe/Berlin")
        today = to_datetime(START).astimezone(zone).date()
        told = 0
        while True:
            nine = from_datetime(datetime(today.year, today.month, today.day, 9, tzinfo=zone))
            today += timedelta(days=1)
            at = self.story.is_awake(nine)
            if at > self.story.end:
                return
            version = self.version("morning", at)
            if at > told and version is not None:  # several missed ones make one
                yield self.call(f"{version} good morning", at)
            told = at


def differences(promised: Iterable[Promise], done: Iterable[Effect]) -> list[str]:
    """What is missing, doubled, or came at the wrong time."""
    left = sorted(promised, key=lambda promise: promise.earliest)
    wrong = []
    for effect in sorted(done, key=lambda effect: effect.at):
        for promise in left:
            same = (promise.to, promise.text) == (effect.to, effect.text)
            if same and promise.earliest <= effect.at <= promise.latest:
                left.remove(promise)
                break
        else:
            wrong.append(f"not promised: {to_datetime(effect.at)} {effect.to}: {effect.text}")
    for promise in left:
        if promise.certain:
            span = f"{to_datetime(promise.earliest)} to {to_datetime(promise.latest)}"
            wrong.append(f"missing: {span} {promise.to}: {promise.text}")
    return wrong
