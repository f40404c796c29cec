"""Show which workers there are.

Revision: 51c7aa0e9d43, after e80b3f5a6c27

Workers of the release before show nothing of themselves, and work as ever.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "51c7aa0e9d43"
down_revision = "e80b3f5a6c27"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "worker",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("concurrency", sa.Integer(), nullable=False),
        sa.Column("code_version", sa.String(length=64), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_worker")),
    )


def downgrade() -> None:
    op.drop_table("worker")
