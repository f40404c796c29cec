"""The tables of runs: what was asked for, who works on it, what came of it, and what happened meanwhile.

No foreign keys: SQLite alters a table by building it anew, and dropping the old one would cascade into what refers to it.
``workers.queue.purge`` removes a run with all that is about it.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from kit.db import Base

_ACTIVE = text("state IN ('queued', 'running')")
_HELD = text("held_since IS NOT NULL")


class Run(Base):
    """One run of a pipeline. ``as_of`` is fixed when it is enqueued. Nothing personal stands in any column.

    Asked for: ``requested_by`` is the principal, ``request_id`` the request it came with; ``keys`` is what it must have to itself; ``priority`` 0 goes first;
    ``not_before`` is when it may be claimed and its place in the line. Of runs with one ``dedup_key`` one is active at a time;
    a tick of a schedule has one run for ever.

    Carried out: ``lease_token`` grows by one with every claim and tells a worker from those before it; ``lease_expires_at`` is
    NULL unless the run is running. ``attempt`` counts how often its work was begun, ``failures`` the attempts that failed and
    the workers that vanished with it: ``max_attempts`` of them are the end. ``runner`` and ``handle`` say where the attempt
    runs. ``code_version`` is that of the newest claim, then the job's own.

    Came of it: versions of the datasets it read and wrote, the record, and the newest error. ``last_event`` is the number
    of the newest event.
    """

    __tablename__ = "run"
    __table_args__ = (
        Index("ix_run__state_id", "state", "id"),
        Index("ix_run__pipeline_id", "pipeline", "id"),
        Index("ix_run__state_priority_not_before_id", "state", "priority", "not_before", "id"),
        Index("ix_run__parent_id", "parent_id"),
        Index("ix_run__finished_at", "finished_at"),
        Index("uq_run__active_dedup_key", "dedup_key", unique=True, sqlite_where=_ACTIVE, postgresql_where=_ACTIVE),
        UniqueConstraint("schedule_id", "tick_at"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    pipeline: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(20))
    as_of: Mapped[date]
    full_refresh: Mapped[bool]
    engine: Mapped[str] = mapped_column(String(20))
    parameters: Mapped[dict[str, str]] = mapped_column(JSON, server_default=text("'{}'"))
    trigger: Mapped[str] = mapped_column(String(20))
    requested_by: Mapped[str] = mapped_column(String(200))
    request_id: Mapped[str | None] = mapped_column(String(64))
    parent_id: Mapped[str | None] = mapped_column(String(64))
    retry_of: Mapped[str | None] = mapped_column(String(64))
    schedule_id: Mapped[str | None] = mapped_column(String(64))
    tick_at: Mapped[datetime | None]
    dedup_key: Mapped[str | None] = mapped_column(String(200))
    keys: Mapped[list[str]] = mapped_column(JSON, server_default=text("'[]'"))
    priority: Mapped[int] = mapped_column(server_default=text("5"))
    not_before: Mapped[datetime] = mapped_column(server_default=text("'1970-01-01 00:00:00.000000'"))
    max_attempts: Mapped[int] = mapped_column(server_default=text("5"))
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    worker: Mapped[str | None] = mapped_column(String(200))
    code_version: Mapped[str | None] = mapped_column(String(64))
    lease_token: Mapped[int] = mapped_column(BigInteger, default=0)
    lease_expires_at: Mapped[datetime | None]
    runner: Mapped[str | None] = mapped_column(String(20))
    handle: Mapped[str | None] = mapped_column(String(500))
    cancel_requested_at: Mapped[datetime | None]
    attempt: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    versions_in: Mapped[dict[str, int] | None] = mapped_column(JSON(none_as_null=True))
    versions_out: Mapped[dict[str, int] | None] = mapped_column(JSON(none_as_null=True))
    record: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    error_class: Mapped[str | None] = mapped_column(String(20))
    error_code: Mapped[str | None] = mapped_column(String(100))
    error_message: Mapped[str | None] = mapped_column(String(2000))
    last_event: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class RunKey(Base):
    """A key that a run needs, while the run is active. The database itself lets one run at a time hold it."""

    __tablename__ = "run_key"
    __table_args__ = (
        Index("ix_run_key__key", "key"),
        Index("uq_run_key__held_key", "key", unique=True, sqlite_where=_HELD, postgresql_where=_HELD),
    )

    run_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    held_since: Mapped[datetime | None]


class RunEvent(Base):
    """Something that happened to a run, numbered from 1 without gaps."""

    __tablename__ = "run_event"

    run_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(40))
    data: Mapped[dict[str, Any]] = mapped_column(JSON)


class Schedule(Base):
    """Begins runs of a pipeline: at the ticks of a cron expression, or whenever the last one has ended.

    ``next_tick_at`` is the first tick that has had no run yet; NULL for a schedule without ticks.
    """

    __tablename__ = "schedule"
    __table_args__ = (UniqueConstraint("name"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    pipeline: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(20))
    cron: Mapped[str | None] = mapped_column(String(200))
    time_zone: Mapped[str] = mapped_column(String(64))
    engine: Mapped[str] = mapped_column(String(20))
    full_refresh: Mapped[bool]
    parameters: Mapped[dict[str, str]] = mapped_column(JSON)
    created_by: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime]
    paused_at: Mapped[datetime | None]
    last_tick_at: Mapped[datetime | None]
    next_tick_at: Mapped[datetime | None]


class WorkerRow(Base):
    """A worker that is there, or has ended without a word: its last sign of life (workers/presence.py)."""

    __tablename__ = "worker"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    concurrency: Mapped[int]
    code_version: Mapped[str] = mapped_column(String(64))
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
