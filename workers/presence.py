"""Workers show that they are there, busy or not: each has a row that it renews, and takes away when it leaves in good order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from kit.code_version import code_version
from kit.db import Database, database_time
from workers.models import WorkerRow

BEAT_SECONDS = 10.0

_SILENT_AFTER = timedelta(seconds=3 * BEAT_SECONDS)
_FORGOTTEN_AFTER = timedelta(days=1)


class Presence:
    """One worker's row."""

    def __init__(self, name: str, concurrency: int) -> None:
        self._name = name
        self._concurrency = concurrency

    def show(self, database: Database) -> None:
        """The worker is there now; those that have been silent for a day are forgotten."""
        with database.transaction() as session:
            instant = database_time(session)
            row = session.get(WorkerRow, self._name)
            if row is None:
                row = WorkerRow(name=self._name, started_at=instant)
                session.add(row)
            row.seen_at, row.concurrency, row.code_version = instant, self._concurrency, code_version()
            session.execute(delete(WorkerRow).where(WorkerRow.seen_at < instant - _FORGOTTEN_AFTER))

    def leave(self, database: Database) -> None:
        """The worker has ended in good order."""
        with database.transaction() as session:
            session.execute(delete(WorkerRow).where(WorkerRow.name == self._name))


@dataclass(frozen=True, slots=True)
class Presences:
    """How many workers showed themselves lately, and how many have not, though they did not leave; ``age_seconds`` is that of the
    oldest sign of life among them, None where there is no worker."""

    alive: int
    silent: int
    age_seconds: float | None


def presences(session: Session) -> Presences:
    """The workers of the last day, by the clock of the database."""
    instant = database_time(session)
    ages = [instant - seen for seen in session.scalars(select(WorkerRow.seen_at)) if instant - seen < _FORGOTTEN_AFTER]
    silent = sum(age > _SILENT_AFTER for age in ages)
    return Presences(len(ages) - silent, silent, max(ages).total_seconds() if ages else None)
