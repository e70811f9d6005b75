"""Where Alembic connects: one SQLite file, one transaction for all steps."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine

from engine.journal.tables import metadata

engine = create_engine(f"sqlite:///{context.config.attributes['path']}")
with engine.begin() as connection:
    context.configure(
        connection=connection, target_metadata=metadata, render_as_batch=True,
        transactional_ddl=True,
    )  # fmt: skip
    context.run_migrations()
engine.dispose()
