"""The run queue: enqueue in the caller's transaction, claim with a lease, finish or fail once.

Services flush, edges commit: every function works in the session it is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from kit.clock import now
from kit.errors import Conflict, NotFound
from kit.ids import new_id
from workers.models import Run
from workers.states import RunState, move


class UnknownRun(NotFound):
    """There is no run of that id."""

    code = "run.unknown"


class RunLost(Conflict):
    """The run has passed to another worker; this one must stop."""

    code = "run.lost"


def enqueue(
    session: Session,
    *,
    pipeline: str,
    as_of: date,
    full_refresh: bool = False,
    engine: str = "embedded",
    trigger: str,
    requested_by: str,
) -> Run:
    """A new queued run, in the caller's transaction: it exists if and only if that commits."""
    run = Run(
        id=new_id("run"),
        pipeline=pipeline,
        state=RunState.QUEUED.value,
        as_of=as_of,
        full_refresh=full_refresh,
        engine=engine,
        trigger=trigger,
        requested_by=requested_by,
        code_version=_code_version(),
        created_at=now(),
        lease_token=0,
        attempt=0,
    )
    session.add(run)
    session.flush()
    return run


def claim(session: Session, worker: str, *, seconds: float, run_id: str | None = None) -> Run | None:
    """The oldest run that is queued or whose worker has vanished (``run_id``: that run only), now this worker's; None for none."""
    instant = now()
    free = or_(
        Run.state == RunState.QUEUED.value,
        and_(Run.state == RunState.RUNNING.value, Run.lease_expires_at <= instant),
    )
    wanted = select(Run).where(free).order_by(Run.created_at, Run.id).limit(1).with_for_update(skip_locked=True)
    run = session.scalar(wanted if run_id is None else wanted.where(Run.id == run_id))
    if run is None:
        return None
    move(run, RunState.RUNNING)
    run.worker = worker
    run.lease_token += 1
    run.lease_expires_at = instant + timedelta(seconds=seconds)
    run.attempt += 1
    run.started_at = run.started_at or instant
    session.flush()
    return run


def heartbeat(session: Session, run: Run, *, seconds: float) -> None:
    """Keep a claimed run; raises RunLost when it is another worker's."""
    kept = session.execute(
        update(Run)
        .where(Run.id == run.id, Run.lease_token == run.lease_token, Run.state == RunState.RUNNING.value)
        .values(lease_expires_at=now() + timedelta(seconds=seconds))
        .returning(Run.id)
    ).first()
    if kept is None:
        raise RunLost(f"run {run.id} is no longer this worker's")


def finish(session: Session, run: Run, record: Mapping[str, Any]) -> Run:
    """The run succeeded with this record; raises RunLost when it is another worker's."""
    return _end(session, run, RunState.SUCCEEDED, record=dict(record))


def fail(session: Session, run: Run, *, code: str, message: str) -> Run:
    """The run failed; ``message`` is one that may be shown."""
    return _end(session, run, RunState.FAILED, error_code=code, error_message=message[:2000])


def get_run(session: Session, run_id: str) -> Run:
    """One run; raises UnknownRun."""
    run = session.get(Run, run_id)
    if run is None:
        raise UnknownRun(f"there is no run {run_id}")
    return run


def list_runs(session: Session, *, limit: int = 50, before: str | None = None) -> list[Run]:
    """Runs, newest first; ``before`` is the id of the last one of the page before (ids sort by time)."""
    page = select(Run).order_by(Run.id.desc()).limit(limit)
    return list(session.scalars(page if before is None else page.where(Run.id < before)))


def _end(session: Session, run: Run, state: RunState, **values: Any) -> Run:
    current = session.scalar(select(Run).where(Run.id == run.id).with_for_update())
    if current is None or current.lease_token != run.lease_token:
        raise RunLost(f"run {run.id} is no longer this worker's")
    move(current, state)
    current.finished_at, current.lease_expires_at = now(), None
    for name, value in values.items():
        setattr(current, name, value)
    session.flush()
    return current


def _code_version() -> str:
    try:
        return version("customer360")
    except PackageNotFoundError:
        return "unpackaged"
