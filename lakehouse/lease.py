"""Leases: one writer per key at a time, and a token that tells an old writer from its successor.

A lease is a row. Taking it is a compare-and-set in one transaction and always raises the token by one, for ever; a heartbeat
keeps it; whoever cannot renew it loses it. The token is the fence that every commit carries (lakehouse.engine).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from kit.clock import now
from kit.db import Database
from kit.errors import Conflict
from lakehouse.engine import StaleFence
from lakehouse.models import LeaseRow


class LeaseHeld(Conflict):
    """Another writer holds the key; the message says until when."""

    code = "lakehouse.lease_held"


class Lease:
    """A held key. Renewed in the background while it is used as a context manager; satisfies lakehouse.engine.Fence.

    ``taken_over`` tells that the previous holder never released it: something of it may still be on its way.
    """

    def __init__(self, leases: Leases, key: str, owner: str, token: int, *, taken_over: bool) -> None:
        self.key = key
        self.owner = owner
        self.token = token
        self.taken_over = taken_over
        self._leases = leases
        self._released = threading.Event()
        self._heartbeat = threading.Thread(target=self._keep, name=f"lease-{key}", daemon=True)

    def check(self) -> None:
        """Raises StaleFence when the key has passed to another, or may have: expired, released, or not to be confirmed."""
        if self._released.is_set() or not self._leases.confirms(self):
            raise StaleFence(f"the lease of {self.key} is lost; nothing more is written by this run")

    def renew(self) -> None:
        """Move the expiry on; raises StaleFence when it is too late."""
        if self._released.is_set() or not self._leases.extend(self):
            raise StaleFence(f"the lease of {self.key} is lost; nothing more is written by this run")

    def release(self) -> None:
        """Give the key up. Safe to repeat, and harmless when it has passed to another already."""
        if not self._released.is_set():
            self._released.set()
            self._leases.give_up(self)

    def __enter__(self) -> Lease:
        self._heartbeat.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()
        self._heartbeat.join()

    def _keep(self) -> None:
        while not self._released.wait(self._leases.seconds / 3):
            try:
                self.renew()
            except StaleFence:
                return
            except SQLAlchemyError:
                continue  # the database may be back before the lease ends; if not, check() refuses


class Leases:
    """The leases of one control database. ``seconds`` is how long a holder may be silent."""

    def __init__(self, database: Database, seconds: float, clock: Callable[[], datetime] = now) -> None:
        self.seconds = seconds
        self._database = database
        self._now = clock

    def acquire(self, key: str, owner: str, *, wait: float = 0.0) -> Lease:
        """Take the key, waiting up to ``wait`` seconds for its holder. Raises LeaseHeld."""
        deadline = time.monotonic() + wait
        while True:
            try:
                return self._take(key, owner)
            except LeaseHeld:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(min(0.2, max(0.01, self.seconds / 10)))

    def confirms(self, lease: Lease) -> bool:
        """Whether the row still names this lease and has not expired."""
        with self._database.transaction() as session:
            row = session.get(LeaseRow, lease.key)
            return row is not None and self._is_of(row, lease) and self._is_live(row)

    def extend(self, lease: Lease) -> bool:
        """Move the expiry on if the lease is still live."""
        with self._database.transaction() as session:
            row = _locked(session, lease.key)
            if row is None or not self._is_of(row, lease) or not self._is_live(row):
                return False
            row.expires_at = self._expiry()
            return True

    def give_up(self, lease: Lease) -> None:
        """Mark the key free if it is still this lease's."""
        with self._database.transaction() as session:
            session.execute(
                update(LeaseRow)
                .where(LeaseRow.key == lease.key, LeaseRow.token == lease.token)
                .values(owner=None, expires_at=None)
            )

    def _take(self, key: str, owner: str) -> Lease:
        try:
            with self._database.transaction() as session:
                row = _locked(session, key)
                if row is None:
                    session.add(LeaseRow(key=key, owner=owner, token=1, expires_at=self._expiry()))
                    session.flush()
                    return Lease(self, key, owner, 1, taken_over=False)
                if row.owner is not None and self._is_live(row):
                    raise LeaseHeld(
                        f"{key} is being written by {row.owner}; it is free at {row.expires_at:%H:%M:%S} UTC at the latest"
                    )
                taken_over = row.owner is not None
                row.owner, row.token, row.expires_at = owner, row.token + 1, self._expiry()
                return Lease(self, key, owner, row.token, taken_over=taken_over)
        except IntegrityError:  # another made the key's first row at the same moment
            raise LeaseHeld(f"{key} has just been taken by another writer") from None

    def _expiry(self) -> datetime:
        return self._now() + timedelta(seconds=self.seconds)

    def _is_live(self, row: LeaseRow) -> bool:
        return row.expires_at is not None and row.expires_at > self._now()

    @staticmethod
    def _is_of(row: LeaseRow, lease: Lease) -> bool:
        return (row.owner, row.token) == (lease.owner, lease.token)


def _locked(session: Session, key: str) -> LeaseRow | None:
    return session.scalar(select(LeaseRow).where(LeaseRow.key == key).with_for_update())
