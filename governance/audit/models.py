"""Tables of the audit trail. Rows are only ever added, until they are swept; a writer's own row changes, which nothing is proved by.

There are no foreign keys: what holds the rows together is proved by their digests, and a check per row would cost as much as the row.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, Integer, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from kit.db import Base

NAME, TEXT = 64, 200
"""Lengths of short names and of other texts."""


class AuditWriter(Base):
    """One process's chain. ``key_id`` names the key of the ring that the chain's own key is derived from.

    ``head_seq`` is the newest row, ``anchored_seq`` the newest that an anchor binds: where writing goes on, not evidence. Rows up to
    ``swept_seq`` are not kept here any more (sweep.py); ``swept_mac`` proves that it was us who removed them.
    """

    __tablename__ = "audit_writer"

    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    id: Mapped[str] = mapped_column(String(NAME), unique=True)
    name: Mapped[str] = mapped_column(String(TEXT))
    key_id: Mapped[str] = mapped_column(String(NAME))
    started_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    head_seq: Mapped[int] = mapped_column(BigInteger)
    head_digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    anchored_seq: Mapped[int] = mapped_column(BigInteger)
    swept_seq: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))
    swept_key_id: Mapped[str | None] = mapped_column(String(NAME))
    swept_mac: Mapped[bytes | None] = mapped_column(LargeBinary(32))


class AuditRow(Base):
    """One event, ``seq``-th of its writer. ``digest`` covers the row and, through the digest before it, all earlier ones.

    ``customer`` and ``source`` are keyed hashes; ``params`` is canonical JSON; ``anchor`` is the newest anchor the writer knew of.

    A customer's rows are found by reading through the index by time: an index of its own, into which hashes fall at random, would cost
    each read of a profile more than all the rest of its row.
    """

    __tablename__ = "audit_event"
    __table_args__ = (
        Index("ix_audit_event__at", "at", "writer", "seq", "customer"),
        Index("ix_audit_event__principal", "principal", "at"),
    )

    writer: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    service: Mapped[str] = mapped_column(String(NAME))
    action: Mapped[str] = mapped_column(String(TEXT))
    principal: Mapped[str | None] = mapped_column(String(TEXT))
    status: Mapped[int]
    error: Mapped[str | None] = mapped_column(String(TEXT))
    request_id: Mapped[str | None] = mapped_column(String(NAME))
    customer: Mapped[str | None] = mapped_column(String(NAME))
    source: Mapped[str | None] = mapped_column(String(NAME))
    params: Mapped[str] = mapped_column(Text)
    anchor: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))


class AuditAnchor(Base):
    """The ``number``-th anchor: a keyed hash over the heads of all chains that had grown, and over the anchor before."""

    __tablename__ = "audit_anchor"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    key_id: Mapped[str] = mapped_column(String(NAME))
    mac: Mapped[bytes] = mapped_column(LargeBinary(32))


class AuditHead(Base):
    """The head of one chain as an anchor found it."""

    __tablename__ = "audit_anchor_head"

    anchor: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    writer: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
