"""The run queue as a worker sees it: claim a run with a lease, keep it, say where it runs, end it once or give it back.

A claim is told from earlier ones by its token (``Run.lease_token``): a worker that slept through its lease while another took
the run over can neither keep, tell of nor end it; each function raises RunLost then. What it writes to tables is kept out by
the tables' own fence (lakehouse.lease).

Two runs that share a key never run at once. A key is held from the claim until the run has left its worker in one of the ways
below, all of which promise that *its writer is gone*. A worker that vanishes leaves the key held, until another takes the run over
and goes on: resumes with the handle, or begins the work again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from kit.code_version import code_version
from kit.db import database_time
from workers import outcome
from workers.ends import conclude, requeue
from workers.events import STATE, RunLost, note
from workers.models import Run, RunKey
from workers.retries import ErrorClass, back_off
from workers.states import RunState, move

EMBEDDED = "embedded"
LOCAL_RUNNERS = (EMBEDDED, "process")
"""What these run dies with their worker; what others run may outlive it."""

_MESSAGE_LENGTH = 2000


def is_work_waiting(session: Session, *, engines: Collection[str] | None = None) -> bool:
    """Whether a claim would be worth trying. Only reads: an idle worker that asks this first keeps out of writers' way."""
    instant = database_time(session)
    waiting = or_(_vanished(instant), _free(instant))
    return session.scalar(select(Run.id).where(waiting, _of(engines)).limit(1)) is not None


def claim(
    session: Session,
    worker: str,
    *,
    seconds: float,
    run_id: str | None = None,
    engines: Collection[str] | None = None,
) -> Run | None:
    """A run that is now this worker's, for that long without a heartbeat; None for none.

    First those whose worker has vanished, then the first of the line whose keys are free: by priority, then by when it may
    begin; nobody passes one that waits for the same key. ``run_id``: that run only, wherever it stands in the line.

    A run from the line begins a new ``attempt``. One taken over goes on with its own, so that what its vanished worker may have
    submitted is found by the attempt's token; ``cancel_requested_at`` may be set already. A run that has lost as many workers and
    attempts as it may is taken for the reason of it: it fails, and the next is looked at. (If it may be at work elsewhere, it is
    handed out with ``cancel_requested_at`` set.)
    """
    wanted = and_(_of(engines), Run.id == run_id) if run_id is not None else _of(engines)
    while True:
        instant = database_time(session)
        if (run := _next(session, and_(_vanished(instant), wanted))) is not None:
            if not _count_vanished(session, run):
                continue
        else:
            free = _queued_by_name() if run_id is not None else _free(instant)
            run = _next(session, and_(free, wanted))
            if run is None:
                return None
            if not _hold(session, run, instant):
                continue
            run.attempt += 1
        move(run, RunState.RUNNING)
        run.worker, run.code_version = worker, code_version()
        run.lease_token, run.lease_expires_at = run.lease_token + 1, instant + timedelta(seconds=seconds)
        run.started_at = run.started_at or instant
        note(session, run, STATE, {"state": run.state, "attempt": run.attempt, "worker": worker})
        session.flush()
        return run


def heartbeat(session: Session, run: Run, *, seconds: float) -> bool:
    """Keep a claimed run for that long from now; whether its end is wished for (queue.cancel). Raises RunLost.

    A run past its lease that nobody has taken over is still its worker's.
    """
    kept = session.execute(
        update(Run)
        .where(*_mine(run))
        .values(lease_expires_at=database_time(session) + timedelta(seconds=seconds))
        .returning(Run.cancel_requested_at)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if kept is None:
        raise _lost(run)
    return kept.cancel_requested_at is not None


def submitted(session: Session, run: Run, *, runner: str, handle: str) -> None:
    """Keep where the attempt runs, so that who takes the run over finds it. Raises RunLost."""
    current = _still_mine(session, run)
    current.runner, current.handle = runner, handle
    note(session, current, STATE, {"state": current.state, "runner": runner, "attempt": current.attempt})
    session.flush()


def finish(session: Session, run: Run, record: Mapping[str, Any]) -> Run:
    """The run succeeded with this record, also when its end was wished for too late. Raises RunLost.

    Versions in and out are the record's. Where a job says which code it was, that is the run's: it may differ from its worker's.
    """
    current = _still_mine(session, run)
    current.record = dict(record)
    current.versions_in, current.versions_out = outcome.versions_in(record), outcome.versions_out(record)
    current.code_version = record.get("code_version", current.code_version)
    current.error_class = current.error_code = current.error_message = None
    return conclude(session, current, RunState.SUCCEEDED)


def fail(
    session: Session,
    run: Run,
    *,
    code: str,
    message: str,
    error_class: ErrorClass = ErrorClass.PERMANENT,
    record: Mapping[str, Any] | None = None,
) -> Run:
    """The attempt failed, for a reason that may be shown, and its writer is gone. Raises RunLost.

    The run goes back in the line, with a wait by the class of its error, unless that is permanent or it was the last attempt:
    then the run has failed. One whose end was wished for is cancelled.
    """
    current = _still_mine(session, run)
    if record is not None:
        current.record = dict(record)
    current.failures += 1
    return _after_failure(session, current, code, message, error_class)


def confirm_cancel(session: Session, run: Run) -> Run:
    """The writer of a run is gone, as was wished. Raises RunLost."""
    return conclude(session, _still_mine(session, run), RunState.CANCELLED)


def release(session: Session, run: Run) -> Run:
    """Give a run back whose writer was stopped before its end, at no fault of its own: it is where it was in the line, and
    begins again. One whose end was wished for is cancelled. Raises RunLost."""
    current = _still_mine(session, run)
    if current.cancel_requested_at is not None:
        return conclude(session, current, RunState.CANCELLED)
    return requeue(session, current, wait=None)


def hand_over(session: Session, run: Run) -> None:
    """Let go of a run that goes on elsewhere, and needs nobody for a moment: it stays running, with its keys, and the next
    worker resumes it with its handle. Raises RunLost."""
    current = _still_mine(session, run)
    current.worker, current.lease_expires_at = None, database_time(session)
    session.flush()


def supersede(session: Session, run: Run) -> list[Run]:
    """Cancel runs that stand in a queued run's way though nobody works on them: their worker has vanished, and their work,
    which ran beside it, with it. For a process that carries out a run by itself, where no worker may ever come."""
    instant = database_time(session)
    blocking = exists().where(RunKey.run_id == Run.id, RunKey.key.in_(run.keys), RunKey.held_since.is_not(None))
    query = select(Run).where(Run.id != run.id, _vanished(instant), _dies_with_worker(), blocking)
    query = query.with_for_update(skip_locked=True)
    superseded = list(session.scalars(query.execution_options(populate_existing=True)))
    for vanished in superseded:
        vanished.error_code, vanished.error_message = (
            "run.superseded",
            f"its worker has vanished; run {run.id} came next",
        )
        conclude(session, vanished, RunState.CANCELLED)
    return superseded


def _next(session: Session, condition: ColumnElement[bool]) -> Run | None:
    """Its row is locked; rows that another worker is claiming now are passed over."""
    line = select(Run).where(condition).order_by(Run.priority, Run.not_before, Run.id).limit(1)
    return session.scalar(line.with_for_update(skip_locked=True, of=Run).execution_options(populate_existing=True))


def _of(engines: Collection[str] | None) -> ColumnElement[bool]:
    return Run.engine.in_(list(engines)) if engines is not None else Run.id.is_not(None)


def _vanished(instant: datetime) -> ColumnElement[bool]:
    return and_(Run.state == RunState.RUNNING, Run.lease_expires_at <= instant)


def _dies_with_worker() -> ColumnElement[bool]:
    return or_(Run.runner.in_(LOCAL_RUNNERS), and_(Run.handle.is_(None), Run.engine == EMBEDDED))


def _queued_by_name() -> ColumnElement[bool]:
    """Queued, with nobody holding a key that it needs."""
    mine, held = aliased(RunKey), aliased(RunKey)
    is_held = exists().where(mine.run_id == Run.id, held.key == mine.key, held.held_since.is_not(None))
    return and_(Run.state == RunState.QUEUED, ~is_held)


def _free(instant: datetime) -> ColumnElement[bool]:
    """Its time has come, and it is the first in the line of every key that it needs."""
    mine, theirs, other = aliased(RunKey), aliased(RunKey), aliased(Run)
    is_passed = exists().where(
        mine.run_id == Run.id,
        theirs.key == mine.key,
        other.id == theirs.run_id,
        other.state == RunState.QUEUED,
        other.not_before <= instant,
        tuple_(other.priority, other.not_before, other.id) < tuple_(Run.priority, Run.not_before, Run.id),
    )
    return and_(_queued_by_name(), Run.not_before <= instant, ~is_passed)


def _hold(session: Session, run: Run, instant: datetime) -> bool:
    """Take the run's keys; in one order, so that two workers never wait for each other."""
    try:
        with session.begin_nested():
            for key in sorted(run.keys):
                session.execute(
                    update(RunKey)
                    .where(RunKey.run_id == run.id, RunKey.key == key)
                    .values(held_since=instant)
                    .execution_options(synchronize_session=False)
                )
    except IntegrityError:  # another worker has taken one between our look and now
        return False
    return True


def _count_vanished(session: Session, run: Run) -> bool:
    """Whether a run without its worker is to be taken over. One that was handed over has lost nobody.

    What may be at work elsewhere when too many are lost is handed out once more, to be cancelled there: its keys are not free
    before that.
    """
    if run.worker is None:
        return True
    run.failures += 1
    if run.failures < run.max_attempts:
        return True
    code = "run.attempts_exhausted"
    message = f"it has lost {run.failures} attempts and workers; look into the workers' logs before a retry"
    if run.runner in LOCAL_RUNNERS or (run.handle is None and run.engine == EMBEDDED):
        _after_failure(session, run, code, message, ErrorClass.PERMANENT)
        return False
    run.error_class, run.error_code, run.error_message = ErrorClass.PERMANENT, code, message
    run.cancel_requested_at = run.cancel_requested_at or database_time(session)
    return True


def _after_failure(session: Session, run: Run, code: str, message: str, error_class: ErrorClass) -> Run:
    run.error_class, run.error_code, run.error_message = error_class, code, message[:_MESSAGE_LENGTH]
    if run.cancel_requested_at is not None:
        return conclude(session, run, RunState.CANCELLED)
    if error_class is ErrorClass.PERMANENT or run.failures >= run.max_attempts:
        return conclude(session, run, RunState.FAILED)
    return requeue(session, run, wait=back_off(error_class, run.failures))


def _mine(run: Run) -> tuple[ColumnElement[bool], ...]:
    return Run.id == run.id, Run.lease_token == run.lease_token, Run.state == RunState.RUNNING


def _still_mine(session: Session, run: Run) -> Run:
    """The row of a claim, locked."""
    query = select(Run).where(*_mine(run)).with_for_update().execution_options(populate_existing=True)
    if (current := session.scalar(query)) is None:
        raise _lost(run)
    return current


def _lost(run: Run) -> RunLost:
    return RunLost(f"run {run.id} is no longer this worker's")
