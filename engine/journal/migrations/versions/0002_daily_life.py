"""Follow-ups that wait for events, rules that change, and the rule set in force."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
_LATER = "state in ('pending', 'on hold')"


def upgrade() -> None:
    """Add columns, indexes and a table; nothing that is there changes."""
    for column in (
        sa.Column("arrived", sa.BigInteger()),
        sa.Column("met", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("late", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("named", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("released", sa.Integer(), nullable=False, server_default=sa.text("0")),
    ):
        op.add_column("runs", column)
    _index("runs_arrived", ["arrived"], "arrived is not null")
    _index("runs_later", ["rule", "seq"], _LATER)
    op.create_table(
        "in_force",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ruleset", sa.Text(), nullable=False),
        sa.Column("stored", sa.BigInteger(), nullable=False),
        sa.Column("broken", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _index(name: str, columns: list[str], where: str) -> None:
    op.create_index(
        name, "runs", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
    )
