"""Number batches for lineage.

Revision: c41f0a7be2d6, after 67fb2862a274

Batches committed before get the first number: their lineage is exported with that of the first ones after.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "c41f0a7be2d6"
down_revision = "67fb2862a274"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("flow_batch", schema=None) as batch_op:
        batch_op.add_column(sa.Column("lineage_position", sa.BigInteger(), nullable=True))
        batch_op.create_index("ix_flow_batch__lineage_position", ["lineage_position"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("flow_batch", schema=None) as batch_op:
        batch_op.drop_index("ix_flow_batch__lineage_position")
        batch_op.drop_column("lineage_position")
