"""Runs migrations on the connection handed in, or on C360_DATABASE_URL for alembic's own command line."""

from __future__ import annotations

from typing import Literal

from alembic import context
from sqlalchemy import Connection

import governance.models
import lakehouse.models
import workers.models
from kit.db import Base, Database, Instant
from kit.settings import Settings

MODELS = (governance.models, lakehouse.models, workers.models)


def render_type(kind: str, item: object, _context: object) -> str | Literal[False]:
    """Migrations name plain SQLAlchemy types: they must not change with our code."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, Instant) else False


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
        render_item=render_type,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


if (handed_in := context.config.attributes.get("connection")) is not None:
    migrate(handed_in)
else:
    with Database(Settings().control_database_url).engine.begin() as connection:
        migrate(connection)
