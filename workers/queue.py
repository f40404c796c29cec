"""The run queue: enqueue in the caller's transaction, claim with a lease, finish or fail once.

A claim is told from earlier ones by its token (``Run.lease_token``): a worker that slept through its lease while another took
the run over can neither keep nor end it. What it writes to tables is kept out by the tables' own fence (lakehouse.lease).
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
from kit.db import database_time
from kit.errors import Conflict, NotFound
from kit.ids import new_id
from workers.models import Run
from workers.states import RunState, move

MAX_ATTEMPTS = 5
"""How often a run is claimed, at most."""

_MESSAGE_LENGTH = 2000


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
        as_of=as_of,
        full_refresh=full_refresh,
        engine=engine,
        trigger=trigger,
        requested_by=requested_by,
        created_at=now(),
        lease_token=0,
        attempt=0,
    )
    move(run, RunState.QUEUED)
    session.add(run)
    session.flush()
    return run


def claim(session: Session, worker: str, *, seconds: float, run_id: str | None = None) -> Run | None:
    """The oldest run that is queued or whose worker has vanished (``run_id``: that run only), now this worker's; None for
    none.

    A run whose workers have vanished MAX_ATTEMPTS times is taken for what makes them vanish: it fails, and the next is
    looked at.
    """
    while (run := _oldest_free(session, run_id)) is not None:
        if run.attempt < MAX_ATTEMPTS:
            instant = database_time(session)
            move(run, RunState.RUNNING)
            run.worker, run.code_version = worker, _code_version()
            run.lease_token, run.lease_expires_at = run.lease_token + 1, instant + timedelta(seconds=seconds)
            run.attempt += 1
            run.started_at = run.started_at or instant
            session.flush()
            return run
        _fail(
            session,
            run,
            "run.attempts_exhausted",
            f"its worker has vanished {run.attempt} times; look into the workers' logs before asking again",
        )
    return None


def heartbeat(session: Session, run: Run, *, seconds: float) -> None:
    """Keep a claimed run for that long from now; raises RunLost when it is not this claim's any more.

    A run past its lease that nobody has taken over is still its worker's.
    """
    kept = session.execute(
        update(Run)
        .where(Run.id == run.id, Run.lease_token == run.lease_token, Run.state == RunState.RUNNING)
        .values(lease_expires_at=database_time(session) + timedelta(seconds=seconds))
        .returning(Run.id)
    ).first()
    if kept is None:
        raise RunLost(f"run {run.id} is no longer this worker's")


def finish(session: Session, run: Run, record: Mapping[str, Any]) -> Run:
    """The run succeeded with this record; raises RunLost when it is not this claim's any more."""
    current = _still_claimed(session, run)
    current.record = dict(record)
    return _conclude(session, current, RunState.SUCCEEDED)


def fail(session: Session, run: Run, *, code: str, message: str) -> Run:
    """The run failed, for a reason that may be shown; raises RunLost when it is not this claim's any more."""
    return _fail(session, _still_claimed(session, run), code, message)


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


def _oldest_free(session: Session, run_id: str | None) -> Run | None:
    """Its row is locked; rows that another worker is claiming now are passed over."""
    vanished = and_(Run.state == RunState.RUNNING, Run.lease_expires_at <= database_time(session))
    free = select(Run).where(or_(Run.state == RunState.QUEUED, vanished))
    if run_id is not None:
        free = free.where(Run.id == run_id)
    return session.scalar(free.order_by(Run.id).limit(1).with_for_update(skip_locked=True))


def _still_claimed(session: Session, run: Run) -> Run:
    current = session.get(Run, run.id, with_for_update=True, populate_existing=True)
    if current is None or current.lease_token != run.lease_token:
        raise RunLost(f"run {run.id} is no longer this worker's")
    return current


def _fail(session: Session, run: Run, code: str, message: str) -> Run:
    run.error_code, run.error_message = code, message[:_MESSAGE_LENGTH]
    return _conclude(session, run, RunState.FAILED)


def _conclude(session: Session, run: Run, state: RunState) -> Run:
    move(run, state)
    run.finished_at, run.lease_expires_at = database_time(session), None
    session.flush()
    return run


def _code_version() -> str:
    try:
        return version("customer360")
    except PackageNotFoundError:
        return "unpackaged"
