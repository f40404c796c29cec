"""Give an installation a schedule for what it records of itself: without one the audit trail is never exported, so never swept.

Revision: c84d20f6a917

Code of the release before carries its runs out as it does those of any schedule.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "c84d20f6a917"
down_revision = "9a4e61d2f708"
branch_labels = None
depends_on = None

_ID = "schedule_system"


def upgrade() -> None:
    schedule = _table()
    taken = op.get_bind().execute(sa.select(schedule.c.id).where(schedule.c.name == "system")).first()
    if taken is not None:  # somebody has made one: theirs stays
        return
    now = datetime.now(UTC)
    today = now.replace(hour=6, minute=30, second=0, microsecond=0)
    op.bulk_insert(
        schedule,
        [
            {
                "id": _ID,
                "name": "system",
                "pipeline": "system",
                "kind": "cron",
                "cron": "30 6 * * *",
                "time_zone": "UTC",
                "engine": "embedded",
                "full_refresh": False,
                "parameters": {},
                "created_by": "installation",
                "created_at": now,
                "next_tick_at": today if today > now else today + timedelta(days=1),
            }
        ],
    )


def downgrade() -> None:
    schedule = _table()
    op.execute(sa.delete(schedule).where(schedule.c.id == _ID))


def _table() -> sa.TableClause:
    return sa.table(
        "schedule",
        sa.column("id", sa.String),
        sa.column("name", sa.String),
        sa.column("pipeline", sa.String),
        sa.column("kind", sa.String),
        sa.column("cron", sa.String),
        sa.column("time_zone", sa.String),
        sa.column("engine", sa.String),
        sa.column("full_refresh", sa.Boolean),
        sa.column("parameters", sa.JSON),
        sa.column("created_by", sa.String),
        sa.column("created_at", sa.DateTime(timezone=True)),
        sa.column("next_tick_at", sa.DateTime(timezone=True)),
    )
