"""Trails to test with; and, run as a program, a process that records until it is killed.

Arguments: database URL, key ring file. Prints the number of each event once it is durable.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import select

from governance.audit import AuditTrail, Event
from governance.audit.models import AuditRow
from governance.audit.verify import Break, Verification, verify
from kit.db import Database
from kit.keyring import KeyRing


def read(number: int) -> Event:
    """The reading of one customer's profile."""
    return Event("customers", "get_customer", "key_1", customer=f"C{number}", params={"number": str(number)})


def trail_of(database: Database, ring: KeyRing, **options: Any) -> AuditTrail:
    """A trail that flushes quickly."""
    return AuditTrail(database, ring, **{"name": "test", "flush_seconds": 0.01, "anchor_seconds": 0.05, **options})


def breaks(database: Database, ring: KeyRing, witness: str | None = None) -> list[Break]:
    return list(verify(database, ring, Verification(), witness))


def kept(database: Database) -> list[AuditRow]:
    """Every row, by writer and order."""
    with database.reading() as session:
        return list(session.scalars(select(AuditRow).order_by(AuditRow.writer, AuditRow.seq)))


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for what another thread does; a minute at most."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.005)


def record_for_ever(database: Database, ring: KeyRing) -> None:
    with trail_of(database, ring) as trail:
        for number in count(1):
            trail.record(read(number))
            if number % 7 == 0:
                wait_until(lambda: trail.waiting == 0)
                print(number, flush=True)


if __name__ == "__main__":
    record_for_ever(Database(sys.argv[1]), KeyRing(Path(sys.argv[2])))
