"""Give runs keys, priorities, retries and events.

Revision: 8bc7b8ca3bc3, after f8dff12789cd

Runs that wait get the key of their pipeline; one that is being carried out at this moment by the release before ends without.
Going down, events are lost, and what the release before does not know of runs.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "8bc7b8ca3bc3"
down_revision = "f8dff12789cd"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "run_event",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "seq", name=op.f("pk_run_event")),
    )
    op.create_table(
        "run_key",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("held_since", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "key", name=op.f("pk_run_key")),
    )
    with op.batch_alter_table("run_key", schema=None) as batch_op:
        batch_op.create_index("ix_run_key__key", ["key"], unique=False)
        batch_op.create_index(
            "uq_run_key__held_key",
            ["key"],
            unique=True,
            sqlite_where=sa.text("held_since IS NOT NULL"),
            postgresql_where=sa.text("held_since IS NOT NULL"),
        )

    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.add_column(sa.Column("parameters", sa.JSON(), server_default=sa.text("'{}'"), nullable=False))
        batch_op.add_column(sa.Column("parent_id", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("retry_of", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("schedule_id", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("tick_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("dedup_key", sa.String(length=200), nullable=True))
        batch_op.add_column(sa.Column("keys", sa.JSON(), server_default=sa.text("'[]'"), nullable=False))
        batch_op.add_column(sa.Column("priority", sa.Integer(), server_default=sa.text("5"), nullable=False))
        batch_op.add_column(
            sa.Column(
                "not_before",
                sa.DateTime(timezone=True),
                server_default=sa.text("'1970-01-01 00:00:00.000000'"),
                nullable=False,
            )
        )
        batch_op.add_column(sa.Column("max_attempts", sa.Integer(), server_default=sa.text("5"), nullable=False))
        batch_op.add_column(sa.Column("runner", sa.String(length=20), nullable=True))
        batch_op.add_column(sa.Column("handle", sa.String(length=500), nullable=True))
        batch_op.add_column(sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False))
        batch_op.add_column(sa.Column("versions_in", sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column("versions_out", sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column("error_class", sa.String(length=20), nullable=True))
        batch_op.add_column(sa.Column("last_event", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
        batch_op.create_index("ix_run__finished_at", ["finished_at"], unique=False)
        batch_op.create_index("ix_run__parent_id", ["parent_id"], unique=False)
        batch_op.create_index("ix_run__pipeline_id", ["pipeline", "id"], unique=False)
        batch_op.create_index(
            "ix_run__state_priority_not_before_id", ["state", "priority", "not_before", "id"], unique=False
        )
        batch_op.create_index(
            "uq_run__active_dedup_key",
            ["dedup_key"],
            unique=True,
            sqlite_where=sa.text("state IN ('queued', 'running')"),
            postgresql_where=sa.text("state IN ('queued', 'running')"),
        )
        batch_op.create_unique_constraint(batch_op.f("uq_run__schedule_id_tick_at"), ["schedule_id", "tick_at"])

    _fill()


def _fill() -> None:
    run = sa.table(
        "run",
        *(sa.column(name) for name in ("id", "pipeline", "state", "not_before", "created_at")),
        sa.column("keys", sa.JSON),
    )
    run_key = sa.table("run_key", sa.column("run_id"), sa.column("key"))
    connection = op.get_bind()
    connection.execute(run.update().values(not_before=run.c.created_at))
    for run_id, pipeline in connection.execute(
        sa.select(run.c.id, run.c.pipeline).where(run.c.state == "queued")
    ).all():
        key = f"pipeline:{pipeline}"
        connection.execute(run.update().where(run.c.id == run_id).values(keys=[key]))
        connection.execute(run_key.insert().values(run_id=run_id, key=key))


def downgrade() -> None:
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("uq_run__schedule_id_tick_at"), type_="unique")
        batch_op.drop_index(
            "uq_run__active_dedup_key",
            sqlite_where=sa.text("state IN ('queued', 'running')"),
            postgresql_where=sa.text("state IN ('queued', 'running')"),
        )
        batch_op.drop_index("ix_run__state_priority_not_before_id")
        batch_op.drop_index("ix_run__pipeline_id")
        batch_op.drop_index("ix_run__parent_id")
        batch_op.drop_index("ix_run__finished_at")
        batch_op.drop_column("last_event")
        batch_op.drop_column("error_class")
        batch_op.drop_column("versions_out")
        batch_op.drop_column("versions_in")
        batch_op.drop_column("failures")
        batch_op.drop_column("cancel_requested_at")
        batch_op.drop_column("handle")
        batch_op.drop_column("runner")
        batch_op.drop_column("max_attempts")
        batch_op.drop_column("not_before")
        batch_op.drop_column("priority")
        batch_op.drop_column("keys")
        batch_op.drop_column("dedup_key")
        batch_op.drop_column("tick_at")
        batch_op.drop_column("schedule_id")
        batch_op.drop_column("retry_of")
        batch_op.drop_column("parent_id")
        batch_op.drop_column("parameters")

    with op.batch_alter_table("run_key", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_run_key__held_key",
            sqlite_where=sa.text("held_since IS NOT NULL"),
            postgresql_where=sa.text("held_since IS NOT NULL"),
        )
        batch_op.drop_index("ix_run_key__key")

    op.drop_table("run_key")
    op.drop_table("run_event")
