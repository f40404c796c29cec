"""Tell the timeline of runs what has ended.

Revision: 7d20c9e4b815, after 3a9c5e71b0d4

Runs that have ended before are told too. Code of the release before does not tell: what its workers end meanwhile is missing.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "7d20c9e4b815"
down_revision = "3a9c5e71b0d4"
branch_labels = None
depends_on = None

_SAME = "pipeline, trigger, state, error_class, error_code, parameters, created_at, started_at"


def upgrade() -> None:
    op.create_table(
        "ended_run",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("pipeline", sa.String(length=200), nullable=False),
        sa.Column("trigger", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("error_class", sa.String(length=20), nullable=True),
        sa.Column("error_code", sa.String(length=100), nullable=True),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_ended_run")),
    )
    op.create_index("ix_ended_run__position_run_id", "ended_run", ["position", "run_id"])
    op.execute(
        f"INSERT INTO ended_run (run_id, {_SAME}, ended_at) SELECT id, {_SAME}, finished_at FROM run "
        "WHERE state IN ('succeeded', 'failed', 'cancelled') AND finished_at IS NOT NULL"
    )


def downgrade() -> None:
    op.drop_table("ended_run")
