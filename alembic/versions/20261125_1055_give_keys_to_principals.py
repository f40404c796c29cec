"""Give keys to principals; add groups, nesting, rotation and the generation of access.

Revision: 3b7d1c5e9a42

Every key there is becomes the key of a service of its name, which may directly what the key may: nobody loses or gains anything. The column
``api_key.scopes`` stays, so that processes of the release before go on letting in the keys they know; it now narrows what the principal may.
Going down, keys that narrow nothing are left without scopes: what groups gave cannot be said in the older schema.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "3b7d1c5e9a42"
down_revision = "16c836c53b3a"
branch_labels = None
depends_on = None

BUILT_IN = {
    "partner": "Partner companies: profiles without personal data.",
    "compliance": "Compliance staff: profiles with personal data, and the audit trail.",
    "scoring": "Internal applications that score customers.",
    "analyst": "People who look at figures and runs.",
    "operator": "People and services that run pipelines.",
    "admin": "May everything.",
}


def upgrade() -> None:
    op.create_table(
        "principal",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("scopes", sa.String(length=1000), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_principal")),
    )
    groups = op.create_table(
        "principal_group",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("comment", sa.String(length=500), nullable=False),
        sa.Column("scopes", sa.String(length=1000), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_principal_group")),
    )
    op.create_table(
        "membership",
        sa.Column("group_name", sa.String(length=64), nullable=False),
        sa.Column("principal_id", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_name"], ["principal_group.name"], name=op.f("fk_membership__group_name__principal_group")
        ),
        sa.ForeignKeyConstraint(
            ["principal_id"], ["principal.id"], name=op.f("fk_membership__principal_id__principal")
        ),
        sa.PrimaryKeyConstraint("group_name", "principal_id", name=op.f("pk_membership")),
    )
    op.create_index("ix_membership__principal_id", "membership", ["principal_id"])
    op.create_table(
        "group_nesting",
        sa.Column("parent", sa.String(length=64), nullable=False),
        sa.Column("child", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["parent"], ["principal_group.name"], name=op.f("fk_group_nesting__parent__principal_group")
        ),
        sa.ForeignKeyConstraint(
            ["child"], ["principal_group.name"], name=op.f("fk_group_nesting__child__principal_group")
        ),
        sa.PrimaryKeyConstraint("parent", "child", name=op.f("pk_group_nesting")),
    )
    op.create_index("ix_group_nesting__child", "group_nesting", ["child"])
    generation = op.create_table(
        "access_generation",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_generation")),
    )
    op.bulk_insert(generation, [{"id": 1, "number": 1}])
    now = datetime.now(UTC)
    op.bulk_insert(
        groups,
        [{"name": name, "comment": comment, "scopes": "", "created_at": now} for name, comment in BUILT_IN.items()],
    )
    op.execute(
        "INSERT INTO principal (id, kind, name, scopes, created_at) "
        "SELECT 'prn' || substr(id, 4), 'service', name, scopes, created_at FROM api_key"
    )
    with op.batch_alter_table("api_key") as batch:
        batch.add_column(sa.Column("principal_id", sa.String(length=40), nullable=True))
        batch.add_column(sa.Column("replaced_by", sa.String(length=40), nullable=True))
        batch.add_column(sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE api_key SET principal_id = 'prn' || substr(id, 4)")
    with op.batch_alter_table("api_key") as batch:
        batch.alter_column("principal_id", existing_type=sa.String(length=40), nullable=False)
        batch.create_foreign_key(batch.f("fk_api_key__principal_id__principal"), "principal", ["principal_id"], ["id"])
        batch.create_index("ix_api_key__principal_id_id", ["principal_id", "id"])


def downgrade() -> None:
    with op.batch_alter_table("api_key") as batch:
        batch.drop_index("ix_api_key__principal_id_id")
        batch.drop_constraint(batch.f("fk_api_key__principal_id__principal"), type_="foreignkey")
        batch.drop_column("last_used_at")
        batch.drop_column("replaced_by")
        batch.drop_column("principal_id")
    op.drop_table("access_generation")
    op.drop_table("group_nesting")
    op.drop_table("membership")
    op.drop_table("principal_group")
    op.drop_table("principal")
