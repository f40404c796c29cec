"""How the queue does, in a few numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kit.db import database_time
from workers.models import Run
from workers.states import RunState


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """``waiting_seconds``: how long the run that waits longest could have been claimed; 0 where none waits.

    ``workers`` have runs at present. ``lease_seconds_left`` is that of the running run whose worker was heard of longest ago: below zero,
    the worker is gone and nobody has taken over yet; None where nothing runs.
    """

    runs: Mapping[str, int]
    waiting_seconds: float
    workers: int
    lease_seconds_left: float | None


def queue_figures(session: Session) -> QueueFigures:
    """The figures as they are now, by the clock of the database."""
    counted = session.execute(select(Run.state, func.count()).group_by(Run.state))
    runs = {state.value: 0 for state in RunState} | {row[0]: row[1] for row in counted}
    due = session.scalar(select(func.min(Run.not_before)).where(Run.state == RunState.QUEUED))
    running = Run.state == RunState.RUNNING
    workers = session.scalar(select(func.count(Run.worker.distinct())).where(running)) or 0
    expires = session.scalar(select(func.min(Run.lease_expires_at)).where(running))
    instant = database_time(session)
    waiting = 0.0 if due is None else max(0.0, (instant - due).total_seconds())
    left = None if expires is None else (expires - instant).total_seconds()
    return QueueFigures(runs, waiting, workers, left)
