"""The run row: what was asked for, who works on it, what came of it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from kit.db import Base


class Run(Base):
    """One run of a pipeline. ``as_of`` is fixed when it is enqueued. Nothing personal stands in any column.

    ``lease_token`` grows by one with every claim and tells a worker from those before it; ``lease_expires_at`` is NULL
    unless the run is running; ``attempt`` counts the claims; ``code_version`` is that of the newest claim.
    """

    __tablename__ = "run"
    __table_args__ = (Index("ix_run__state_id", "state", "id"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    pipeline: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(20))
    as_of: Mapped[date]
    full_refresh: Mapped[bool]
    engine: Mapped[str] = mapped_column(String(20))
    trigger: Mapped[str] = mapped_column(String(20))
    requested_by: Mapped[str] = mapped_column(String(200))
    code_version: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    worker: Mapped[str | None] = mapped_column(String(200))
    lease_token: Mapped[int] = mapped_column(BigInteger, default=0)
    lease_expires_at: Mapped[datetime | None]
    attempt: Mapped[int] = mapped_column(default=0)
    record: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    error_code: Mapped[str | None] = mapped_column(String(100))
    error_message: Mapped[str | None] = mapped_column(String(2000))
