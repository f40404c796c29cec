"""The run queue as those see it who ask for runs: enqueue in the caller's transaction, cancel, retry, look, purge.

Those who carry runs out use workers.claims. Services flush, edges commit: every function works in the session it is given, by the
clock of the database.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from governance import timeline
from kit.db import database_time
from kit.errors import Conflict, NotFound
from kit.ids import new_id
from kit.logging import correlation
from workers.ends import conclude
from workers.events import STATE, events, note
from workers.figures import queue_figures
from workers.models import Run, RunEvent, RunKey
from workers.outcome import Outcome, outcome_of
from workers.presence import presences
from workers.states import FINAL, RunState, move

__all__ = [
    "MAX_ATTEMPTS", "PRIORITIES", "USUAL_PRIORITY", "Duplicate", "Head", "Outcome", "Run", "RunActive", "RunDuplicated", "RunEnded", "RunEvent", "RunState",
    "UnknownRun", "cancel", "enqueue", "events", "get_run", "heads", "holders", "list_runs", "outcome_of", "presences", "purge", "queue_figures", "retry",
]  # fmt: skip

MAX_ATTEMPTS = 5
"""How many failed attempts and vanished workers end a run, unless it says otherwise."""

PRIORITIES = range(10)
"""0 goes first. Among equals, who came first."""

USUAL_PRIORITY = 5

SHARES_KEY_WITH = {"declarative": "daily"}
"""Pipelines that write the tables of another: one of them runs at a time."""


class Duplicate(StrEnum):
    """What becomes of a request whose deduplication key an active run has."""

    RETURN = "return"
    REFUSE = "refuse"


class Head(NamedTuple):
    """How far a run is: the number of its newest event, and whether it has ended."""

    last_event: int
    has_ended: bool


class UnknownRun(NotFound):
    """There is no run of that id."""

    code = "run.unknown"


class RunDuplicated(Conflict):
    """An active run has the same deduplication key; the message names it."""

    code = "run.duplicated"


class RunEnded(Conflict):
    """The run has ended: there is nothing left to cancel."""

    code = "run.ended"


class RunActive(Conflict):
    """The run is being carried out: there is nothing to repeat yet."""

    code = "run.active"


def enqueue(
    session: Session,
    *,
    pipeline: str,
    as_of: date,
    trigger: str,
    requested_by: str,
    full_refresh: bool = False,
    engine: str = "embedded",
    parameters: Mapping[str, str] | None = None,
    keys: Iterable[str] | None = None,
    priority: int = USUAL_PRIORITY,
    delay: timedelta = timedelta(0),
    max_attempts: int = MAX_ATTEMPTS,
    dedup_key: str | None = None,
    on_duplicate: Duplicate = Duplicate.RETURN,
    schedule_id: str | None = None,
    tick_at: datetime | None = None,
    parent_id: str | None = None,
    retry_of: str | None = None,
) -> Run:
    """A new queued run, in the caller's transaction: it exists if and only if that commits.

    ``keys`` is what the run must have to itself, ``pipeline:<name>`` unless it says otherwise (of two pipelines over the same tables, one name). An active run with the same
    ``dedup_key`` is returned in its place, or RunDuplicated raised; the run that this tick of a schedule has had, active or
    not, is always returned. The run keeps the ``request_id`` that lines logged here have: its worker's lines will have it too.
    """
    instant = database_time(session)
    run = Run(
        id=new_id("run"),
        pipeline=pipeline,
        as_of=as_of,
        full_refresh=full_refresh,
        engine=engine,
        parameters=dict(parameters or {}),
        trigger=trigger,
        requested_by=requested_by,
        request_id=correlation("request_id"),
        parent_id=parent_id,
        retry_of=retry_of,
        schedule_id=schedule_id,
        tick_at=tick_at,
        dedup_key=dedup_key,
        keys=sorted({f"pipeline:{SHARES_KEY_WITH.get(pipeline, pipeline)}"} if keys is None else set(keys)),
        priority=priority,
        not_before=instant + delay,
        max_attempts=max_attempts,
        created_at=instant,
        lease_token=0,
        attempt=0,
        failures=0,
    )
    first = _insert_or_find(session, run)
    if first is not run and first.tick_at is None and on_duplicate is Duplicate.REFUSE:
        raise RunDuplicated(f"run {first.id} is active and does the same; wait for it or cancel it")
    return first


def cancel(session: Session, run_id: str) -> Run:
    """Ask that a run end: a queued one is cancelled at once, the worker of a running one is told at its next heartbeat and
    ends it when its writer is gone. Asking twice changes nothing. Raises UnknownRun, and RunEnded for one that has succeeded
    or failed.
    """
    run = _locked(session, run_id)
    if run.state == RunState.QUEUED:
        conclude(session, run, RunState.CANCELLED)
    elif run.state == RunState.RUNNING:
        if run.cancel_requested_at is None:
            run.cancel_requested_at = database_time(session)
            note(session, run, STATE, {"state": run.state, "cancel_requested": True})
    elif run.state != RunState.CANCELLED:
        raise RunEnded(f"run {run.id} has {run.state}; there is nothing left to cancel")
    session.flush()
    return run


def retry(session: Session, run_id: str, *, requested_by: str) -> Run:
    """Have a run done again: a new run like an ended one; a queued one is returned, and waits no longer.

    Raises UnknownRun, RunActive for a running one, RunDuplicated where another active run does the same.
    """
    run = _locked(session, run_id)
    if run.state == RunState.RUNNING:
        raise RunActive(f"run {run.id} is running; cancel it first, or wait for its end")
    if run.state == RunState.QUEUED:
        run.not_before = min(run.not_before, database_time(session))
        session.flush()
        return run
    return enqueue(
        session,
        pipeline=run.pipeline,
        as_of=run.as_of,
        trigger="retry",
        requested_by=requested_by,
        full_refresh=run.full_refresh,
        engine=run.engine,
        parameters=run.parameters,
        keys=run.keys,
        priority=run.priority,
        max_attempts=run.max_attempts,
        dedup_key=run.dedup_key,
        on_duplicate=Duplicate.REFUSE,
        parent_id=run.parent_id,
        retry_of=run.id,
    )


def get_run(session: Session, run_id: str) -> Run:
    """One run; raises UnknownRun."""
    run = session.get(Run, run_id)
    if run is None:
        raise UnknownRun("there is no run of this id")
    return run


def list_runs(
    session: Session,
    *,
    limit: int = 50,
    before: str | None = None,
    states: Collection[RunState] = (),
    pipeline: str | None = None,
    trigger: str | None = None,
    parent_id: str | None = None,
) -> list[Run]:
    """Runs, newest first; ``before`` is the id of the last one of the page before (ids sort by time)."""
    page = select(Run).order_by(Run.id.desc()).limit(limit)
    if before is not None:
        page = page.where(Run.id < before)
    if states:
        page = page.where(Run.state.in_([state.value for state in states]))
    for column, value in ((Run.pipeline, pipeline), (Run.trigger, trigger), (Run.parent_id, parent_id)):
        if value is not None:
            page = page.where(column == value)
    return list(session.scalars(page))


def heads(session: Session, run_ids: Collection[str]) -> dict[str, Head]:
    """How far each of these runs is; one that is not there is left out."""
    query = select(Run.id, Run.last_event, Run.state).where(Run.id.in_(list(run_ids)))
    return {row.id: Head(row.last_event, row.state in FINAL) for row in session.execute(query)}


def holders(session: Session, keys: Collection[str]) -> list[str]:
    """Ids of the runs that hold one of these keys."""
    held = select(RunKey.run_id).where(RunKey.key.in_(list(keys)), RunKey.held_since.is_not(None))
    return sorted(set(session.scalars(held)))


def purge(session: Session, *, keep: timedelta, limit: int = 500) -> int:
    """Remove runs that ended longer ago than ``keep``, oldest first, with their events; how many. Never one that has not
    ended. Call it again while it returns ``limit``, in transactions of their own."""
    before = database_time(session) - keep
    old = list(
        session.scalars(
            select(Run.id)
            .where(Run.finished_at < before, Run.state.in_([state.value for state in FINAL]))
            .order_by(Run.finished_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
    )
    for owner in (RunEvent.run_id, RunKey.run_id, Run.id):
        session.execute(delete(owner.class_).where(owner.in_(old)).execution_options(synchronize_session=False))
    timeline.forget(session, before=before)
    return len(old)


def _insert_or_find(session: Session, run: Run) -> Run:
    """The run, inserted, or the one in whose place it would stand. Two that are inserted at once: one wins."""
    if (first := _find_same(session, run)) is not None:
        return first
    try:
        with session.begin_nested():
            move(run, RunState.QUEUED)
            session.add(run)
            session.add_all([RunKey(run_id=run.id, key=key) for key in run.keys])
            note(session, run, STATE, {"state": run.state})
    except IntegrityError:
        if (first := _find_same(session, run)) is None:
            raise
        return first
    return run


def _find_same(session: Session, run: Run) -> Run | None:
    if run.tick_at is not None:
        tick = select(Run).where(Run.schedule_id == run.schedule_id, Run.tick_at == run.tick_at)
        if (found := session.scalar(tick)) is not None:
            return found
    if run.dedup_key is None:
        return None
    active = [RunState.QUEUED.value, RunState.RUNNING.value]
    return session.scalar(select(Run).where(Run.dedup_key == run.dedup_key, Run.state.in_(active)))


def _locked(session: Session, run_id: str) -> Run:
    run = session.get(Run, run_id, with_for_update=True, populate_existing=True)
    if run is None:
        raise UnknownRun("there is no run of this id")
    return run
