"""Leases: one holder at a time, tokens that only grow, takeover of a holder that vanished."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import delete, text, update

from kit.db import Base, Database
from kit.errors import C360Error
from lakehouse.engine import StaleFence
from lakehouse.lease import Lease, LeaseHeld, Leases, LeaseUnconfirmed
from lakehouse.models import LeaseRow

LONG = 600.0


def expire(database: Database, key: str) -> None:
    """What the passing of time does."""
    with database.transaction() as session:
        session.execute(update(LeaseRow).where(LeaseRow.key == key).values(expires_at=datetime(2000, 1, 1, tzinfo=UTC)))


def test_a_key_has_one_holder(database: Database) -> None:
    leases = Leases(database, LONG)
    with leases.acquire("silver.orders", "first") as lease:
        lease.check()
        with pytest.raises(LeaseHeld, match="first"):
            leases.acquire("silver.orders", "second")
        with leases.acquire("silver.customers", "second") as other:
            other.check()


def test_a_released_lease_is_free_and_its_holder_has_nothing(database: Database) -> None:
    leases = Leases(database, LONG)
    with leases.acquire("t", "a") as first:
        pass
    with pytest.raises(StaleFence):
        first.check()
    assert not first.renew()
    with leases.acquire("t", "b") as second:
        assert (second.token > first.token, second.taken_over) == (True, False)
        first.release()
        second.check()


def test_an_expired_lease_is_taken_over_and_its_holder_shut_out(database: Database) -> None:
    leases = Leases(database, LONG)
    sleeper = leases.acquire("t", "sleeper")
    expire(database, "t")
    with leases.acquire("t", "next") as lease:
        assert lease.taken_over
        assert lease.token > sleeper.token
        with pytest.raises(StaleFence):
            sleeper.check()
        with pytest.raises(StaleFence), database.transaction() as session:
            sleeper.confirm(session)
        assert not sleeper.renew()
        sleeper.release()
        lease.check()


def test_an_expired_lease_that_nobody_took_is_renewed_by_its_check(database: Database) -> None:
    leases = Leases(database, LONG)
    with leases.acquire("t", "late") as lease:
        expire(database, "t")
        lease.check()
        with pytest.raises(LeaseHeld):
            leases.acquire("t", "other")


@pytest.mark.parametrize("ending", ["exception", "expiry"])
def test_a_takeover_is_told_until_a_holder_leaves_in_good_order(database: Database, ending: str) -> None:
    leases = Leases(database, LONG)
    vanished = leases.acquire("t", "vanished")
    expire(database, "t")
    if ending == "exception":
        with contextlib.suppress(ZeroDivisionError), leases.acquire("t", "failing") as lease:
            assert lease.taken_over
            raise ZeroDivisionError
    else:
        late = leases.acquire("t", "late")
        expire(database, "t")
    with leases.acquire("t", "third") as lease:
        assert lease.taken_over, "the table may still not know that the first holder is gone"
    with leases.acquire("t", "fourth") as lease:
        assert not lease.taken_over
    vanished.release()
    if ending == "expiry":
        late.release()


def test_a_waiting_writer_gets_the_lease_when_it_is_released(database: Database) -> None:
    leases = Leases(database, LONG)
    first = leases.acquire("t", "first")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(leases.acquire, "t", "second", wait=LONG)
        time.sleep(0.3)
        assert not waiting.done()
        first.release()
        with waiting.result() as second:
            assert not second.taken_over


def test_the_heartbeat_keeps_a_lease_beyond_its_seconds(database: Database) -> None:
    with Leases(database, 3.0).acquire("t", "worker") as lease:
        with database.reading() as session:
            at_first = session.get_one(LeaseRow, "t").expires_at
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(0.2)
            with database.reading() as session:
                expires_at = session.get_one(LeaseRow, "t").expires_at
            assert expires_at is not None
            assert at_first is not None
            if expires_at > at_first:
                break
        else:
            pytest.fail("no heartbeat")
        lease.check()


def test_a_lost_lease_is_noticed_without_asking_again(database: Database) -> None:
    leases = Leases(database, LONG)
    sleeper = leases.acquire("t", "sleeper")
    expire(database, "t")
    leases.acquire("t", "next").release()
    with pytest.raises(StaleFence):
        sleeper.check()
    with database.transaction() as session:
        session.execute(update(LeaseRow).values(token=sleeper.token, expires_at=datetime(2100, 1, 1, tzinfo=UTC)))
    with pytest.raises(StaleFence):
        sleeper.check()
    sleeper.release()


def test_while_the_database_is_away_nothing_is_confirmed(database: Database) -> None:
    lease = Leases(database, LONG).acquire("t", "worker")
    with database.transaction() as session:
        session.execute(text("ALTER TABLE lease RENAME TO elsewhere"))
    with pytest.raises(LeaseUnconfirmed):
        lease.check()
    with database.transaction() as session:
        session.execute(text("ALTER TABLE elsewhere RENAME TO lease"))
    lease.check()
    lease.release()


def test_tokens_go_on_growing_when_the_control_database_is_lost(database: Database) -> None:
    leases = Leases(database, LONG)
    before = [_token_of(leases) for _ in range(5)]
    with database.transaction() as session:
        session.execute(delete(LeaseRow))
    time.sleep(0.01)  # making a new database takes longer
    assert before == sorted(set(before))
    assert _token_of(leases) > before[-1]


def test_tokens_grow_while_the_clock_goes_back(database: Database) -> None:
    instants = iter(datetime(2030, 1, 1, tzinfo=UTC) - timedelta(days=days) for days in range(100))
    leases = Leases(database, LONG, clock=lambda _: next(instants))
    tokens = [_token_of(leases) for _ in range(5)]
    assert tokens == sorted(set(tokens))


def _token_of(leases: Leases) -> int:
    with leases.acquire("t", "worker") as lease:
        return lease.token


def test_threads_racing_for_a_key_never_hold_it_together(database: Database) -> None:
    """Also for the first row of a key. Each winner adds to a number that only it may touch."""
    leases = Leases(database, LONG)
    inside = threading.Semaphore(1)
    tokens = []

    def work(worker: int) -> None:
        for _ in range(5):
            with leases.acquire("t", f"worker {worker}", wait=LONG) as lease:
                assert inside.acquire(blocking=False), "two holders"
                tokens.append(lease.token)
                lease.check()
                inside.release()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, worker) for worker in range(4)]:
            done.result()
    assert len(tokens) == 20
    assert tokens == sorted(set(tokens))


HOLDER = """
import sys, time
from kit.db import Database
from lakehouse.lease import Leases
lease = Leases(Database(sys.argv[1]), 1.0).acquire("t", "killed")
print(lease.token, flush=True)
time.sleep(600)
"""


def test_a_killed_holder_is_taken_over(database: Database) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, database.url],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": "."},
    ) as holder:
        assert holder.stdout is not None
        token = int(holder.stdout.readline())
        with pytest.raises(LeaseHeld):
            Leases(database, 1.0).acquire("t", "impatient")
        holder.send_signal(signal.SIGKILL)
    with Leases(database, 1.0).acquire("t", "heir", wait=60) as lease:
        assert lease.taken_over
        assert lease.token > token


class OneKey(RuleBasedStateMachine):
    """Any order of acquiring, renewing, checking, releasing and waiting, against a model that knows the one holder."""

    def __init__(self) -> None:
        super().__init__()
        self.instant = datetime(2026, 1, 1, tzinfo=UTC)
        self.database = Database("sqlite://")
        Base.metadata.create_all(self.database.engine, tables=[LeaseRow.__table__])  # type: ignore[list-item]
        self.leases = Leases(self.database, LONG, clock=lambda _: self.instant)
        self.all: list[Lease] = []
        self.holder: Lease | None = None
        self.expires_at = self.instant
        self.clean = True

    def teardown(self) -> None:
        for lease in self.all:
            lease.release()
        self.database.close()

    @rule(seconds=st.floats(0, 2 * LONG))
    def time_passes(self, seconds: float) -> None:
        self.instant += timedelta(seconds=seconds)

    @rule()
    def acquire(self) -> None:
        if self.holder is not None and self.expires_at > self.instant:
            with pytest.raises(LeaseHeld):
                self.leases.acquire("t", "worker")
            return
        lease = self.leases.acquire("t", "worker")
        assert lease.taken_over is not self.clean
        assert all(lease.token > earlier.token for earlier in self.all)
        self.all.append(lease)
        self.holder, self.clean = lease, False
        self.expires_at = self.instant + timedelta(seconds=LONG)

    @precondition(lambda self: self.all)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.all))
        assert lease.renew() is (lease is self.holder)
        if lease is self.holder:
            self.expires_at = self.instant + timedelta(seconds=LONG)

    @precondition(lambda self: self.all)
    @rule(data=st.data(), clean=st.booleans())
    def release(self, data: st.DataObject, clean: bool) -> None:
        lease = data.draw(st.sampled_from(self.all))
        lease.release(clean=clean)
        if lease is self.holder:
            self.holder, self.clean = None, clean

    @invariant()
    def only_the_holder_is_confirmed(self) -> None:
        for lease in self.all:
            outcome: Any = None
            try:
                lease.check()
            except C360Error as error:
                outcome = type(error)
            assert outcome is (None if lease is self.holder else StaleFence)
        if self.holder is not None and self.expires_at <= self.instant:
            self.expires_at = self.instant + timedelta(seconds=LONG)  # its check has renewed it


TestOneKey = OneKey.TestCase
TestOneKey.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
