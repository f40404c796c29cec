"""One claimed run, carried out: its job is submitted or found again, watched, and its end told to the queue."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from kit.db import Database
from kit.errors import C360Error, Unavailable
from kit.faults import boundary
from workers import claims
from workers.events import PROGRESS, RunLost, append
from workers.heart import Claim
from workers.models import Run
from workers.retries import ErrorClass, error_class_of
from workers.runners.base import JOB_LOST, Job, JobState, JobStatus, Runner
from workers.schedules import CONTINUOUS

_log = logging.getLogger(__name__)

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 15.0
"""Seconds between attempts to reach something that does not answer; they double."""


class Work:
    """Carries out one run in the thread that calls ``carry_out``; ``give_back`` asks it, from another, to come to an end.

    The run's keys are free only when nothing of the job can write any more: a job that is cancelled is waited for. Whatever is
    not provided for ends this work without a word to the queue: the lease runs out, the leash ends the job before that, and
    the run is taken over as from a worker that vanished.
    """

    def __init__(self, database: Database, runner: Runner, claim: Claim) -> None:
        self.claim = claim
        self._run = claim.run
        self._database = database
        self._runner = runner
        self._giving_back = threading.Event()

    @property
    def is_endless(self) -> bool:
        """A run that is kept alive does not end by itself."""
        return self._run.trigger == CONTINUOUS

    def give_back(self) -> None:
        """Stop the job and put the run back in the line; a job that outlives its worker is left to the next one."""
        self._giving_back.set()

    def carry_out(self) -> None:
        """From the claim to the end of the run, or of this worker's part in it."""
        boundary("work.claimed")
        try:
            if self.claim.cancel_wished.is_set() and not self._may_be_at_work:
                self._settle(claims.confirm_cancel)
            elif (handle := self._find_or_submit()) is not None:
                self._see_through(handle)
        except RunLost:
            _log.warning("run %s has passed to another worker", self._run.id)

    @property
    def _may_be_at_work(self) -> bool:
        """Whether an earlier worker may have left a job behind that goes on."""
        return self._runner.outlives_worker and self._run.lease_token > 1

    def _find_or_submit(self) -> str | None:
        """The handle of the attempt's job; None where there is none and the run has left this worker."""
        run, wait = self._run, _FIRST_WAIT
        if run.handle is not None and self._runner.outlives_worker:
            return run.handle
        while True:
            try:
                handle = self._runner.submit(_job_of(run))
            except Unavailable as failure:  # it may have arrived all the same: the same attempt is submitted again
                if self._giving_back.is_set():
                    self._leave()
                    return None
                _log.warning("cannot submit run %s (%s); trying again", run.id, failure.code)
                time.sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT)
            except C360Error as failure:
                fail = partial(
                    claims.fail, code=failure.code, message=failure.message, error_class=error_class_of(failure)
                )
                self._settle(fail)
                return None
            else:
                boundary("work.submitted")
                self._settle(partial(claims.submitted, runner=self._runner.name, handle=handle))
                return handle

    def _see_through(self, handle: str) -> None:
        try:
            status = self._watch(handle)
        except RunLost:
            self._end_lost(handle)
            raise
        if status is None:
            self._leave()
        else:
            self._settle(partial(self._conclude, status))

    def _watch(self, handle: str) -> JobStatus | None:
        """The final status of the job; None when it is to be left to the next worker."""
        wait = _FIRST_WAIT
        while True:
            if self._giving_back.is_set() and self._runner.outlives_worker:
                return None
            try:
                if self.claim.cancel_wished.is_set() or self._giving_back.is_set():
                    self._runner.cancel(handle)
                status = self._runner.poll(handle)
            except Unavailable as failure:
                _log.warning("cannot see the job of run %s (%s); looking again", self._run.id, failure.code)
                time.sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT)
                continue
            if self.claim.is_lost:
                raise RunLost(f"run {self._run.id} is no longer this worker's")
            if status.progress:
                steps = [(PROGRESS, {"subject": step.subject, "step": step.step}) for step in status.progress]
                self._settle(lambda session, run: append(session, run, steps))  # noqa: B023 - called before the next round
            if status.state.is_final:
                return status
            wait = _FIRST_WAIT
            time.sleep(self._runner.poll_seconds)

    def _conclude(self, status: JobStatus, session: Session, run: Run) -> None:
        match status.state:
            case JobState.SUCCEEDED:
                claims.finish(session, run, status.record or {})
            case JobState.CANCELLED if self._giving_back.is_set() and not self.claim.cancel_wished.is_set():
                claims.release(session, run)
            case JobState.CANCELLED:
                claims.confirm_cancel(session, run)
            case _:
                claims.fail(
                    session,
                    run,
                    code=status.code or "job.failed",
                    message=status.message or "the job failed and did not say why",
                    error_class=_error_class_of(status),
                )

    def _leave(self) -> None:
        """Nothing of this worker is at work any more."""
        self._settle(claims.hand_over if self._runner.outlives_worker else claims.release)

    def _end_lost(self, handle: str) -> None:
        """Another worker has the run: what is still at work here for it is not vouched for any more, and ends."""
        self.claim.is_lost = True
        while not self._runner.outlives_worker and not self._runner.poll(handle).state.is_final:
            time.sleep(self._runner.poll_seconds)

    def _settle(self, change: Callable[[Session, Run], object]) -> None:
        """Make a change in a transaction of its own, again while the database does not answer."""
        wait = _FIRST_WAIT
        while True:
            boundary("work.before_change")
            try:
                with self._database.transaction() as session:
                    change(session, self._run)
            except (OperationalError, InterfaceError) as failure:
                _log.warning("cannot tell of run %s (%s); trying again", self._run.id, type(failure).__name__)
                time.sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT)
            else:
                boundary("work.changed")
                return


def _job_of(run: Run) -> Job:
    return Job(
        run_id=run.id,
        attempt=run.attempt,
        pipeline=run.pipeline,
        as_of=run.as_of,
        full_refresh=run.full_refresh,
        engine=run.engine,
        parameters=run.parameters,
    )


def _error_class_of(status: JobStatus) -> ErrorClass:
    if not status.retryable:
        return ErrorClass.PERMANENT
    return ErrorClass.CONTENTION if status.code == JOB_LOST else ErrorClass.UNAVAILABLE
