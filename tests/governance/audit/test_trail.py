"""The trail keeps every event, in order, once: over failures of the database, full queues, kills and ends of the process."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from governance.audit import AuditUnavailable, Event
from governance.audit.models import AuditWriter
from governance.audit.reading import AuditExport, Filter, list_events
from kit.db import Database
from kit.keyring import KeyRing, Purpose
from tests.governance.audit.trails import breaks, kept, read, trail_of, wait_until
from workers.migrate import upgrade


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path / "keyring.json")


class Unsteady(Database):
    """A database whose commits fail as they are told to: ``before`` nothing arrived, ``after`` all did and the answer was lost."""

    fails: str | None = None

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        if self.fails == "before":
            raise OperationalError("COMMIT", {}, Exception("server closed the connection"))
        with super().transaction() as session:
            yield session
        if self.fails == "after":
            raise OperationalError("COMMIT", {}, Exception("server closed the connection"))


@pytest.fixture
def unsteady(database: Database) -> Iterator[Unsteady]:
    opened = Unsteady(database.url)
    yield opened
    opened.close()


def test_leaving_writes_everything_in_order(database: Database, ring: KeyRing) -> None:
    with trail_of(database, ring) as trail:
        for number in range(5000):
            trail.record(read(number))
    rows = kept(database)
    assert [orjson.loads(row.params)["number"] for row in rows] == [str(number) for number in range(5000)]
    assert [row.seq for row in rows] == list(range(1, 5001))
    assert breaks(database, ring) == []
    with database.reading() as session:
        assert session.query(AuditWriter).one().closed_at is not None


def test_what_is_recorded_by_many_threads_is_all_there(database: Database, ring: KeyRing) -> None:
    with trail_of(database, ring) as trail:
        threads = [
            threading.Thread(target=lambda base=base: [trail.record(read(base + i)) for i in range(300)])
            for base in range(0, 3000, 300)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(int(orjson.loads(row.params)["number"]) for row in kept(database)) == list(range(3000))
    assert breaks(database, ring) == []


def test_neither_ids_nor_addresses_are_kept(database: Database, ring: KeyRing) -> None:
    with trail_of(database, ring) as trail:
        trail.record(Event("customers", "get_customer", "key_1", customer="C0000042", source="192.0.2.7"))
    (row,) = kept(database)
    text = repr(vars(row))
    assert "C0000042" not in text
    assert "192.0.2.7" not in text
    assert row.customer
    assert row.customer != row.source


def test_texts_that_a_database_refuses_are_kept_as_it_can(database: Database, ring: KeyRing) -> None:
    with trail_of(database, ring) as trail:
        trail.record(Event("x", "a\0b\ud800" + "c" * 999, customer="\ud800", params={"k": "v\0"}))
        trail.record(read(1))
    assert [row.seq for row in kept(database)] == [1, 2]
    assert breaks(database, ring) == []


@pytest.mark.parametrize("fails", ["before", "after"])
def test_events_wait_out_a_failing_database_and_are_written_once(
    fails: str, unsteady: Unsteady, ring: KeyRing, caplog: pytest.LogCaptureFixture
) -> None:
    with trail_of(unsteady, ring) as trail:
        trail.record(read(1))
        wait_until(lambda: trail.waiting == 0)
        unsteady.fails = fails
        trail.record(read(2))
        wait_until(lambda: trail.lack() is not None)
        for number in range(3, 60):
            trail.record(read(number))
        unsteady.fails = None
        wait_until(lambda: trail.waiting == 0 and trail.lack() is None)
    assert [orjson.loads(row.params)["number"] for row in kept(unsteady)] == [str(number) for number in range(1, 60)]
    assert breaks(unsteady, ring) == []
    assert "server closed" not in caplog.text


def test_personal_reads_are_refused_while_they_could_not_be_recorded(unsteady: Unsteady, ring: KeyRing) -> None:
    with trail_of(unsteady, ring, refuse_seconds=0.2) as trail:
        trail.admit()
        unsteady.fails = "before"
        trail.record(read(1))
        wait_until(lambda: _refuses(trail))
        unsteady.fails = None
        wait_until(lambda: not _refuses(trail))
    assert len(kept(unsteady)) == 1


def test_a_full_queue_refuses_reads_at_once_and_counts_the_rest(unsteady: Unsteady, ring: KeyRing) -> None:
    with trail_of(unsteady, ring, max_waiting=10) as trail:
        unsteady.fails = "before"
        denied = Event("accounts", "authenticate", status=401, error="auth.unknown_key", source="192.0.2.7")
        for _ in range(500):
            trail.record(denied)
        assert _refuses(trail)
        assert trail.waiting <= 20, "one batch and one queue at most"
        unsteady.fails = None
    rows = kept(unsteady)
    counted = sum(int(orjson.loads(row.params).get("not_kept_one_by_one", "1")) for row in rows)
    assert counted == 500
    assert {(row.status, row.error) for row in rows} == {(401, "auth.unknown_key")}


def test_what_could_not_be_written_before_the_end_is_said(
    unsteady: Unsteady, ring: KeyRing, caplog: pytest.LogCaptureFixture
) -> None:
    unsteady.fails = "before"
    with trail_of(unsteady, ring, drain_seconds=0.1) as trail:
        trail.record(read(1))
    assert "1 audit events could not be written" in caplog.text


def test_uses_that_succeed_are_counted(database: Database, ring: KeyRing) -> None:
    with trail_of(database, ring) as trail:
        for _ in range(40):
            trail.authenticated("ann", "key_1")
        trail.authenticated("bob", "key_2")
    found = [(row.principal, orjson.loads(row.params)) for row in kept(database)]
    assert found == [("ann", {"key": "key_1"}), ("bob", {"key": "key_2"}), ("ann", {"key": "key_1", "more": "39"})]


def test_killed_it_has_kept_all_that_was_durable_and_the_trail_is_whole(database: Database, tmp_path: Path) -> None:
    keys = tmp_path / "keyring.json"
    command = [sys.executable, "-m", "tests.governance.audit.trails", database.url, str(keys)]
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            durable = 0
            while durable < 70:
                durable = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
        rows = kept(database)
        last = max(row.writer for row in rows)
        numbers = [int(orjson.loads(row.params)["number"]) for row in rows if row.writer == last]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= durable
        assert breaks(database, KeyRing(keys)) == []


def test_two_processes_write_and_anchor_side_by_side(database: Database, ring: KeyRing) -> None:
    other = Database(database.url)
    with trail_of(database, ring) as one, trail_of(other, ring) as two:
        for number in range(200):
            one.record(read(number))
            two.record(read(number))
            if number % 20 == 0:
                wait_until(lambda: one.waiting + two.waiting == 0)
    other.close()
    assert len(kept(database)) == 400
    assert breaks(database, ring) == []


def test_a_trail_outlives_a_rotation_of_its_key(database: Database, ring: KeyRing) -> None:
    with trail_of(database, ring) as trail:
        trail.record(read(1))
        wait_until(lambda: trail.waiting == 0)
        first = ring.rotate(Purpose.AUDIT)
        trail.record(read(1))
    with trail_of(database, ring) as trail:
        trail.record(read(2))
    assert breaks(database, ring) == []
    with database.reading() as session:
        assert len(list_events(session, ring, Filter(customer="C1"), limit=10)) == 2
    ring.rotate(Purpose.AUDIT)
    ring.retire(first.id)
    assert any("has no audit key" in found.what for found in breaks(database, ring))


def test_lists_are_filtered_and_paged(database: Database, ring: KeyRing) -> None:
    with trail_of(database, ring) as trail:
        for number in range(10):
            trail.record(read(number)._replace(principal=f"key_{number % 2}"))
        trail.record(Event("runs", "create_run", "key_1"))
    with database.reading() as session:
        everything = list_events(session, ring, Filter(), limit=100)
        assert [row.seq for row in everything] == list(range(11, 0, -1))
        pages, after = [], None
        while page := list_events(session, ring, Filter(), limit=4, after=after):
            pages += page
            after = (page[-1].at, page[-1].writer, page[-1].seq)
        assert pages == everything

        def found(**wanted: object) -> int:
            return len(list_events(session, ring, Filter(**wanted), limit=100))  # type: ignore[arg-type]

        assert found(principal="key_1") == 6
        assert found(principal="key_1", action="create_run") == 1
        assert found(customer="C3") == 1
        assert found(customer="C3", principal="key_0") == 0
        assert found(since=everything[0].at) >= 1
        assert found(until=everything[-1].at) == 0
        assert found(since=datetime(2100, 1, 1, tzinfo=UTC)) == 0


@settings(max_examples=6, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 5), st.booleans()), min_size=1, max_size=5), st.data())
def test_the_export_gives_each_anchored_event_once(steps: list[tuple[int, int, bool]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder, closing(Database(f"sqlite:///{folder}/control.db")) as database:
        ring = KeyRing(Path(folder) / "keyring.json")
        upgrade(database)
        for _, count, anchored in steps:
            with trail_of(database, ring, anchor_seconds=1e9 if not anchored else 0.0) as trail:
                for number in range(count):
                    trail.record(read(number))
        export = AuditExport(database, ring)
        end = export.end()
        cuts = sorted(data.draw(st.sets(st.integers(1, end))) | {end})
        ids, after = [], 0
        for upto in cuts:
            ids += [row["event_id"] for batch in export.rows(after, upto) for row in batch.to_pylist()]
            after = upto
        assert sorted(ids) == sorted(f"{row.writer}-{row.seq}" for row in kept(database))


def _refuses(trail: object) -> bool:
    try:
        trail.admit()  # type: ignore[attr-defined]
    except AuditUnavailable:
        return True
    return False
