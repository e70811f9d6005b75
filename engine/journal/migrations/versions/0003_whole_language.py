"""What holds matches back: counts, places, digests; and who waits for whom."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
_OPEN = "state in ('pending', 'queued', 'running', 'on hold')"


def upgrade() -> None:
    """Add tables and indexes; nothing that is there changes."""
    op.add_column("runs", sa.Column("expires", sa.BigInteger()))
    for name in ("taken", "bound"):
        blank = sa.text("'{}'")
        op.add_column("runs", sa.Column(name, sa.Text(), nullable=False, server_default=blank))
    _index("runs_open", _OPEN)
    _index("runs_behind", "reason = 'concurrency'")
    _table("counts", _key("rule"), _key("key"), _text("times"), _moment("until"))
    _table(
        "places", _key("run"), sa.Column("event", sa.BigInteger(), primary_key=True),
        _text("rule"), _text("key"), _moment("at"), _moment("until"),
        sa.Column("attempted", sa.Integer(), nullable=False),
    )  # fmt: skip
    op.create_index("places_key", "places", ["rule", "key", "at"])
    _table(
        "windows", _key("rule"), _key("key"), _text("run"), _moment("due"),
        sa.Column("count", sa.Integer(), nullable=False), _moment("until"),
    )  # fmt: skip
    _table(
        "gathered", _key("run"), sa.Column("event", sa.BigInteger(), primary_key=True),
        sa.Column("left_out", sa.Integer(), nullable=False, server_default=sa.text("0")),
    )  # fmt: skip
    op.create_index("gathered_event", "gathered", ["event"])


def _index(name: str, where: str) -> None:
    op.create_index(
        name, "runs", ["rule", "key", "seq"],
        sqlite_where=sa.text(where), postgresql_where=sa.text(where),
    )  # fmt: skip


def _table(name: str, *columns: sa.Column[object]) -> None:
    op.create_table(name, *columns, sqlite_with_rowid=False)


def _key(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Text(), primary_key=True)


def _text(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Text(), nullable=False)


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger(), nullable=False)
