"""``AuditTrail``: takes events from any thread without waiting, and has them in the database within a second.

**Never blocks.** ``record`` puts the event into a queue; hashing, chaining and writing happen in one background thread, in batches.

**Never drops silently, never grows without bound.** While the database cannot be written, events wait. ``admit`` then refuses personal
reads: after ``refuse_seconds``, or at once when half of ``max_waiting`` events wait. What cannot be refused (failed logins, denials)
is counted once the queue is full, by what it was, and the counts are written as events when writing works again.

**Loses little.** After ``record`` an event is durable within ``flush_seconds`` and the time of one commit. Leaving the context
writes all that waits. Uses of a key that succeed are counted: the first is an event at once, then one a minute says how many.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from governance.audit import chain, store
from governance.audit.event import Event
from governance.audit.models import TEXT
from kit.clock import now
from kit.db import Database
from kit.errors import Unavailable
from kit.ids import new_id
from kit.keyring import KeyRing

_BATCH = 2000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_logger = logging.getLogger(__name__)


class AuditUnavailable(Unavailable):
    """The audit trail cannot be written, so personal data are not given out."""

    code = "audit.unavailable"


class AuditTrail:
    """One writer of the audit trail; a context manager, entered once. See the module for what it promises."""

    def __init__(
        self,
        database: Database,
        ring: KeyRing,
        *,
        name: str,
        flush_seconds: float = 0.25,
        anchor_seconds: float = 10.0,
        count_seconds: float = 60.0,
        refuse_seconds: float = 10.0,
        drain_seconds: float = 15.0,
        max_waiting: int = 50_000,
    ) -> None:
        self._database = database
        self._ring = ring
        self._flush_seconds = flush_seconds
        self._anchor_seconds = anchor_seconds
        self._refuse_seconds = refuse_seconds
        self._drain_seconds = drain_seconds
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[int, Event]] = deque()
        self._counts = _Counts(count_seconds)
        self._chain = _Chain(ring, name)
        self._anchor_at = 0.0
        self._caught_up_at = time.monotonic()
        self._failing = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="audit", daemon=True)

    def __enter__(self) -> Self:
        self._caught_up_at = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write all that waits; gives up after ``drain_seconds`` and says how much was lost."""
        self._stop.set()
        self._thread.join(timeout=self._drain_seconds + 5)
        if lost := self.waiting:
            _logger.critical("%d audit events could not be written before the end of the process", lost)

    @property
    def waiting(self) -> int:
        """How many events are not durable yet."""
        return len(self._waiting) + len(self._chain.unwritten)

    @property
    def lag(self) -> float:
        """Seconds since everything that had been recorded was durable; about ``flush_seconds`` while all is well."""
        return time.monotonic() - self._caught_up_at

    def record(self, event: Event) -> None:
        """Take an event. Returns at once, whatever the state of the database."""
        if len(self._waiting) < self._max_waiting:
            self._waiting.append((time.time_ns(), event))
        else:
            self._counts.overflowed(event)

    def authenticated(self, principal: str, key: str) -> None:
        """Count a use of a principal's key that succeeded."""
        if self._counts.used(principal, key):
            self.record(Event("accounts", "authenticate", principal, params={"key": key}))

    def admit(self) -> None:
        """Call before personal data are given out; raises AuditUnavailable while that could not be recorded."""
        if self.lag > self._refuse_seconds or len(self._waiting) * 2 > self._max_waiting:
            raise AuditUnavailable("what is read cannot be recorded at present; try again in a few seconds")

    def lack(self) -> str | None:
        """What keeps this process from being ready; None while events become durable in time."""
        if self._failing or self.lag > self._refuse_seconds:
            return f"the audit trail cannot be written; {self.waiting} events wait; is the control database there and migrated?"
        return None

    def _work(self) -> None:
        while not self._stop.wait(self._flush_seconds):
            self._write()
        deadline = time.monotonic() + self._drain_seconds
        self._counts.end(self._waiting)
        while not self._write() and time.monotonic() < deadline:
            time.sleep(self._flush_seconds)
        if not self.waiting and self._chain.number is not None:
            self._try(self._close)

    def _write(self) -> bool:
        """Write what waits now; whether all of it is durable."""
        began = time.monotonic()
        if not self._failing:
            self._counts.flush(self._waiting)
        left = self.waiting
        while left > 0:
            before = self.waiting
            if not self._try(self._write_batch):
                return False
            left -= max(before - self.waiting, 1)
        self._caught_up_at = began
        if self._chain.number is not None and began >= self._anchor_at:
            self._anchor_at = began + self._anchor_seconds
            self._try(self._anchor)
        return True

    def _try(self, step: Any) -> bool:
        """Take a step; whatever keeps it from succeeding is for the next attempt."""
        try:
            step()
        except Exception as failure:  # noqa: BLE001 - nothing may end this thread; the text may hold what was recorded
            if not self._failing:
                _logger.error("the audit trail cannot be written (%s); trying on", type(failure).__name__)  # noqa: TRY400
            self._failing = True
            return False
        if self._failing:
            _logger.warning("the audit trail is written again")
        self._failing = False
        return True

    def _write_batch(self) -> None:
        if not self._chain.complete:  # a batch whose commit failed is tried again as it was: it may have arrived
            rows = chain.Rows(self._ring)
            while self._waiting and len(self._chain.unwritten) < _BATCH:
                self._chain.add(rows, *self._waiting[0])
                self._waiting.popleft()
        with self._database.transaction() as session:
            self._chain.write(session)
        self._chain.written()

    def _anchor(self) -> None:
        newest = store.anchor(self._database, self._ring)
        if newest > self._chain.anchor:
            _logger.info("audit anchor %d", newest)
        self._chain.anchor = newest

    def _close(self) -> None:
        number = self._chain.number
        assert number is not None  # noqa: S101 - asked by the caller
        with self._database.transaction() as session:
            store.close(session, number)
        self._anchor()


class _Chain:
    """This process's chain: turns events into rows that follow each other. Used by one thread."""

    def __init__(self, ring: KeyRing, name: str) -> None:
        self._ring = ring
        self._who = chain.Identity(new_id("writer"), name[:TEXT], now())
        self._key: chain.WriterKey | None = None
        self._seq = 0
        self._digest = b""
        self._at = _EPOCH
        self.unwritten: list[dict[str, Any]] = []
        self.complete = False
        self.number: int | None = None
        self.anchor = 0

    def add(self, rows: chain.Rows, time_ns: int, event: Event) -> None:
        """Make the event the next row. Time never goes backwards within a chain."""
        at = max(_EPOCH + timedelta(microseconds=time_ns // 1000), self._at)
        self.unwritten.append(rows.of(at, event))
        self._at = at

    def write(self, session: Any) -> None:
        """Add the rows that are not written yet to the database; the same rows when it is tried again."""
        self.complete = True
        if self._key is None:
            self._key = chain.writer_key(self._ring, self._who)
        assert self._key is not None  # noqa: S101 - the current key is always there
        number = store.register(session, self._who, self._key.key_id)
        if self.number is None:
            self.anchor = store.newest_anchor(session)[0]
        self.number = number
        seq, digest = self._seq, self._digest
        for row in self.unwritten:
            if row.get("writer") != number:
                row |= {"writer": number, "seq": seq + 1, "anchor": self.anchor}
                row["digest"] = chain.digest(self._key, digest, row)
            seq, digest = row["seq"], row["digest"]
        store.append(session, self.unwritten)

    def written(self) -> None:
        """The rows are durable."""
        self._seq, self._digest = self.unwritten[-1]["seq"], self.unwritten[-1]["digest"]
        self.unwritten, self.complete = [], False


class _Counts:
    """What is counted instead of being recorded one by one."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._used: dict[tuple[str, str], int] = {}
        self._full: Counter[tuple[str, str, int, str | None]] = Counter()
        self._flush_at = time.monotonic() + seconds

    def used(self, principal: str, key: str) -> bool:
        """Count a use; whether it is the first of the current minute."""
        with self._lock:
            known = self._used.get((principal, key))
            self._used[principal, key] = 0 if known is None else known + 1
            return known is None

    def overflowed(self, event: Event) -> None:
        with self._lock:
            self._full[event.service, event.action, event.status, event.error] += 1

    def flush(self, waiting: deque[tuple[int, Event]]) -> None:
        """Put what was counted into the queue: uses when their minute is over, what overflowed as soon as there is room."""
        if time.monotonic() >= self._flush_at:
            self._flush_at = time.monotonic() + self._seconds
            self._flush_used(waiting)
        if not waiting:
            self._flush_full(waiting)

    def end(self, waiting: deque[tuple[int, Event]]) -> None:
        """Put everything into the queue."""
        self._flush_used(waiting)
        self._flush_full(waiting)

    def _flush_used(self, waiting: deque[tuple[int, Event]]) -> None:
        with self._lock:
            used, self._used = self._used, {}
        for (principal, key), count in used.items():
            if count:
                params = {"key": key, "more": str(count)}
                waiting.append((time.time_ns(), Event("accounts", "authenticate", principal, params=params)))

    def _flush_full(self, waiting: deque[tuple[int, Event]]) -> None:
        with self._lock:
            full, self._full = self._full, Counter()
        for (service, action, status, error), count in full.items():
            event = Event(service, action, status=status, error=error, params={"not_kept_one_by_one": str(count)})
            waiting.append((time.time_ns(), event))
