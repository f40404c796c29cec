"""${message}.

Revision: ${up_revision}, after ${down_revision | comma,n}

Before you commit this:
- The code of the release before must go on working on the new schema: add first, remove one release later.
- SQLite alters tables in batch mode: `with op.batch_alter_table(...)`.
- A lock that is not had within env.LOCK_TIMEOUT ends the migration. Fill large tables in steps, outside of it.
- `downgrade` undoes `upgrade`; the tests go up, down and up again on both databases.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
