"""What kind of event or run a row is, as statements ask it."""

from __future__ import annotations

from sqlalchemy import ColumnClause, ColumnElement, and_, literal_column, not_, or_

from engine.journal.tables import events, runs
from engine.model import Reason
from engine.sources.own import EMITTED

RAISED_BY_RULES: ColumnClause[str] = literal_column(f"'{EMITTED}'")
# What rules raise themselves tells nothing of how their subject stands.
IS_STATE: ColumnElement[bool] = events.c.source != RAISED_BY_RULES
_OWN = runs.c.path == literal_column("''")
TELLS_OF_FAILURE: ColumnElement[bool] = or_(
    runs.c.path == literal_column("'on_failure'"),
    runs.c.path.like(literal_column("'on_failure:%'")),
)
FOLLOWUP: ColumnElement[bool] = and_(not_(_OWN), not_(TELLS_OF_FAILURE))
# A rule's own run is still to come while it is held back.
HELD_BACK: ColumnElement[bool] = and_(
    _OWN,
    runs.c.reason.in_(
        [literal_column(f"'{why}'") for why in (Reason.DIGEST, Reason.QUIET, Reason.CONCURRENCY)]
    ),
)
