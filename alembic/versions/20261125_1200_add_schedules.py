"""Add schedules, and the two that an installation begins with.

Revision: 3a9c5e71b0d4

Code of the release before knows nothing of schedules: its workers begin no runs by them. Going down forgets them; their runs stay.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "3a9c5e71b0d4"
down_revision = "5c1e8a4d7f26"
branch_labels = None
depends_on = None


def upgrade() -> None:
    schedule = op.create_table(
        "schedule",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("pipeline", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("cron", sa.String(length=200), nullable=True),
        sa.Column("time_zone", sa.String(length=64), nullable=False),
        sa.Column("engine", sa.String(length=20), nullable=False),
        sa.Column("full_refresh", sa.Boolean(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_tick_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_tick_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule")),
        sa.UniqueConstraint("name", name=op.f("uq_schedule__name")),
    )
    now = datetime.now(UTC)
    op.bulk_insert(
        schedule,
        [
            _built_in("daily", "0 6 * * *", now, next_tick_at=_next(now, range(6, 7))),
            _built_in("declarative", "0 */4 * * *", now, next_tick_at=_next(now, range(0, 24, 4))),
        ],
    )


def _built_in(name: str, cron: str, now: datetime, *, next_tick_at: datetime) -> dict[str, object]:
    return {
        "id": f"schedule_{name}",
        "name": name,
        "pipeline": name,
        "kind": "cron",
        "cron": cron,
        "time_zone": "UTC",
        "engine": "embedded",
        "full_refresh": False,
        "parameters": {},
        "created_by": "installation",
        "created_at": now,
        "paused_at": None,
        "last_tick_at": None,
        "next_tick_at": next_tick_at,
    }


def _next(now: datetime, hours: range) -> datetime:
    """The first full hour after now that is one of these."""
    begin = now.replace(minute=0, second=0, microsecond=0)
    return next(hour for n in range(1, 25) if (hour := begin + timedelta(hours=n)).hour in hours)


def downgrade() -> None:
    op.drop_table("schedule")
