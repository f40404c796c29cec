"""Migrations: up, down and up again on both databases; no drift from the models; found from an installed wheel."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.util import CommandError
from sqlalchemy import create_engine, event, inspect, text

from governance.api_keys import digest_of, list_keys, revoke_key
from governance.principals import get_principal
from kit.db import Base, Database
from tests.fixtures.parts import require
from workers.migrate import SchemaTooNew, configuration, is_at_head, migrations_folder, upgrade

ROOT = Path(__file__).parents[2]


def tables(database: Database) -> set[str]:
    return set(inspect(database.engine).get_table_names()) - {"alembic_version"}


def test_up_down_and_up_again(database: Database) -> None:
    assert tables(database) == set(Base.metadata.tables)
    with database.engine.begin() as connection:
        command.downgrade(configuration(connection), "base")
    assert tables(database) == set()
    assert not is_at_head(database)
    upgrade(database)
    assert tables(database) == set(Base.metadata.tables)
    assert is_at_head(database)


def test_models_and_migrations_do_not_drift_apart(database: Database) -> None:
    with database.engine.begin() as connection:
        command.check(configuration(connection))
        connection.execute(text("ALTER TABLE run ADD COLUMN stray INTEGER"))
        with pytest.raises(CommandError, match="New upgrade operations"):
            command.check(configuration(connection))


def test_a_failed_migration_leaves_nothing(empty_database_url: str) -> None:
    database = Database(empty_database_url)

    @event.listens_for(database.engine, "before_cursor_execute")
    def fail_midway(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "CREATE TABLE run" in statement:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        upgrade(database)
    assert inspect(database.engine).get_table_names() == []
    event.remove(database.engine, "before_cursor_execute", fail_midway)
    upgrade(database)
    assert is_at_head(database)
    database.close()


def test_keys_from_before_principals_go_on_as_services_of_their_own(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    secret = "c360_aaaaaaaa_of_the_release_before"
    with database.engine.begin() as connection:
        command.upgrade(configuration(connection), "f8dff12789cd")
        for key_id, scopes, ended in (
            ("key_1", "profiles:read", None),
            ("key_2", "profiles:read profiles:read:pii", 1),
        ):
            connection.execute(
                text("INSERT INTO api_key VALUES (:id, :id, :hash, 'shop', :scopes, :at, NULL, :revoked)"),
                {
                    "id": key_id,
                    "hash": digest_of(secret),
                    "scopes": scopes,
                    "at": "2026-01-01 00:00:00.000000",
                    "revoked": "2026-02-01 00:00:00.000000" if ended else None,
                },
            )
    upgrade(database)
    with database.transaction() as session:
        first, second = list_keys(session)
        assert (first.principal_id, first.revoked_at) == ("prn_1", None)
        assert (second.principal_id, second.revoked_at is None) == ("prn_2", False)
        for key, scopes in ((first, "profiles:read"), (second, "profiles:read profiles:read:pii")):
            assert (get_principal(session, key.principal_id).scopes, key.scopes) == (scopes, scopes)
            assert get_principal(session, key.principal_id).name == "shop"
        revoke_key(session, "key_1")
    with database.engine.begin() as connection:
        command.downgrade(configuration(connection), "f8dff12789cd")
        assert connection.execute(text("SELECT id, scopes FROM api_key ORDER BY id")).all() == [
            ("key_1", "profiles:read"),
            ("key_2", "profiles:read profiles:read:pii"),
        ]
    database.close()


MIGRATE = """
import sys
from kit.db import Database
from workers.migrate import upgrade
upgrade(Database(sys.argv[1]))
"""


def test_processes_that_start_together_migrate_once(empty_database_url: str) -> None:
    command_line = [sys.executable, "-c", MIGRATE, empty_database_url]
    together = [subprocess.Popen(command_line, cwd=ROOT) for _ in range(3)]
    assert [process.wait() for process in together] == [0, 0, 0]
    database = Database(empty_database_url)
    assert is_at_head(database)
    database.close()


def test_the_schema_of_a_newer_release_is_refused(database: Database) -> None:
    with database.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'fffffffffff0'"))
    assert not is_at_head(database)
    with pytest.raises(SchemaTooNew, match="upgrade customer360"):
        upgrade(database)


def test_looking_does_not_make_a_database(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'control.db'}")
    assert not is_at_head(database)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_migrations_hides_no_library_and_sorts_by_date() -> None:
    folder = migrations_folder()
    assert folder == ROOT / "alembic"
    assert not (folder / "__init__.py").exists()
    for script in (folder / "versions").glob("*.py"):
        assert re.fullmatch(r"20\d{6}_\d{4}_[a-z0-9_]+\.py", script.name), script.name


def test_alembic_s_own_command_finds_everything(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'control.db'}"
    for arguments in (["upgrade", "head"], ["check"], ["downgrade", "base"]):
        subprocess.run(
            [sys.executable, "-m", "alembic", "-c", ROOT / "alembic.ini", "-x", f"url={url}", *arguments],
            check=True,
            cwd=tmp_path,
        )
    engine = create_engine(url)
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()


def test_an_installed_wheel_migrates(tmp_path: Path) -> None:
    """Away from the working copy, with nothing but what the wheel has brought."""
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    require("No module named hatchling" not in built.stderr, "hatchling is not installed")
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    site = tmp_path / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    script = (
        "import sys; from pathlib import Path; from kit.db import Database; from workers import migrate;"
        "assert Path(migrate.__file__).is_relative_to(sys.argv[1]), migrate.__file__;"
        "database = Database(sys.argv[2]); migrate.upgrade(database); print(migrate.is_at_head(database))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, site, f"sqlite:///{tmp_path / 'control.db'}"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "True\n", done.stderr
