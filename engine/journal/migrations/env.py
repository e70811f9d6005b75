"""Where Alembic connects: one SQLite file, one transaction for all steps."""

from __future__ import annotations

from alembic import context
from sqlalchemy import NullPool, create_engine, event

from engine.journal.tables import metadata

# Left to itself the driver commits each change of a table at once, and a failed migration would
# leave its connection in the pool.
engine = create_engine(
    f"sqlite:///{context.config.attributes['path']}",
    connect_args={"isolation_level": None},
    poolclass=NullPool,
)
event.listen(engine, "begin", lambda started: started.exec_driver_sql("begin immediate"))
with engine.begin() as connection:
    context.configure(
        connection=connection, target_metadata=metadata, render_as_batch=True,
        transactional_ddl=True,
    )  # fmt: skip
    context.run_migrations()
