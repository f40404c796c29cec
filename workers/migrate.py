"""Brings the control database to the schema of this release.

The migrations lie in the folder ``alembic`` at the project's root, which cannot be a package: it would hide the library of
that name. A wheel carries them beside this module instead.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from kit.db import READING, Database
from kit.errors import Conflict, Fault


class MigrationsMissing(Fault):
    """The installation is incomplete: its migrations are not there."""

    code = "control.migrations_missing"


class SchemaTooNew(Conflict):
    """A newer release has migrated the control database; this one must not touch it."""

    code = "control.schema_too_new"


def upgrade(database: Database) -> None:
    """Migrate to the newest schema, in one transaction; nothing happens where that has been done already.

    Safe to call from several processes at once. Raises SchemaTooNew on the database of a newer release.
    """
    if is_at_head(database):
        return
    with database.engine.begin() as connection:
        _refuse_newer(connection)
        command.upgrade(configuration(connection), "head")


def is_at_head(database: Database) -> bool:
    """Whether the schema is that of this release. Changes nothing, and does not create a missing SQLite file."""
    if (file := _sqlite_file(database)) is not None and not file.exists():
        return False
    with database.engine.connect().execution_options(**{READING: True}) as connection:
        return _revisions(connection) == set(_scripts().get_heads())


def configuration(connection: Connection) -> Config:
    """Alembic's configuration for this release's migrations on an open connection."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    return config


def migrations_folder() -> Path:
    """Where the migrations are: beside this module in an installed wheel, beside the rooms in a working copy."""
    here = Path(__file__).resolve().parent
    for folder in (here / "alembic", here.parent / "alembic"):
        if (folder / "env.py").is_file():
            return folder
    raise MigrationsMissing("the migrations of the control database are not installed; install customer360 again")


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(migrations_folder()))


def _revisions(connection: Connection) -> set[str]:
    return set(MigrationContext.configure(connection).get_current_heads())


def _refuse_newer(connection: Connection) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    if unknown := _revisions(connection) - known:
        raise SchemaTooNew(
            f"the control database has revision {', '.join(sorted(unknown))}, which this release does not know; "
            "a newer one has migrated it: upgrade customer360"
        )


def _sqlite_file(database: Database) -> Path | None:
    url = database.engine.url
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None
