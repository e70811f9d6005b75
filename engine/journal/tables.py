"""The journal's tables. Moments are integers (µs, UTC); JSON is text, so no type needs converting.

Imported only to compile statements and to migrate: SQLAlchemy costs a start 0.4 s and 17 MB.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()
_Serial = BigInteger().with_variant(Integer, "sqlite")

events = Table(
    "events",
    metadata,
    Column("seq", _Serial, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("source", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("raised", BigInteger, nullable=False),
    Column("stored", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("names", Text),
    Column("decided", BigInteger),
    Column("decision", Text),
    UniqueConstraint("source", "digest", name="events_digest"),
    Index("events_undecided", "seq", sqlite_where=text("decided is null"),
          postgresql_where=text("decided is null")),
    Index("events_waiting", "stored", sqlite_where=text("decided is null"),
          postgresql_where=text("decided is null")),
    Index("events_subject", "subject", "raised", "seq"),
    Index("events_raised", "raised", "seq"),
    Index("events_type", "type", "seq"),
    sqlite_autoincrement=True,
)  # fmt: skip

rejected = Table(
    "rejected",
    metadata,
    Column("seq", _Serial, primary_key=True, autoincrement=True),
    Column("source", Text, nullable=False),
    Column("stored", BigInteger, nullable=False),
    Column("code", Text, nullable=False),
    Column("body", Text, nullable=False),
    sqlite_autoincrement=True,
)

runs = Table(
    "runs",
    metadata,
    Column("seq", _Serial, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("origin", Text, nullable=False),
    Column("origin_seq", BigInteger, nullable=False),
    Column("origin_raised", BigInteger, nullable=False),
    Column("rule", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("key", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("lane", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("cursor", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("starts", Integer, nullable=False),
    Column("first_try", BigInteger),
    Column("delayed", Integer, nullable=False),
    Column("watched", Integer, nullable=False),
    Column("results", Text, nullable=False),
    Column("reason", Text),
    Column("message", Text),
    Column("ended", BigInteger),
    Column("parent", Text),
    Column("cancelled_by", Text),
    Column("forgiven", Integer, nullable=False),
    Column("salt", Text, nullable=False),
    Column("failure", Text),
    Column("dropped", BigInteger),
    Column("arrived", BigInteger),
    Column("met", Integer, nullable=False, server_default=text("0")),
    Column("late", BigInteger, nullable=False, server_default=text("0")),
    Column("named", Text, nullable=False, server_default=text("''")),
    Column("released", Integer, nullable=False, server_default=text("0")),
    Column("expires", BigInteger),
    Column("taken", Text, nullable=False, server_default=text("'{}'")),
    Column("bound", Text, nullable=False, server_default=text("'{}'")),
    UniqueConstraint("origin", "rule", "path", "generation", name="runs_once"),
    Index("runs_due", "due", sqlite_where=text("state = 'pending'"),
          postgresql_where=text("state = 'pending'")),
    Index("runs_state", "state", "seq"),
    Index("runs_key", "key", "seq"),
    Index("runs_rule", "rule", "seq"),
    Index(
        "runs_ended",
        "ended",
        sqlite_where=text("ended is not null"),
        postgresql_where=text("ended is not null"),
    ),
    Index("runs_origin", "origin_seq"),
    Index("runs_arrived", "arrived", sqlite_where=text("arrived is not null"),
          postgresql_where=text("arrived is not null")),
    # Few at any time: what a reload looks through, whatever the history of a rule.
    Index("runs_later", "rule", "seq", sqlite_where=text("state in ('pending', 'on hold')"),
          postgresql_where=text("state in ('pending', 'on hold')")),
    # Whom a match meets that may not run beside others, and who waits for them to end.
    Index("runs_open", "rule", "key", "seq",
          sqlite_where=text("state in ('pending', 'queued', 'running', 'on hold')"),
          postgresql_where=text("state in ('pending', 'queued', 'running', 'on hold')")),
    Index("runs_behind", "rule", "key", "seq", sqlite_where=text("reason = 'concurrency'"),
          postgresql_where=text("reason = 'concurrency'")),
    Index("runs_parked", "lane", "attempt", "seq",
          sqlite_where=text("reason = 'target_paused'"),
          postgresql_where=text("reason = 'target_paused'")),
    sqlite_autoincrement=True,
)  # fmt: skip

attempts = Table(
    "attempts",
    metadata,
    Column("run", Text, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("started", BigInteger, nullable=False),
    Column("irrevocable", Integer, nullable=False, server_default=text("0")),
    Column("ended", BigInteger),
    Column("outcome", Text),
    Column("reason", Text),
    Column("message", Text),
    sqlite_with_rowid=False,
)

watches = Table(
    "watches",
    metadata,
    Column("pattern", Text, primary_key=True),
    Column("per", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("run", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
    Index("watches_run", "run"),
    sqlite_with_rowid=False,
)

# The distinct pairs of `watches`, so that an event asks only for what some follow-up waits for.
watch_kinds = Table(
    "watch_kinds",
    metadata,
    Column("pattern", Text, primary_key=True),
    Column("per", Text, primary_key=True),
    sqlite_with_rowid=False,
)

versions = Table(
    "versions",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("stored", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)

rulesets = Table(
    "rulesets",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("stored", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)

# One row: the rule set in force, and what was wrong with the rules as they were last read.
in_force = Table(
    "in_force",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("ruleset", Text, nullable=False),
    Column("stored", BigInteger, nullable=False),
    Column("broken", Text, nullable=False),
)

clocks = Table(
    "clocks",
    metadata,
    Column("rule", Text, primary_key=True),
    Column("last", BigInteger, nullable=False),
)

# One row: what is being decided, written before the deciding, so that a crash in it is counted.
decider = Table(
    "decider",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("first", BigInteger, nullable=False),
    Column("size", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
)

# What a rule's matches came to, by key: counted so far (JSON of moments).
counts = Table(
    "counts",
    metadata,
    Column("rule", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("times", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The places that a throttle has given out; of a story in which nothing was tried they count no more.
places = Table(
    "places",
    metadata,
    Column("run", Text, primary_key=True),
    Column("event", BigInteger, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("attempted", Integer, nullable=False),
    Index("places_key", "rule", "key", "at"),
    sqlite_with_rowid=False,
)

# The last digest of each key, and the events that a digest gathered.
windows = Table(
    "windows",
    metadata,
    Column("rule", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("run", Text, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Column("until", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

gathered = Table(
    "gathered",
    metadata,
    Column("run", Text, primary_key=True),
    Column("event", BigInteger, primary_key=True),
    Column("left_out", Integer, nullable=False, server_default=text("0")),
    Index("gathered_event", "event"),
    sqlite_with_rowid=False,
)

buckets = Table(
    "buckets",
    metadata,
    Column("target", Text, primary_key=True),
    Column("free_at", BigInteger, nullable=False),
)
