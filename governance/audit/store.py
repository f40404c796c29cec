"""Batches and anchors in the control database. A batch is added once, even where the answer to its commit was lost."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, cast

from sqlalchemy import Table, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from governance.audit import chain
from governance.audit.chain import Head, Identity
from governance.audit.models import AuditAnchor, AuditHead, AuditRow, AuditWriter
from kit.clock import now
from kit.db import Database
from kit.keyring import KeyRing

_EVENTS = cast("Table", AuditRow.__table__)
_COLUMNS = tuple(column.name for column in _EVENTS.columns if column.name != "at")
_unchanged = itemgetter(*_COLUMNS)
_AT_LENGTH = len("2026-02-01 12:00:00.000000")
"""Of an instant as SQLAlchemy writes it to SQLite: in UTC, without saying so."""
_INSERT = f"INSERT INTO audit_event (at, {', '.join(_COLUMNS)}) VALUES (?{', ?' * len(_COLUMNS)})"


def register(session: Session, who: Identity, key_id: str) -> int:
    """The number of this writer; made when it is asked for first."""
    known = session.scalar(select(AuditWriter.number).where(AuditWriter.id == who.id))
    if known is not None:
        return known
    writer = AuditWriter(
        id=who.id,
        name=who.name,
        key_id=key_id,
        started_at=who.started_at,
        closed_at=None,
        head_seq=0,
        head_digest=b"",
        anchored_seq=0,
    )
    session.add(writer)
    session.flush()
    return writer.number


def append(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Add rows of one writer, in order, unless they are there already."""
    last = rows[-1]
    if locked_head(session, last["writer"])[0] < last["seq"]:
        add(session, rows)


def add(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Add rows of one writer, in order, behind the head that the session has locked."""
    last = rows[-1]
    _insert(session, rows)
    session.execute(
        update(AuditWriter)
        .where(AuditWriter.number == last["writer"])
        .values(head_seq=last["seq"], head_digest=last["digest"])
    )


def _insert(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """On SQLite by the driver itself: half of what an audited read costs would be spent between here and there."""
    if session.get_bind().dialect.name != "sqlite":
        session.execute(insert(_EVENTS), rows)
        return
    values = [(row["at"].isoformat(" ", "microseconds")[:_AT_LENGTH], *_unchanged(row)) for row in rows]
    session.connection().exec_driver_sql(_INSERT, values)


def locked_head(session: Session, number: int) -> tuple[int, bytes]:
    """Number and digest of a writer's newest row; nobody else appends to its chain until the session ends."""
    head = select(AuditWriter.head_seq, AuditWriter.head_digest).where(AuditWriter.number == number).with_for_update()
    row = session.execute(head).one()
    return row.head_seq, row.head_digest


def close(session: Session, number: int) -> None:
    """Note that a writer has ended in good order."""
    session.execute(update(AuditWriter).where(AuditWriter.number == number).values(closed_at=now()))


def newest_anchor(session: Session) -> tuple[int, bytes]:
    """Number and keyed hash of the newest anchor; (0, b"") before the first."""
    query = select(AuditAnchor.number, AuditAnchor.mac).order_by(AuditAnchor.number.desc()).limit(1)
    row = session.execute(query).one_or_none()
    return (0, b"") if row is None else (row.number, row.mac)


def anchor(database: Database, ring: KeyRing) -> int:
    """Bind the heads of all chains that have grown since the newest anchor; returns the newest anchor's number.

    Where another process anchors at the same moment, its anchor will do.
    """
    try:
        with database.transaction() as session:
            return _anchor(session, ring)
    except IntegrityError:
        with database.reading() as session:
            return newest_anchor(session)[0]


def _anchor(session: Session, ring: KeyRing) -> int:
    number, previous = newest_anchor(session)
    grown = session.execute(
        select(AuditWriter.number, AuditWriter.head_seq, AuditWriter.head_digest)
        .where(AuditWriter.head_seq > AuditWriter.anchored_seq)
        .order_by(AuditWriter.number)
    )
    heads = [Head(*row) for row in grown]
    if not heads:
        return number
    number, at = number + 1, now()
    mac = chain.anchor_mac(ring, number, at, heads, previous)
    assert mac is not None  # noqa: S101 - the current key is always there
    session.execute(insert(AuditAnchor).values(number=number, at=at, key_id=mac.key_id, mac=mac.digest))
    session.execute(insert(AuditHead), [{"anchor": number, **head._asdict()} for head in heads])
    for head in heads:
        session.execute(update(AuditWriter).where(AuditWriter.number == head.writer).values(anchored_seq=head.seq))
    return number
