"""Schedules: runs that nobody has to ask for, by the clock (cron) or kept alive (continuous).

As those see them who make and change them; workers.firing begins the runs, workers.ticks reads the expressions. Services flush,
edges commit. What ticks while a schedule is paused is not made up for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from kit.db import database_time
from kit.errors import Conflict, NotFound
from kit.ids import new_id
from workers import queue
from workers.models import Run, Schedule
from workers.states import RunState
from workers.ticks import InvalidSchedule, check_cron, following_ticks, next_tick

__all__ = [
    "CONTINUOUS", "InvalidSchedule", "Kind", "Plan", "Schedule", "ScheduleExists", "UnknownSchedule", "create_schedule", "delete_schedule",
    "due_at", "get_schedule", "list_schedules", "pause_schedule", "put_schedule", "resume_schedule",
]  # fmt: skip

CONTINUOUS = "continuous"
"""Trigger of a run that a schedule keeps alive."""

ACTIVE = (RunState.QUEUED.value, RunState.RUNNING.value)

_CLOCK = ("cron", "time_zone")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


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


@dataclass(frozen=True, slots=True)
class Plan:
    """What a schedule runs, and when: at the ticks of ``cron``, or, continuous, always (a stream of micro-batches)."""

    pipeline: str
    kind: Kind = Kind.CRON
    cron: str | None = None
    time_zone: str = "UTC"
    engine: str = "embedded"
    full_refresh: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, Any]:
        """As a schedule's row holds it."""
        streams = {"trigger": "streaming"} if self.kind is Kind.CONTINUOUS else {}
        return {
            "pipeline": self.pipeline,
            "kind": self.kind.value,
            "cron": self.cron,
            "time_zone": self.time_zone,
            "engine": self.engine,
            "full_refresh": self.full_refresh,
            "parameters": {**streams, **self.parameters},
        }


def create_schedule(session: Session, name: str, plan: Plan, *, created_by: str) -> Schedule:
    """A new schedule; its first tick is the first one after now. Raises ScheduleExists, InvalidSchedule."""
    _check(name, plan)
    if _find(session, name) is not None:
        raise ScheduleExists(f"there is a schedule {name} already; replace or delete it, or choose another name")
    return _insert(session, name, plan, created_by)


def put_schedule(session: Session, name: str, plan: Plan, *, created_by: str) -> tuple[Schedule, bool]:
    """The schedule of this name with this plan, and whether it is new. Raises InvalidSchedule.

    One that is there is changed, and stays paused if it is. Its next tick is the new expression's first one after now; a run that it
    keeps alive is ended, and begun again by the new plan. What is the same already is left alone.
    """
    _check(name, plan)
    if (schedule := _find(session, name, lock=True)) is None:
        return _insert(session, name, plan, created_by), True
    changed = {column: value for column, value in plan.columns.items() if getattr(schedule, column) != value}
    if changed:
        _end_what_it_keeps_alive(session, schedule)
        session.execute(update(Schedule).where(Schedule.id == schedule.id).values(changed))
        if not changed.keys().isdisjoint(_CLOCK):
            schedule.next_tick_at = next_tick(plan.cron, plan.time_zone, database_time(session))
        session.flush()
    return schedule, False


def get_schedule(session: Session, name: str) -> Schedule:
    """One schedule; raises UnknownSchedule."""
    return _named(session, name, lock=False)


def list_schedules(session: Session, *, limit: int | None = None, after: str = "") -> Sequence[Schedule]:
    """Schedules by name, those after a name."""
    return session.scalars(select(Schedule).where(Schedule.name > after).order_by(Schedule.name).limit(limit)).all()


def due_at(schedule: Schedule, count: int = 5) -> list[datetime]:
    """Its next ticks, at most so many: none while it is paused, or where it has no expression."""
    if schedule.paused_at is not None or schedule.cron is None or schedule.next_tick_at is None:
        return []
    return following_ticks(schedule.cron, schedule.time_zone, schedule.next_tick_at, count)


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
        schedule.next_tick_at = next_tick(schedule.cron, schedule.time_zone, database_time(session))
    session.flush()
    return schedule


def delete_schedule(session: Session, name: str) -> None:
    """Forget the schedule; its runs stay. Raises UnknownSchedule."""
    schedule = _named(session, name)
    _end_what_it_keeps_alive(session, schedule)
    session.delete(schedule)
    session.flush()


def _insert(session: Session, name: str, plan: Plan, created_by: str) -> Schedule:
    instant = database_time(session)
    schedule = Schedule(
        id=new_id("schedule"),
        name=name,
        **plan.columns,
        created_by=created_by,
        created_at=instant,
        next_tick_at=next_tick(plan.cron, plan.time_zone, instant),
    )
    session.add(schedule)
    session.flush()
    return schedule


def _end_what_it_keeps_alive(session: Session, schedule: Schedule) -> None:
    if schedule.kind == Kind.CONTINUOUS:
        for run_id in session.scalars(
            select(Run.id).where(Run.schedule_id == schedule.id, Run.state.in_(ACTIVE))
        ).all():
            queue.cancel(session, run_id)


def _find(session: Session, name: str, *, lock: bool = False) -> Schedule | None:
    query = select(Schedule).where(Schedule.name == name)
    return session.scalar(query.with_for_update() if lock else query)


def _named(session: Session, name: str, *, lock: bool = True) -> Schedule:
    schedule = _find(session, name, lock=lock)
    if schedule is None:
        raise UnknownSchedule("there is no schedule of this name; `c360 schedule list` and GET /schedules show all")
    return schedule


def _check(name: str, plan: Plan) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidSchedule(
            "a schedule's name has up to 64 of a-z, 0-9, _, . and -, and begins with a letter or digit"
        )
    if (plan.kind is Kind.CRON) != (plan.cron is not None):
        raise InvalidSchedule("a cron schedule needs an expression, as in '0 6 * * *'; a continuous one has none")
    check_cron(plan.cron, plan.time_zone)
