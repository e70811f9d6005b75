"""The nouns, frozen: a change is a new value. Moments are microseconds (UTC, since 1970)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from engine.clock import DAY

# Some 7,000 years on: what calendars can still name.
NEVER = 2_500_000 * DAY
"""When a run is due that waits for another one to end."""


class State(StrEnum):
    """Where a run stands: pending → queued → running → pending again, or an end."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    ON_HOLD = "on hold"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


OPEN_STATES = (State.PENDING, State.QUEUED, State.RUNNING, State.ON_HOLD)


class Verdict(StrEnum):
    """What a rule says to an event; never merged."""

    MATCHED = "matched"
    NOT_MATCHED = "not matched"
    COULD_NOT_EVALUATE = "could not evaluate"
    HELD_BACK = "held back"


class Reason(StrEnum):
    """The closed list of causes for which a try or a run ends otherwise than well."""

    FAILED = "failed"
    CONNECTION = "connection"
    TIMEOUT = "timeout"
    HTTP_STATUS = "http_status"
    REFUSED = "refused"
    EXIT_CODE = "exit_code"
    BAD_PARAMETERS = "bad_parameters"
    TEMPLATE = "template"
    COULD_NOT_EVALUATE = "could_not_evaluate"
    COULD_NOT_DECIDE = "could_not_decide"
    OUTCOME_UNKNOWN = "outcome_unknown"
    KILLS_ITS_WORKER = "kills_its_worker"
    HANDED_BACK = "handed_back"
    TARGET_PAUSED = "target_paused"
    CANCELLED_BY_EVENT = "cancelled_by_event"
    CANCELLED_BY_PERSON = "cancelled_by_person"
    NO_LONGER_MATCHES = "no_longer_matches"
    NO_RECIPIENT = "no_recipient"
    SKIPPED = "skipped"
    RULE_GONE = "rule_gone"
    RULE_OFF = "rule_off"
    RULE_SHADOW = "rule_shadow"
    RULE_CHANGED = "rule_changed"
    OVERDUE = "overdue"
    TOO_LATE = "too_late"
    DIGEST = "digest"
    CONCURRENCY = "concurrency"
    QUIET = "quiet"
    NOT_BEGUN_IN_TIME = "not_begun_in_time"
    STARTED_ANEW = "started_anew"
    STOPPED = "stopped"
    TOO_DEEP = "too_deep"
    BUG = "bug"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One HTTP request carrying an event: headers in the order sent, and the raw bytes."""

    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    source: str = "remnawave"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a delivery is answered with.

    `status` is the HTTP status of the table in interfaces.md; `code` names a refusal.
    """

    status: int
    code: str
    message: str = ""
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """The record of something that happened.

    `seq` orders by arrival (0 until stored); `raised` is the event's own timestamp,
    `stored` when it was accepted; `body` is as the source sent it, credentials removed;
    `subject` is `user:<key>`, `node:<key>` or None; `names` are all that it answers to, once
    it is decided.
    """

    id: str
    seq: int
    source: str
    type: str
    subject: str | None
    raised: int
    stored: int
    body: Mapping[str, Any]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """One rule, or one follow-up of it, for one event, until it ends.

    `origin` names the event (with its `seq` and `raised`); `path` is where in the rule it begins ("" = its `do`), `cursor` the step that is next,
    `attempt` counts the tries of that step (0 = none yet) and `starts` those without an end.
    `results` maps step ids to what the steps gave back. `lane` is the target of the next step.
    `first_try` is when the step under way was first tried (None = not yet).
    `forgiven` of its tries lie before a replay and count no more; `salt` makes its idempotency
    keys new. `failure` is what an `on_failure` run is about. `dropped` is when a person laid
    the dead letter aside.
    `arrived` is the arrival number of the event that an `await` around it was met by, `met`
    whether it was this very run that waited for it. `late` is how long after its due time it was
    handed over (µs). `named` is the id that its rule had when it was planned, where that was
    changed since. `released`: a person let it go on, whatever became of its rule.
    `expires` is until when it has to have begun (its rule's `ttl`).
    `taken` maps the paths of control steps to the number of the way that was gone (None: none), or
    to the list of items gone through; `bound` are the names that loops around it give to items.
    """

    id: str
    origin: str
    origin_seq: int
    origin_raised: int
    rule: str
    version: str
    path: str
    generation: int
    key: str
    state: State
    due: int
    created: int
    lane: str
    priority: int = 0
    cursor: int = 0
    attempt: int = 0
    starts: int = 0
    first_try: int | None = None
    delayed: bool = False
    watched: bool = False
    results: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None
    message: str | None = None
    ended: int | None = None
    parent: str | None = None
    cancelled_by: str | None = None
    forgiven: int = 0
    salt: str = ""
    failure: Mapping[str, Any] | None = None
    dropped: int | None = None
    arrived: int | None = None
    met: bool = False
    late: int = 0
    named: str = ""
    released: bool = False
    expires: int | None = None
    taken: Mapping[str, Any] = field(default_factory=dict)
    bound: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Watch:
    """What cancels a follow-up or meets its await: an event type (or glob) for the same key.

    `per` is the text of the rule's `per` ("" = the event's own subject);
    `position` tells which entry it is of what the step looks out for.
    """

    pattern: str
    per: str
    key: str
    position: int


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run that a plan would make, and what cancels or meets it before it begins."""

    run: Run
    watches: tuple[Watch, ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a step. `outcome` is None while it is under way."""

    run: str
    path: str
    number: int
    started: int
    ended: int | None = None
    outcome: str | None = None
    reason: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the journal knows around one event before it is decided.

    `previous` is the subject's last state before it, `latest` the newest known;
    `later` are events that arrived before it but were raised after it (of its subject).
    `arrived` is the event that an await of the run in hand was met by; `gathered` are the events
    of its digest, oldest first, this one the last.
    """

    event: Event
    previous: Event | None
    latest: Event | None
    later: tuple[Event, ...] = ()
    arrived: Event | None = None
    gathered: tuple[Facts, ...] = ()

    @property
    def bodies(self) -> list[Mapping[str, Any]]:
        """All that rules can see of the event, its subject, its digest, and what was waited for."""
        known = (self.event, self.previous, self.latest, self.arrived)
        own = [event.body for event in known if event is not None]
        return [*own, *(body for facts in self.gathered for body in facts.bodies)]


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision record: which event, all names it answers to, and what came of it."""

    seq: int
    names: tuple[str, ...]
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DueRun:
    """What the queue needs to know of a run that is due."""

    id: str
    lane: str
    priority: int
    cursor: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Watcher:
    """A waiting follow-up that an event's name, per and key fit."""

    run: str
    position: int
    rule: str
    version: str
    path: str
    origin_seq: int
    origin_raised: int
    due: int


@dataclass(frozen=True, slots=True)
class Place:
    """A place that a throttle gave to the story of `run`, which has the runs `open` left.

    A story in which nothing was tried gives it back when nothing of it is open any more.
    """

    at: int
    run: str
    attempted: bool
    open: tuple[str, ...] = ()

    def counts(self, ended: Collection[str]) -> bool:
        """Whether the place is still taken, these runs being at their end."""
        return self.attempted or any(run not in ended for run in self.open)


@dataclass(frozen=True, slots=True)
class Window:
    """The last digest of a key: its run, when it is or was due, how many events it gathered.

    `sent`: it went out, or will. `open`: it still gathers, if it is not due or full.
    """

    run: str
    due: int
    count: int
    open: bool
    sent: bool


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A run of the same rule and key that has not ended; `steps`: no follow-up, and not on hold."""

    run: str
    steps: bool


@dataclass(frozen=True, slots=True)
class Holding:
    """What a rule's earlier matches of the same key left: moments counted, places, digest, runs."""

    counted: tuple[int, ...] = ()
    places: tuple[Place, ...] = ()
    window: Window | None = None
    under_way: tuple[UnderWay, ...] = ()

    def without(self, ended: Collection[str]) -> Holding:
        """The same once these runs are at their end."""
        window = self.window
        if window is not None and window.run in ended:
            window = replace(window, open=False, sent=False)
        return replace(
            self,
            places=tuple(place for place in self.places if place.counts(ended)),
            window=window,
            under_way=tuple(one for one in self.under_way if one.run not in ended),
        )
