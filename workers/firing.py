"""What schedules begin: a run per tick, or one that is kept alive.

A tick's run is enqueued in the very transaction that advances the schedule, under the schedule's lock, and a tick has one run for ever:
several workers may see to one queue, and all may be killed at any point. Of the ticks that nobody was there for, the newest is made up for.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session

from kit.clock import today
from kit.db import Database, database_time
from kit.faults import boundary
from workers import queue
from workers.models import Run, Schedule
from workers.schedules import ACTIVE, CONTINUOUS, Kind
from workers.states import RunState
from workers.ticks import newest_tick, next_tick

_AFTER_A_FAILURE = timedelta(seconds=10)
"""How long a continuous schedule waits before it tries again what has failed for good."""


def enqueue_due(database: Database) -> list[Run]:
    """Enqueue what is due now, and return it. Only looks where nothing is; any number of workers may call it at once."""
    with database.reading() as session:
        due = list(session.scalars(select(Schedule.id).where(_is_due(database_time(session)))))
    begun = []
    for schedule_id in due:
        boundary("schedule.before_tick")
        with database.transaction() as session:
            if (run := _fire(session, schedule_id)) is not None:
                begun.append(run)
        boundary("schedule.ticked")
    return begun


def _fire(session: Session, schedule_id: str) -> Run | None:
    """Enqueue the newest tick's run and advance, unless another worker has just done so."""
    instant = database_time(session)
    query = select(Schedule).where(Schedule.id == schedule_id, _is_due(instant)).with_for_update(skip_locked=True)
    if (schedule := session.scalar(query.execution_options(populate_existing=True))) is None:
        return None
    if schedule.kind == Kind.CONTINUOUS:
        return _enqueue(
            session, schedule, instant, dedup_key=f"schedule:{schedule.id}", delay=_pause(session, schedule)
        )
    assert schedule.cron is not None  # noqa: S101 - a cron schedule has an expression
    assert schedule.next_tick_at is not None  # noqa: S101 - and is due
    before = schedule.next_tick_at - timedelta(microseconds=1)
    tick = newest_tick(schedule.cron, schedule.time_zone, after=before, upto=instant) or schedule.next_tick_at
    schedule.last_tick_at = tick
    schedule.next_tick_at = next_tick(schedule.cron, schedule.time_zone, instant)
    return _enqueue(session, schedule, tick)


def _enqueue(
    session: Session,
    schedule: Schedule,
    tick: datetime,
    *,
    dedup_key: str | None = None,
    delay: timedelta = timedelta(0),
) -> Run:
    return queue.enqueue(
        session,
        pipeline=schedule.pipeline,
        as_of=today(),
        full_refresh=schedule.full_refresh,
        engine=schedule.engine,
        parameters=schedule.parameters,
        trigger=CONTINUOUS if schedule.kind == Kind.CONTINUOUS else "schedule",
        requested_by=f"schedule:{schedule.name}",
        schedule_id=schedule.id,
        tick_at=tick,
        dedup_key=dedup_key,
        delay=delay,
    )


def _is_due(instant: datetime) -> ColumnElement[bool]:
    alive = exists().where(Run.schedule_id == Schedule.id, Run.state.in_(ACTIVE))
    ticked = and_(Schedule.kind == Kind.CRON.value, Schedule.next_tick_at <= instant)
    ended = and_(Schedule.kind == Kind.CONTINUOUS.value, ~alive)
    return and_(Schedule.paused_at.is_(None), or_(ticked, ended))


def _pause(session: Session, schedule: Schedule) -> timedelta:
    """How long the next run of a continuous schedule is to wait."""
    last = session.scalar(select(Run.state).where(Run.schedule_id == schedule.id).order_by(Run.id.desc()).limit(1))
    return _AFTER_A_FAILURE if last == RunState.FAILED else timedelta(0)
