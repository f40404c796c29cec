"""Tables of the control database that the commit protocol and the flows' progress live in."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from kit.db import Base

_BIG = BigInteger()


class BatchState(StrEnum):
    """``planned`` becomes ``committed`` or ``abandoned``; a reset of the flow makes all ``abandoned``. No way back."""

    PLANNED = "planned"
    COMMITTED = "committed"
    ABANDONED = "abandoned"


class FileState(StrEnum):
    """``taken``: a batch has it, and the batch's state is the file's. ``unreadable``: no batch has it until it changes."""

    TAKEN = "taken"
    UNREADABLE = "unreadable"


class LeaseRow(Base):
    """Who may write a table, until when. ``token`` only ever grows: a row is never deleted.

    ``expires_at`` is NULL while nobody holds the lease; ``clean`` says whether its last holder left in good order.
    """

    __tablename__ = "lease"

    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    owner: Mapped[str] = mapped_column(String(200))
    token: Mapped[int] = mapped_column(_BIG)
    acquired_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    clean: Mapped[bool]


class FlowBatchRow(Base):
    """One batch of a flow: planned on pinned inputs, then committed or abandoned. At most one of a flow is planned.

    ``lineage_position`` is the look of the lineage export that found it committed (governance/lineage.py).
    """

    __tablename__ = "flow_batch"
    __table_args__ = (
        Index(
            "uq_flow_batch__planned_flow",
            "flow",
            unique=True,
            sqlite_where=text("state = 'planned'"),
            postgresql_where=text("state = 'planned'"),
        ),
        Index("ix_flow_batch__lineage_position", "lineage_position"),
    )

    flow: Mapped[str] = mapped_column(String(200), primary_key=True)
    batch: Mapped[int] = mapped_column(_BIG, primary_key=True, autoincrement=False)
    state: Mapped[str] = mapped_column(String(20))
    inputs: Mapped[dict[str, Any]] = mapped_column(JSON)
    as_of: Mapped[date]
    definition: Mapped[str] = mapped_column(String(64))
    run_id: Mapped[str] = mapped_column(String(64))
    planned_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    target_version: Mapped[int | None] = mapped_column(_BIG)
    lineage_position: Mapped[int | None] = mapped_column(_BIG)


class LandingFileRow(Base):
    """A landing file a flow has seen: taken by a batch, or unreadable as it was then.

    ``changed_at`` is when a taken file was first seen to differ from what its batch read.
    """

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
    changed_at: Mapped[datetime | None]
