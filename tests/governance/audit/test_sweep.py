"""Old rows are swept only when they are bound and exported; what is left is provable, and nobody else's removal passes for ours."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import delete, func, select, update

from governance.audit import RecordedChanges, sweep
from governance.audit.models import AuditAnchor, AuditHead, AuditRow, AuditWriter
from governance.audit.verify import Verification, verify
from kit.db import Database
from kit.keyring import KeyRing, Purpose
from tests.governance.audit.trails import breaks, kept, read, trail_of, wait_until

ROWS = 40


@pytest.fixture
def ring(database: Database, tmp_path: Path) -> KeyRing:
    """With a trail of two chains of forty rows, bound by many anchors."""
    ring = KeyRing(tmp_path / "keyring.json")
    for _ in range(2):
        with trail_of(database, ring, anchor_seconds=0.0) as trail:
            for number in range(ROWS):
                trail.record(read(number))
                if number % 5 == 0:
                    wait_until(lambda: trail.waiting == 0)
    return ring


def newest_anchor(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(select(func.max(AuditAnchor.number))) or 0


def swept(database: Database, ring: KeyRing, upto: int, keep: timedelta = timedelta(0)) -> int:
    with RecordedChanges(database, ring, name="test") as changes:
        return sweep.sweep(changes, ring, exported=upto, keep=keep, by="test")


def reads(database: Database) -> int:
    return sum(row.action == "get_customer" for row in kept(database))


@pytest.mark.parametrize("at_once", [3, 5000])
def test_all_that_is_exported_goes_and_the_trail_goes_on(
    database: Database, ring: KeyRing, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_ROWS_AT_ONCE", at_once)
    assert swept(database, ring, newest_anchor(database)) == 2 * ROWS
    assert reads(database) == 0
    told = [orjson.loads(row.params)["rows"] for row in kept(database) if row.action == "sweep"]
    assert sum(map(int, told)) == 2 * ROWS
    with trail_of(database, ring) as trail:
        trail.record(read(1))
    seen = Verification()
    assert list(verify(database, ring, seen)) == []
    assert (seen.swept, seen.rows) == (2 * ROWS, len(told) + 1)
    assert swept(database, ring, 0) == 0


def test_a_chain_is_swept_in_parts_and_written_on_meanwhile(database: Database, ring: KeyRing) -> None:
    with trail_of(database, ring, anchor_seconds=0.0) as trail:
        for number in range(30):
            trail.record(read(number))
            wait_until(lambda: trail.waiting == 0)
            if number % 10 == 9:
                swept(database, ring, newest_anchor(database))
                assert breaks(database, ring) == []
    assert breaks(database, ring) == []


def test_what_is_not_exported_or_not_old_stays(database: Database, ring: KeyRing) -> None:
    assert swept(database, ring, newest_anchor(database), keep=timedelta(days=1)) == 0
    assert swept(database, ring, 0) == 0
    middle = newest_anchor(database) // 2
    with database.reading() as session:
        bound = select(func.max(AuditHead.seq)).where(AuditHead.anchor <= middle).group_by(AuditHead.writer)
        expected = sum(session.scalars(bound))
    assert swept(database, ring, middle) == expected < 2 * ROWS
    assert reads(database) == 2 * ROWS - expected
    assert breaks(database, ring) == []


def test_it_is_proved_over_a_rotation_of_the_key(database: Database, ring: KeyRing) -> None:
    swept(database, ring, newest_anchor(database) // 2)
    ring.rotate(Purpose.AUDIT)
    assert breaks(database, ring) == []
    swept(database, ring, newest_anchor(database))
    assert breaks(database, ring) == []


def remove_more(session: Any, writer: AuditWriter, heads: list[int]) -> None:
    """As we would, but for the proof."""
    session.execute(delete(AuditRow).where(AuditRow.writer == writer.number, AuditRow.seq <= heads[-2]))
    writer.swept_seq = heads[-2]


def remove_from_nobody_swept(session: Any, writer: AuditWriter, heads: list[int]) -> None:
    other = session.get_one(AuditWriter, 2)
    session.execute(delete(AuditRow).where(AuditRow.writer == 2, AuditRow.seq <= writer.swept_seq))
    other.swept_seq, other.swept_key_id, other.swept_mac = writer.swept_seq, writer.swept_key_id, writer.swept_mac


def remove_the_next_row(session: Any, writer: AuditWriter, heads: list[int]) -> None:
    session.execute(delete(AuditRow).where(AuditRow.writer == 1, AuditRow.seq == writer.swept_seq + 1))


def deny_the_sweep(session: Any, writer: AuditWriter, heads: list[int]) -> None:
    writer.swept_seq = 0


def unbind_the_head(session: Any, writer: AuditWriter, heads: list[int]) -> None:
    session.execute(delete(AuditHead).where(AuditHead.writer == 1, AuditHead.seq == writer.swept_seq))


def forge_the_head(session: Any, writer: AuditWriter, heads: list[int]) -> None:
    mine = (AuditHead.writer == 1, AuditHead.seq == writer.swept_seq)
    session.execute(update(AuditHead).where(*mine).values(digest=b"x" * 32))


@pytest.mark.parametrize(
    "tamper",
    [remove_more, remove_from_nobody_swept, remove_the_next_row, deny_the_sweep, unbind_the_head, forge_the_head],
)
def test_nobody_elses_removal_passes_for_a_sweep(database: Database, ring: KeyRing, tamper: Any) -> None:
    with database.reading() as session:
        heads = list(session.scalars(select(AuditHead.seq).where(AuditHead.writer == 1).order_by(AuditHead.seq)))
        first = session.scalar(select(AuditHead.anchor).where(AuditHead.writer == 1, AuditHead.seq == heads[1])) or 0
    assert swept(database, ring, first) == heads[1]
    with database.transaction() as session:
        tamper(session, session.get_one(AuditWriter, 1), heads)
    assert breaks(database, ring) != []
