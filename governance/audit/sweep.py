"""Old rows leave the control database once an anchor binds them and the lake has them; the rest stays provable.

What is swept of a chain is always a prefix that ends at an anchored head: the head stays, and with it the digest that the next row
builds upon. That we have swept it, and nobody else, is noted in the writer's row under the key ring.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from governance.audit import chain
from governance.audit.chain import Head, Identity
from governance.audit.changes import RecordedChanges
from governance.audit.event import Event
from governance.audit.models import AuditAnchor, AuditHead, AuditRow, AuditWriter
from kit.clock import now
from kit.keyring import KeyRing

_ROWS_AT_ONCE = 5000


def sweep(changes: RecordedChanges, ring: KeyRing, *, exported: int, keep: timedelta, by: str) -> int:
    """Remove rows that anchors up to ``exported`` bind, if the anchor is older than ``keep``; how many.

    Step by step, so that nobody waits long; each step is one transaction with its own event. Where nothing is old, nothing is written:
    even a chain that has no event would be a row for good.
    """
    swept, due = 0, _due(exported, now() - keep)
    while _is_any(changes, due):
        removed = 0
        with changes.transaction(lambda: _event(by, removed)) as session:  # noqa: B023 - asked within this round
            removed = _sweep_some(session, ring, due)
        swept += removed
    return swept


def _is_any(changes: RecordedChanges, due: Select[int, int]) -> bool:
    with changes.database.reading() as session:
        return session.execute(due.limit(1)).first() is not None


def _event(by: str, removed: int) -> Event | None:
    return Event("audit", "sweep", by, params={"rows": str(removed)}) if removed else None


def _due(exported: int, before: datetime) -> Select[int, int]:
    """Writers with rows to sweep, and up to which."""
    old = (
        select(AuditHead.writer, func.max(AuditHead.seq).label("upto"))
        .join(AuditAnchor, AuditAnchor.number == AuditHead.anchor)
        .where(AuditHead.anchor <= exported, AuditAnchor.at < before)
        .group_by(AuditHead.writer)
        .subquery()
    )
    chains = select(old.c.writer, old.c.upto).join(AuditWriter, AuditWriter.number == old.c.writer)
    return chains.where(old.c.upto > AuditWriter.swept_seq)


def _sweep_some(session: Session, ring: KeyRing, due: Select[int, int]) -> int:
    """About as many rows as a transaction should remove, or all there are."""
    removed = 0
    for number, upto in session.execute(due).all():
        removed += _sweep_chain(session, ring, number, upto)
        if removed >= _ROWS_AT_ONCE:
            break
    return removed


def _sweep_chain(session: Session, ring: KeyRing, number: int, upto: int) -> int:
    """Remove rows of a chain up to its first head that is far enough, at most up to that one; how many."""
    writer = session.get_one(AuditWriter, number, with_for_update=True, populate_existing=True)
    far = min(upto, writer.swept_seq + _ROWS_AT_ONCE)
    found = session.execute(
        select(AuditHead.writer, AuditHead.seq, AuditHead.digest)
        .where(AuditHead.writer == number, AuditHead.seq >= far)
        .order_by(AuditHead.seq)
        .limit(1)
    ).one()
    if (head := Head(*found)).seq <= writer.swept_seq:  # another worker was here
        return 0
    mac = chain.sweep_mac(ring, Identity(writer.id, writer.name, writer.started_at), head)
    assert mac is not None  # noqa: S101 - the current key is always there
    removed = head.seq - writer.swept_seq
    writer.swept_seq, writer.swept_key_id, writer.swept_mac = head.seq, mac.key_id, mac.digest
    session.execute(delete(AuditRow).where(AuditRow.writer == number, AuditRow.seq <= head.seq))
    session.flush()
    return removed
