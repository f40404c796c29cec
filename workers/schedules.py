"""Schedules: runs that nobody has to ask for, by the clock (cron) or kept alive (continuous).

A tick is an instant at which a cron schedule is due. Its run is enqueued in the very transaction that advances the schedule, under
the schedule's lock, and a tick has one run for ever: several workers may see to one queue, and all may be killed at any point. Of
the ticks that nobody was there for, the newest is made up for; those missed while a schedule was paused are not.

Expressions have five fields (or six, seconds first) and are read in the schedule's time zone as Debian's cron does: a fixed time
that the clock skips in spring comes right after the gap, one that the clock repeats in autumn comes once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session

from kit.clock import today
from kit.db import Database, database_time
from kit.errors import Conflict, Invalid, NotFound
from kit.faults import boundary
from kit.ids import new_id
from workers import queue
from workers.models import Run, Schedule
from workers.states import RunState

CONTINUOUS = "continuous"
"""Trigger of a run that a schedule keeps alive."""

_ACTIVE = (RunState.QUEUED.value, RunState.RUNNING.value)
_AFTER_A_FAILURE = timedelta(seconds=10)
"""How long a continuous schedule waits before it tries again what has failed for good."""

_SPANS = (timedelta(hours=1), timedelta(days=2), timedelta(days=62))
"""How far back the newest tick is looked for: near first, since a second's schedule has 31 million ticks a year."""


class Kind(StrEnum):
    """``cron``: a run per tick. ``continuous``: one long-lived run, begun again whenever it has ended."""

    CRON = "cron"
    CONTINUOUS = CONTINUOUS


class UnknownSchedule(NotFound):
    """There is no schedule of that name."""

    code = "schedule.unknown"


class ScheduleExists(Conflict):
    """There is a schedule of that name already."""

    code = "schedule.exists"


class InvalidSchedule(Invalid):
    """The expression or the time zone cannot be read; the message says what is expected."""

    code = "schedule.invalid"


def create_schedule(
    session: Session,
    *,
    name: str,
    pipeline: str,
    created_by: str,
    kind: Kind = Kind.CRON,
    cron: str | None = None,
    time_zone: str = "UTC",
    engine: str = "embedded",
    full_refresh: bool = False,
    parameters: Mapping[str, str] | None = None,
) -> Schedule:
    """A new schedule; its first tick is the first one after now. Raises ScheduleExists, InvalidSchedule."""
    _check(kind, cron, time_zone)
    if session.scalar(select(Schedule).where(Schedule.name == name)) is not None:
        raise ScheduleExists(f"there is a schedule {name} already; delete it first, or choose another name")
    instant = database_time(session)
    schedule = Schedule(
        id=new_id("schedule"),
        name=name,
        pipeline=pipeline,
        kind=kind.value,
        cron=cron,
        time_zone=time_zone,
        engine=engine,
        full_refresh=full_refresh,
        parameters=dict(parameters or {}),
        created_by=created_by,
        created_at=instant,
        next_tick_at=_first_tick(cron, time_zone, instant),
    )
    session.add(schedule)
    session.flush()
    return schedule


def get_schedule(session: Session, name: str) -> Schedule:
    """One schedule; raises UnknownSchedule."""
    return _named(session, name, lock=False)


def list_schedules(session: Session) -> list[Schedule]:
    """All schedules, by name."""
    return list(session.scalars(select(Schedule).order_by(Schedule.name)))


def pause_schedule(session: Session, name: str) -> Schedule:
    """No run begins by this schedule until it is resumed. What runs goes on, unless the schedule keeps it alive."""
    schedule = _named(session, name)
    schedule.paused_at = schedule.paused_at or database_time(session)
    _end_what_it_keeps_alive(session, schedule)
    session.flush()
    return schedule


def resume_schedule(session: Session, name: str) -> Schedule:
    """Go on with the next tick: those that fell into the pause are not made up for."""
    schedule = _named(session, name)
    if schedule.paused_at is not None:
        schedule.paused_at = None
        schedule.next_tick_at = _first_tick(schedule.cron, schedule.time_zone, database_time(session))
    session.flush()
    return schedule


def delete_schedule(session: Session, name: str) -> None:
    """Forget the schedule; its runs stay. Raises UnknownSchedule."""
    schedule = _named(session, name)
    _end_what_it_keeps_alive(session, schedule)
    session.delete(schedule)
    session.flush()


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


def newest_tick(cron: str, time_zone: str, *, after: datetime, upto: datetime) -> datetime | None:
    """The last tick of (after, upto]; None where there is none."""
    for begin in (*(upto - span for span in _SPANS), after):
        newest = None
        for tick in _ticks(cron, time_zone, max(begin, after)):
            if tick > upto:
                break
            newest = tick
        if newest is not None or begin <= after:
            return newest
    return None


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
    schedule.next_tick_at = _first_tick(schedule.cron, schedule.time_zone, instant)
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
    alive = exists().where(Run.schedule_id == Schedule.id, Run.state.in_(_ACTIVE))
    ticked = and_(Schedule.kind == Kind.CRON.value, Schedule.next_tick_at <= instant)
    ended = and_(Schedule.kind == Kind.CONTINUOUS.value, ~alive)
    return and_(Schedule.paused_at.is_(None), or_(ticked, ended))


def _pause(session: Session, schedule: Schedule) -> timedelta:
    """How long the next run of a continuous schedule is to wait."""
    last = session.scalar(select(Run.state).where(Run.schedule_id == schedule.id).order_by(Run.id.desc()).limit(1))
    return _AFTER_A_FAILURE if last == RunState.FAILED else timedelta(0)


def _end_what_it_keeps_alive(session: Session, schedule: Schedule) -> None:
    if schedule.kind == Kind.CONTINUOUS:
        for run_id in session.scalars(
            select(Run.id).where(Run.schedule_id == schedule.id, Run.state.in_(_ACTIVE))
        ).all():
            queue.cancel(session, run_id)


def _named(session: Session, name: str, *, lock: bool = True) -> Schedule:
    query = select(Schedule).where(Schedule.name == name)
    schedule = session.scalar(query.with_for_update() if lock else query)
    if schedule is None:
        raise UnknownSchedule(f"there is no schedule {name}")
    return schedule


def _check(kind: Kind, cron: str | None, time_zone: str) -> None:
    if (kind is Kind.CRON) != (cron is not None):
        raise InvalidSchedule("a cron schedule needs an expression, as in '0 6 * * *'; a continuous one has none")
    try:
        zone = ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidSchedule("there is no such time zone; write one as Europe/Berlin or UTC") from None
    if cron is not None:
        try:
            next(CronSim(cron, datetime.now(zone)), None)
        except CronSimError:
            raise InvalidSchedule(
                "the expression cannot be read; write minute, hour, day of month, month and day of week, as in '0 6 * * *'"
            ) from None


def _first_tick(cron: str | None, time_zone: str, after: datetime) -> datetime | None:
    return None if cron is None else next(_ticks(cron, time_zone, after), None)


def _ticks(cron: str, time_zone: str, after: datetime) -> Iterator[datetime]:
    """All ticks after an instant, in order. The library goes by the wall clock, which may lie before it in a repeated hour."""
    zone = ZoneInfo(time_zone)
    last = after
    for tick in CronSim(cron, after.astimezone(zone)):
        instant = tick.astimezone(UTC)
        if instant > last:
            yield instant
            last = instant
