"""Runs migrations in one transaction, on the connection it is handed or on that of the settings."""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import JSON, Column, Connection, text

import api.models
import governance.audit.models
import governance.models
import lakehouse.models
import workers.models
from kit.db import Base, Database, Instant
from kit.settings import Settings

MODELS = (api.models, governance.audit.models, governance.models, lakehouse.models, workers.models)
"""The modules that declare tables on Base."""

ADVISORY_LOCK = 360_360
"""Two processes that start together on PostgreSQL migrate one after the other; SQLite has BEGIN IMMEDIATE."""

LOCK_TIMEOUT = "5s"
"""A migration that cannot lock its table soon gives up: while it waits, everybody behind it waits too."""


def render_item(kind: str, item: Any, _context: Any) -> str | bool:
    """A migration must not change when the code does: own column types are written as what they are in the database."""
    if kind == "type" and isinstance(item, Instant):
        return "sa.DateTime(timezone=True)"
    return False


def differs_default(
    _context: Any, _inspected: Any, column: Column[Any], inspected: str | None, _metadata: Any, rendered: str | None
) -> bool | None:
    """PostgreSQL cannot compare two values of JSON, so their texts are; None leaves other types to alembic."""
    return (inspected or "").removesuffix("::json") != (rendered or "") if isinstance(column.type, JSON) else None


def migrate(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=render_item,
        compare_type=True,
        compare_server_default=differs_default,
    )
    with context.begin_transaction():
        context.run_migrations()


if (handed := context.config.attributes.get("connection")) is not None:
    migrate(handed)
else:
    database = Database(context.get_x_argument(as_dictionary=True).get("url") or Settings().control_database_url)
    with database.engine.begin() as own:
        migrate(own)
    database.close()
