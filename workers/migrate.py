"""Brings the control database to the newest schema, from the checkout or from an installed distribution."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from kit.db import Database

_LOCK = 360_360_360  # any constant: the advisory lock under which PostgreSQL databases are migrated


def upgrade(database: Database) -> None:
    """Apply what is missing, in one transaction; safe with several processes at once."""
    if is_at_head(database):
        return
    with database.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        config = configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def is_at_head(database: Database) -> bool:
    """Whether the schema is the one this code was written for."""
    head = ScriptDirectory.from_config(configuration()).get_current_head()
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() == head


def configuration() -> Config:
    """Alembic's configuration, whichever way the code is installed."""
    config = Config()
    config.set_main_option("script_location", str(_scripts()))
    return config


def _scripts() -> Path:
    checkout = Path(str(files("workers"))).parent / "alembic"
    if (checkout / "env.py").is_file():
        return checkout
    return Path(str(files("workers"))) / "alembic"  # where the wheel carries them
