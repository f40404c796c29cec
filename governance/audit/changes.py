"""Changes of the control database with their events: in one transaction, so that there is never one without the other.

Other events are written in batches off the request's path (trail.py); a change waits for its transaction anyway, and its event costs it a row
more. A process that changes something has a second chain for that. Its head stands in the writer's row only: a change locks the row
last, appends behind it, and commits. So the changes of one process wait for each other for a moment; nothing waits for two locks.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from governance.audit import chain, store
from governance.audit.event import Event
from governance.audit.models import TEXT
from kit.clock import now
from kit.db import Database
from kit.faults import boundary
from kit.ids import new_id
from kit.keyring import KeyRing

_logger = logging.getLogger(__name__)


class RecordedChanges:
    """One process's changes, each with its event. As a context manager it notes the chain's end on leaving."""

    def __init__(self, database: Database, ring: KeyRing, *, name: str) -> None:
        self.database = database
        self._ring = ring
        self._who = chain.Identity(new_id("writer"), f"{name} changes"[:TEXT], now())
        self._lock = threading.Lock()
        self._writer: tuple[int, chain.WriterKey] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is None:
            return
        try:
            with self.database.transaction() as session:
                store.close(session, self._writer[0])
        except SQLAlchemyError as failure:
            _logger.warning("the end of a chain of changes could not be noted (%s)", type(failure).__name__)

    @contextmanager
    def transaction(self, told: Callable[[], Event | None]) -> Iterator[Session]:
        """A transaction that changes something; ``told`` is asked at its end what that was. None: nothing was changed.

        Where the event cannot be written, the change is not made.
        """
        number, key = self._registered()
        with self.database.transaction() as session:
            yield session
            session.flush()
            if (event := told()) is not None:
                self._append(session, number, key, event)
            boundary("change.recorded")

    def _registered(self) -> tuple[int, chain.WriterKey]:
        """In a transaction of its own, before the first change: two that make the same row would be in each other's way."""
        with self._lock:
            if self._writer is None:
                key = chain.writer_key(self._ring, self._who)
                assert key is not None  # noqa: S101 - the current key is always there
                with self.database.transaction() as session:
                    number = store.register(session, self._who, key.key_id)
                self._writer = number, key
            return self._writer

    def _append(self, session: Session, number: int, key: chain.WriterKey, event: Event) -> None:
        seq, digest = store.locked_head(session, number)
        row = chain.Rows(self._ring).of(now(), event)
        row |= {"writer": number, "seq": seq + 1, "anchor": store.newest_anchor(session)[0]}
        store.add(session, [row | {"digest": chain.digest(key, digest, row)}])
