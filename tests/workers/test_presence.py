"""Workers show that they are there; one that ends without a word is told as silent, and forgotten after a day."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import update

from kit.db import Database, database_time
from workers.models import WorkerRow
from workers.presence import Presence, Presences, presences


def seen(database: Database) -> Presences:
    with database.reading() as session:
        return presences(session)


def silence(database: Database, name: str, ago: timedelta) -> None:
    """What the passing of time does to a worker that is gone."""
    with database.transaction() as session:
        at = database_time(session) - ago
        session.execute(update(WorkerRow).where(WorkerRow.name == name).values(seen_at=at))


def test_a_worker_is_alive_silent_and_forgotten(database: Database) -> None:
    assert seen(database) == Presences(0, 0, None)
    first, second = Presence("w1", 2), Presence("w2", 1)
    for worker in (first, second, first):
        worker.show(database)
    assert (seen(database).alive, seen(database).silent) == (2, 0)
    silence(database, "w1", timedelta(minutes=1))
    told = seen(database)
    assert (told.alive, told.silent) == (1, 1)
    assert told.age_seconds is not None
    assert told.age_seconds >= 60
    first.show(database)
    assert seen(database).alive == 2
    silence(database, "w1", timedelta(days=2))
    assert (seen(database).alive, seen(database).silent) == (1, 0)
    second.show(database)
    with database.reading() as session:
        assert [row.name for row in session.query(WorkerRow)] == ["w2"]


def test_one_that_leaves_is_gone_at_once(database: Database) -> None:
    worker = Presence("w1", 2)
    worker.show(database)
    worker.leave(database)
    worker.leave(database)
    assert seen(database) == Presences(0, 0, None)
