"""Note up to where an audit chain was swept.

Revision: e80b3f5a6c27, after 7d20c9e4b815

Code of the release before takes a swept chain for a broken one, and goes on writing it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "e80b3f5a6c27"
down_revision = "7d20c9e4b815"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("audit_writer", schema=None) as batch_op:
        batch_op.add_column(sa.Column("swept_seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
        batch_op.add_column(sa.Column("swept_key_id", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("swept_mac", sa.LargeBinary(length=32), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("audit_writer", schema=None) as batch_op:
        batch_op.drop_column("swept_mac")
        batch_op.drop_column("swept_key_id")
        batch_op.drop_column("swept_seq")
