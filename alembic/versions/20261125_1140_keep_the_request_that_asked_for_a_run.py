"""Keep the request that asked for a run: what its worker logs is found by it.

Revision: 5c1e8a4d7f26, after c41f0a7be2d6
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "5c1e8a4d7f26"
down_revision = "c41f0a7be2d6"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.add_column(sa.Column("request_id", sa.String(length=64), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_column("request_id")
