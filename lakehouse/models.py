"""Tables of the control database that the commit protocol and the flows' progress live in."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from kit.db import Base

_BIG = BigInteger()


class LeaseRow(Base):
    """Who may write a table, until when. ``token`` only ever grows."""

    __tablename__ = "lease"

    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    owner: Mapped[str | None] = mapped_column(String(200))
    token: Mapped[int] = mapped_column(_BIG)
    expires_at: Mapped[datetime | None]


class FlowBatchRow(Base):
    """One batch of a flow: planned on pinned inputs, then committed or abandoned."""

    __tablename__ = "flow_batch"
    __table_args__ = (
        Index(
            "uq_flow_batch__planned_flow",
            "flow",
            unique=True,
            sqlite_where=text("state = 'planned'"),
            postgresql_where=text("state = 'planned'"),
        ),
    )

    flow: Mapped[str] = mapped_column(String(200), primary_key=True)
    batch: Mapped[int] = mapped_column(_BIG, primary_key=True, autoincrement=False)
    state: Mapped[str] = mapped_column(String(20))
    inputs: Mapped[dict[str, Any]] = mapped_column(JSON)
    as_of: Mapped[date]
    definition: Mapped[str] = mapped_column(String(64))
    run_id: Mapped[str] = mapped_column(String(64))
    planned_at: Mapped[datetime]
    committed_at: Mapped[datetime | None]
    target_version: Mapped[int | None] = mapped_column(_BIG)


class LandingFileRow(Base):
    """A landing file a flow has seen: waiting in or ingested by a batch, or unreadable as it was then."""

    __tablename__ = "landing_file"
    __table_args__ = (Index("ix_landing_file__flow_batch", "flow", "batch"),)

    flow: Mapped[str] = mapped_column(String(200), primary_key=True)
    path: Mapped[str] = mapped_column(String(1000), primary_key=True)
    size: Mapped[int] = mapped_column(_BIG)
    mtime_ns: Mapped[int] = mapped_column(_BIG)
    state: Mapped[str] = mapped_column(String(20))
    batch: Mapped[int] = mapped_column(_BIG)
    reason: Mapped[str | None] = mapped_column(String(500))
    seen_at: Mapped[datetime]
