"""Leases: the one right to write a table, for a while, with a fencing token.

The row of a lease is changed by compare-and-set only, inside a transaction that holds its lock (``BEGIN IMMEDIATE`` on SQLite,
``FOR UPDATE`` on PostgreSQL), by the clock of the database. A lease alone cannot keep a writer out that was asleep beyond its
end: the token, checked against the table at every commit, does. Tokens of a key only grow; a token is never below the
milliseconds since 1970, so that they go on growing when the control database is lost or restored from a copy while the lake,
which remembers the highest token it has seen, stays.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Insert, Row, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from kit.db import Database, database_time
from kit.errors import Conflict, Unavailable
from kit.faults import boundary
from lakehouse.engine import StaleFence
from lakehouse.models import LeaseRow

_log = logging.getLogger(__name__)

Clock = Callable[[Session], datetime]

_LOOK_AGAIN = 0.1
"""Seconds between two attempts of a writer that waits."""


class LeaseHeld(Conflict):
    """Another writer holds the lease; the message says who. Trying again later may help."""

    code = "lakehouse.lease_held"


class LeaseUnconfirmed(Unavailable):
    """The control database does not answer, so nobody knows whose the lease is; nothing may be written."""

    code = "lakehouse.lease_unconfirmed"


class Leases:
    """Leases of one control database. ``seconds``: how long a holder is waited for that gives no sign of life."""

    def __init__(self, database: Database, seconds: float, clock: Clock = database_time) -> None:
        self.seconds = seconds
        self._database = database
        self._clock = clock

    def acquire(self, key: str, owner: str, *, wait: float = 0.0) -> Lease:
        """Take the lease of ``key``, waiting up to ``wait`` seconds for its holder; raises LeaseHeld after that.

        The lease is renewed in the background until it is released: use it as a context manager. ``owner`` is for people
        to read; a holder is told from another by its token, so that one owner can hold several keys but no key twice.
        """
        deadline = time.monotonic() + wait
        while True:
            try:
                return self._take(key, owner)
            except LeaseHeld:
                if (left := deadline - time.monotonic()) <= 0:
                    raise
                time.sleep(min(_LOOK_AGAIN, left))

    def _take(self, key: str, owner: str) -> Lease:
        boundary("lease.before_acquire")
        with self._database.transaction() as session:
            session.execute(_insert_if_absent(session, key))
            row = session.get_one(LeaseRow, key, with_for_update=True)
            now = self._clock(session)
            if row.expires_at is not None and row.expires_at > now:
                raise LeaseHeld(f"{key} is being written by {row.owner}; try again when it has finished")
            taken_over = not row.clean
            row.owner, row.acquired_at, row.clean = owner, now, False
            row.token = max(row.token + 1, int(now.timestamp() * 1000))
            row.expires_at = now + timedelta(seconds=self.seconds)
            token = row.token
        boundary("lease.acquired")
        return Lease(self._database, self._clock, key, token, self.seconds, taken_over=taken_over)


class Lease:
    """The right to write ``key``; a lakehouse.engine.Fence.

    ``taken_over``: an earlier holder has not released it in good order and may still be at work, so the table has to be
    claimed before anything else. Leaving the ``with`` block by an exception does not count as good order.
    """

    def __init__(
        self, database: Database, clock: Clock, key: str, token: int, seconds: float, *, taken_over: bool
    ) -> None:
        self.key = key
        self.token = token
        self.taken_over = taken_over
        self._database = database
        self._clock = clock
        self._seconds = seconds
        self._gone = threading.Event()
        self._stopped = threading.Event()
        self._heartbeat = threading.Thread(target=self._beat, name=f"lease {key}", daemon=True)
        self._heartbeat.start()

    def check(self) -> None:
        """Raises StaleFence when the lease has gone to another, LeaseUnconfirmed when that cannot be known.

        A lease past its end that nobody has taken is still the holder's, and is renewed first.
        """
        if self._gone.is_set():
            raise self._lost()
        try:
            with self._database.reading() as session:
                held = self._read(session)
                current = held is not None and held.expires_at > self._clock(session)
        except SQLAlchemyError as failure:
            raise LeaseUnconfirmed(
                f"cannot confirm the lease of {self.key}: the control database does not answer"
            ) from failure
        if held is None or (not current and not self.renew()):
            self._gone.set()
            raise self._lost()

    def confirm(self, session: Session) -> None:
        """Like ``check``, inside the caller's transaction: until that ends nobody can take the lease.

        Writes to the control database that only the holder may make are made behind this.
        """
        if self._gone.is_set() or self._read(session, for_update=True) is None:
            raise self._lost()

    def renew(self) -> bool:
        """Hold the lease for the full time from now. False, for ever, once it has gone to another or was released."""
        with self._database.transaction() as session:
            expires_at = self._clock(session) + timedelta(seconds=self._seconds)
            renewed = self._change(session, expires_at=expires_at)
        if not renewed:
            self._gone.set()
        return renewed

    def release(self, *, clean: bool = True) -> None:
        """Give the lease back; without effect when it is not held any more."""
        self._stopped.set()
        self._heartbeat.join()
        self._gone.set()
        with self._database.transaction() as session:
            self._change(session, expires_at=None, clean=clean)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.release(clean=kind is None)
        except SQLAlchemyError:
            if kind is None:
                raise
            _log.warning("could not release the lease of %s; it ends by itself", self.key)

    def _beat(self) -> None:
        while not self._stopped.wait(self._seconds / 3):
            try:
                if not self.renew():
                    return
            except SQLAlchemyError:
                _log.warning("could not renew the lease of %s; trying again", self.key)

    def _read(self, session: Session, *, for_update: bool = False) -> Row[Any] | None:
        query = select(LeaseRow.expires_at).where(
            LeaseRow.key == self.key, LeaseRow.token == self.token, LeaseRow.expires_at.is_not(None)
        )
        return session.execute(query.with_for_update() if for_update else query).one_or_none()

    def _change(self, session: Session, **values: Any) -> bool:
        mine = update(LeaseRow).where(
            LeaseRow.key == self.key, LeaseRow.token == self.token, LeaseRow.expires_at.is_not(None)
        )
        changed = session.execute(mine.values(**values).returning(LeaseRow.token))
        return changed.one_or_none() is not None

    def _lost(self) -> StaleFence:
        return StaleFence(
            f"the lease of {self.key} (token {self.token}) has gone to another writer; this run has to stop"
        )


def _insert_if_absent(session: Session, key: str) -> Insert:
    values = {"key": key, "owner": "", "token": 0, "clean": True}
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(LeaseRow).values(**values).on_conflict_do_nothing()
    return sqlite.insert(LeaseRow).values(**values).on_conflict_do_nothing()
