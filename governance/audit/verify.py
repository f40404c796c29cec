"""Is the trail whole? Every row, in order, against its chain; every chain against the anchors; every anchor against the one before.

Reads page by page, each in a transaction of its own: memory does not grow with the trail, and nobody who writes waits (on SQLite a
reader keeps writers out). Rows that arrive meanwhile are no breaks: what is read first is bound by what is read later.
"""

from __future__ import annotations

import hmac
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from governance.audit import chain
from governance.audit.chain import Head, Identity
from governance.audit.models import AuditAnchor, AuditHead, AuditRow, AuditWriter
from kit.db import Database
from kit.keyring import KeyRing

_ROWS_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Break:
    """Something that is not as it was written. ``where`` is ``anchor 7``, or ``row 3-41``: the 41st row of writer 3."""

    where: str
    what: str


@dataclass(slots=True)
class Verification:
    """What was looked at. ``swept`` rows are not here any more, by our own doing. ``anchor`` is the newest one: number and keyed hash, which an outsider may keep as a witness."""

    rows: int = 0
    swept: int = 0
    unanchored: int = 0
    writers: int = 0
    anchors: int = 0
    anchor: str | None = None


def verify(database: Database, ring: KeyRing, seen: Verification, witness: str | None = None) -> Iterator[Break]:
    """All breaks; of each chain the first one only, since it says nothing of what comes after it.

    ``seen`` is counted up meanwhile. ``witness`` is an anchor noted before (``number:hash``): it has to be there still.
    """
    with database.reading() as session:
        named = session.scalar(select(func.max(AuditRow.anchor))) or 0
        numbers = set(session.scalars(select(AuditRow.writer).distinct()))
        numbers |= set(session.scalars(select(AuditHead.writer).distinct()))
    with database.reading() as session:
        writers = {writer.number: writer for writer in session.scalars(select(AuditWriter))}
    yield from _anchors(database, ring, seen, named, witness)
    for number in sorted(numbers | writers.keys()):
        seen.writers += 1
        yield from _chain(database, ring, number, writers.get(number), seen)


def _anchors(database: Database, ring: KeyRing, seen: Verification, named: int, witness: str | None) -> Iterator[Break]:
    noted, _, _ = (witness or "").partition(":")
    previous, expected = b"", 1
    for anchor, heads in _anchors_with_heads(database):
        if anchor.number != expected:
            yield Break(f"anchor {expected}", f"missing; the next that is there is {anchor.number}")
        mac = chain.anchor_mac(ring, anchor.number, anchor.at, heads, previous, anchor.key_id)
        if mac is None:
            yield Break(f"anchor {anchor.number}", f"the key ring has no audit key {anchor.key_id} any more")
        elif anchor.number == expected and not hmac.compare_digest(mac.digest, anchor.mac):
            yield Break(f"anchor {anchor.number}", "was changed, or the heads it binds were")
        previous, expected = anchor.mac, anchor.number + 1
        seen.anchors += 1
        seen.anchor = f"{anchor.number}:{anchor.mac.hex()}"
        if noted == str(anchor.number) and witness != seen.anchor:
            yield Break(f"anchor {noted}", "is not the one that was noted")
    last = expected - 1
    if noted and not (noted.isdigit() and 0 < int(noted) <= last):
        yield Break(f"anchor {noted}", "was noted, and is not there")
    if named > last:
        yield Break(f"anchor {last + 1}", f"missing; rows name anchors up to {named}")


def _anchors_with_heads(database: Database) -> Iterator[tuple[AuditAnchor, list[Head]]]:
    last = -1
    while True:
        with database.reading() as session:
            anchors = session.scalars(
                select(AuditAnchor).where(AuditAnchor.number > last).order_by(AuditAnchor.number).limit(_ROWS_AT_ONCE)
            ).all()
            if not anchors:
                return
            first, last = anchors[0].number, anchors[-1].number
            bound = session.execute(
                select(AuditHead.anchor, AuditHead.writer, AuditHead.seq, AuditHead.digest).where(
                    AuditHead.anchor.between(first, last)
                )
            )
            heads: dict[int, list[Head]] = defaultdict(list)
            for row in bound:
                heads[row.anchor].append(Head(row.writer, row.seq, row.digest))
        for anchor in anchors:
            yield anchor, heads[anchor.number]


def _chain(
    database: Database, ring: KeyRing, number: int, writer: AuditWriter | None, seen: Verification
) -> Iterator[Break]:
    key = None if writer is None else chain.writer_key(ring, _identity(writer), writer.key_id)
    if writer is None or key is None:
        reason = "its writer is gone" if writer is None else f"the key ring has no audit key {writer.key_id} any more"
        yield Break(f"row {number}-1", reason)
        return
    begin = _begin(database, ring, writer)
    if isinstance(begin, Break):
        yield begin
        return
    seen.swept += begin.seq
    heads = (bound for bound in _heads(database, number) if bound.seq > begin.seq)
    head = next(heads, None)
    seq, digest, unanchored = begin.seq, begin.digest, 0
    for row in _rows(database, number):
        if row["seq"] != seq + 1:
            yield Break(f"row {number}-{seq + 1}", f"missing; the next that is there is {number}-{row['seq']}")
            return
        seq = row["seq"]
        if not hmac.compare_digest(chain.digest(key, digest, row), row["digest"]):
            yield Break(f"row {number}-{seq}", "is not the row that was written here: changed, moved or added")
            return
        digest = row["digest"]
        seen.rows += 1
        unanchored += 1
        if head is not None and head.seq == seq:
            if head.digest != digest:
                yield Break(f"row {number}-{seq}", "is not the one that was anchored")
                return
            head, unanchored = next(heads, None), 0
    seen.unanchored += unanchored
    if head is not None:
        yield Break(f"row {number}-{seq + 1}", f"missing; an anchor binds rows up to {number}-{head.seq}")
    elif writer.head_seq > seq:
        yield Break(f"row {number}-{seq + 1}", f"missing; the writer had written up to {number}-{writer.head_seq}")


def _begin(database: Database, ring: KeyRing, writer: AuditWriter) -> Head | Break:
    """The head up to which rows were swept, if it was us who did it; where none were, the one before the first row."""
    if not writer.swept_seq:
        return Head(writer.number, 0, b"")
    where = f"row {writer.number}-{writer.swept_seq}"
    query = select(AuditHead.writer, AuditHead.seq, AuditHead.digest)
    with database.reading() as session:
        bound = session.execute(
            query.where(AuditHead.writer == writer.number, AuditHead.seq == writer.swept_seq)
        ).first()
    if bound is None:
        return Break(where, "rows up to here were removed, and no anchor binds it")
    mac = chain.sweep_mac(ring, _identity(writer), Head(*bound), writer.swept_key_id or "")
    if mac is None:
        return Break(where, f"the key ring has no audit key {writer.swept_key_id} any more")
    if not hmac.compare_digest(mac.digest, writer.swept_mac or b""):
        return Break(where, "rows up to here were removed by somebody else than us")
    return Head(*bound)


def _identity(writer: AuditWriter) -> Identity:
    return Identity(writer.id, writer.name, writer.started_at)


def _heads(database: Database, number: int) -> Iterator[Head]:
    last = 0
    while True:
        with database.reading() as session:
            query = select(AuditHead.writer, AuditHead.seq, AuditHead.digest, AuditHead.anchor)
            query = query.where(AuditHead.writer == number, AuditHead.anchor > last)
            rows = session.execute(query.order_by(AuditHead.anchor).limit(_ROWS_AT_ONCE)).all()
        if not rows:
            return
        last = rows[-1].anchor
        for row in rows:
            yield Head(row.writer, row.seq, row.digest)


def _rows(database: Database, number: int) -> Iterator[dict[str, Any]]:
    last = -1
    while True:
        with database.reading() as session:
            query = select(*AuditRow.__table__.columns).where(AuditRow.writer == number, AuditRow.seq > last)
            rows = session.execute(query.order_by(AuditRow.seq).limit(_ROWS_AT_ONCE)).mappings().all()
        if not rows:
            return
        last = rows[-1]["seq"]
        for row in rows:
            yield dict(row)
