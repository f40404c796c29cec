"""How a run leaves its worker: ended for good, or back in the line. Its keys are free from then on, and not before."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from governance.models import EndedRun
from kit.db import database_time
from workers.events import STATE, note
from workers.models import Run, RunKey
from workers.states import RunState, move

_IN_TIMELINE = ("pipeline", "trigger", "state", "error_class", "error_code", "parameters", "created_at", "started_at")


def conclude(session: Session, run: Run, state: RunState) -> Run:
    """End a run whose row the caller has locked; the timeline of runs is told in the same transaction."""
    move(run, state)
    run.finished_at, run.lease_expires_at = database_time(session), None
    session.execute(delete(RunKey).where(RunKey.run_id == run.id).execution_options(synchronize_session=False))
    note(session, run, STATE, _told(run))
    session.add(
        EndedRun(
            run_id=run.id,
            **{name: getattr(run, name) for name in _IN_TIMELINE},
            ended_at=run.finished_at,
        )
    )
    session.flush()
    return run


def requeue(session: Session, run: Run, *, wait: timedelta | None) -> Run:
    """Put a run whose row the caller has locked back in the line: to its old place, or to where it is after ``wait``."""
    move(run, RunState.QUEUED)
    run.worker = run.lease_expires_at = run.runner = run.handle = None
    if wait is not None:
        run.not_before = database_time(session) + wait
    session.execute(
        update(RunKey)
        .where(RunKey.run_id == run.id)
        .values(held_since=None)
        .execution_options(synchronize_session=False)
    )
    note(session, run, STATE, {**_told(run), "not_before": run.not_before.isoformat()})
    session.flush()
    return run


def _told(run: Run) -> dict[str, Any]:
    return {"state": run.state, **({"error_code": run.error_code} if run.error_code is not None else {})}
