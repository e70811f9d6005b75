"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables."""
    _attempts()
    _buckets()
    _clocks()
    _decider()
    _events()
    _rejected()
    _rulesets()
    _runs()
    _versions()
    _watch_kinds()
    _watches()


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("irrevocable", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("run", "path", "number"),
        sqlite_with_rowid=False,
    )


def _buckets() -> None:
    op.create_table(
        "buckets",
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("free_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("target"),
    )


def _clocks() -> None:
    op.create_table(
        "clocks",
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("rule"),
    )


def _decider() -> None:
    op.create_table(
        "decider",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _events() -> None:
    op.create_table(
        "events",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("raised", sa.BigInteger(), nullable=False),
        sa.Column("stored", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("names", sa.Text(), nullable=True),
        sa.Column("decided", sa.BigInteger(), nullable=True),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("source", "digest", name="events_digest"),
        sqlite_autoincrement=True,
    )
    op.create_index("events_raised", "events", ["raised", "seq"], unique=False)
    op.create_index("events_subject", "events", ["subject", "raised", "seq"], unique=False)
    op.create_index("events_type", "events", ["type", "seq"], unique=False)
    op.create_index(
        "events_undecided",
        "events",
        ["seq"],
        unique=False,
        sqlite_where=sa.text("decided is null"),
        postgresql_where=sa.text("decided is null"),
    )
    op.create_index(
        "events_waiting",
        "events",
        ["stored"],
        unique=False,
        sqlite_where=sa.text("decided is null"),
        postgresql_where=sa.text("decided is null"),
    )


def _rejected() -> None:
    op.create_table(
        "rejected",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("stored", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )


def _rulesets() -> None:
    op.create_table(
        "rulesets",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("stored", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("origin_seq", sa.BigInteger(), nullable=False),
        sa.Column("origin_raised", sa.BigInteger(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("cursor", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("starts", sa.Integer(), nullable=False),
        sa.Column("first_try", sa.BigInteger(), nullable=True),
        sa.Column("delayed", sa.Integer(), nullable=False),
        sa.Column("watched", sa.Integer(), nullable=False),
        sa.Column("results", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.Column("parent", sa.Text(), nullable=True),
        sa.Column("cancelled_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("origin", "rule", "path", "generation", name="runs_once"),
        sqlite_autoincrement=True,
    )
    _run_indexes()


def _run_indexes() -> None:
    op.create_index(
        "runs_due",
        "runs",
        ["due"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "runs_ended",
        "runs",
        ["ended"],
        unique=False,
        sqlite_where=sa.text("ended is not null"),
        postgresql_where=sa.text("ended is not null"),
    )
    op.create_index("runs_key", "runs", ["key", "seq"], unique=False)
    op.create_index("runs_origin", "runs", ["origin_seq"], unique=False)
    op.create_index("runs_rule", "runs", ["rule", "seq"], unique=False)
    op.create_index("runs_state", "runs", ["state", "seq"], unique=False)


def _versions() -> None:
    op.create_table(
        "versions",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("stored", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )


def _watch_kinds() -> None:
    op.create_table(
        "watch_kinds",
        sa.Column("pattern", sa.Text(), nullable=False),
        sa.Column("per", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pattern", "per"),
        sqlite_with_rowid=False,
    )


def _watches() -> None:
    op.create_table(
        "watches",
        sa.Column("pattern", sa.Text(), nullable=False),
        sa.Column("per", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("pattern", "per", "key", "run", "position"),
        sqlite_with_rowid=False,
    )
    op.create_index("watches_run", "watches", ["run"], unique=False)
