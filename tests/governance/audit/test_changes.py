"""A change and its event are there together, or neither is."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from governance.audit import Event, RecordedChanges, store
from governance.audit.models import AuditWriter
from governance.principals import create_principal, list_principals
from kit.db import Database
from kit.keyring import KeyRing
from tests.governance.audit.trails import breaks, kept, read, trail_of


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path / "keyring.json")


def make(changes: RecordedChanges, name: str) -> None:
    with changes.transaction(
        lambda: Event("principals", "create_principal", "prn_1", params={"name": name})
    ) as session:
        create_principal(session, name)


def names(database: Database) -> list[str]:
    with database.reading() as session:
        return [principal.name for principal in list_principals(session)]


def told(database: Database) -> list[str]:
    return [orjson.loads(row.params)["name"] for row in kept(database)]


def test_what_commits_is_told_at_once_and_anchored_like_all_else(database: Database, ring: KeyRing) -> None:
    with RecordedChanges(database, ring, name="test") as changes, trail_of(database, ring) as trail:
        make(changes, "first")
        assert told(database) == names(database) == ["first"]
        trail.record(read(1))
        make(changes, "second")
    assert store.anchor(database, ring) >= 1
    assert breaks(database, ring) == []
    with database.reading() as session:
        writers = session.query(AuditWriter).all()
    assert {writer.head_seq for writer in writers} == {1, 2}
    assert all(writer.closed_at and writer.anchored_seq == writer.head_seq for writer in writers)


def test_what_is_rolled_back_is_not_told(database: Database, ring: KeyRing) -> None:
    changes = RecordedChanges(database, ring, name="test")
    make(changes, "kept")

    def fail(session: Session) -> None:
        create_principal(session, "lost")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), changes.transaction(lambda: read(1)) as session:
        fail(session)
    make(changes, "after")
    assert names(database) == told(database) == ["kept", "after"]
    assert breaks(database, ring) == []


def test_what_cannot_be_told_is_not_changed(database: Database, ring: KeyRing) -> None:
    changes = RecordedChanges(database, ring, name="test")
    make(changes, "kept")
    rename = "ALTER TABLE {} RENAME TO {}"
    with database.transaction() as session:
        session.execute(text(rename.format("audit_event", "away")))
    with pytest.raises(DatabaseError):
        make(changes, "lost")
    with database.transaction() as session:
        session.execute(text(rename.format("away", "audit_event")))
    assert names(database) == told(database) == ["kept"]


def test_a_transaction_that_changes_nothing_tells_nothing(database: Database, ring: KeyRing) -> None:
    with RecordedChanges(database, ring, name="test").transaction(lambda: None):
        pass
    assert kept(database) == []


def test_changes_of_many_threads_and_processes_are_all_told_in_unbroken_chains(
    database: Database, ring: KeyRing
) -> None:
    processes = [RecordedChanges(Database(database.url), ring, name=f"test {number}") for number in range(2)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: make(processes[number % 2], f"p{number}"), range(30)))
    for process in processes:
        process.database.close()
    assert Counter(told(database)) == Counter(names(database)) == Counter(f"p{number}" for number in range(30))
    store.anchor(database, ring)
    assert breaks(database, ring) == []
