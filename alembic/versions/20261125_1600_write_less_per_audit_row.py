"""Write less per audit row: customers are found by the index by time.

Revision: 9a4e61d2f708, after 51c7aa0e9d43
"""

from __future__ import annotations

from alembic import op

revision = "9a4e61d2f708"
down_revision = "51c7aa0e9d43"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_audit_event__customer", "audit_event")
    op.drop_index("ix_audit_event__at", "audit_event")
    op.create_index("ix_audit_event__at", "audit_event", ["at", "writer", "seq", "customer"])


def downgrade() -> None:
    op.drop_index("ix_audit_event__at", "audit_event")
    op.create_index("ix_audit_event__at", "audit_event", ["at", "writer", "seq"])
    op.create_index("ix_audit_event__customer", "audit_event", ["customer", "at"])
