"""The worker: claims runs and carries them out, several at a time; any number of workers share one queue.

The main thread claims and attends to duties (schedules, retention), one thread per run watches its job, and the heart keeps the
claims. Nothing is held in memory that another worker could not find in the control database: a worker may be killed at any point.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from kit.db import Database
from kit.faults import boundary
from kit.logging import correlate, correlated
from workers import claims
from workers.heart import Heart
from workers.models import Run
from workers.runners.base import Runner
from workers.work import Work

_log = logging.getLogger(__name__)

_LOOK_AGAIN = 0.05
"""Seconds between two looks at runs that are coming to an end."""


@dataclass(slots=True)
class Duty:
    """Something that every worker sees to now and then. Several workers may do it at once: ``act`` has to stand that."""

    name: str
    seconds: float
    act: Callable[[Database], object]
    due_at: float = field(default=0.0, init=False)


class Worker:
    """``runners`` by the engine a run asks for; a worker takes only runs that it has one for.

    ``poll_seconds`` is how long a free worker sleeps between looks; ``grace_seconds`` how long a stopping one lets its runs go on.
    """

    def __init__(
        self,
        database: Database,
        heart: Heart,
        runners: Mapping[str, Runner],
        *,
        name: str,
        concurrency: int = 1,
        poll_seconds: float = 0.5,
        grace_seconds: float = 20.0,
        duties: Sequence[Duty] = (),
    ) -> None:
        self.name = name
        self._database = database
        self._heart = heart
        self._runners = runners
        self._by_name = {runner.name: runner for runner in runners.values()}
        self._concurrency = concurrency
        self._poll_seconds = poll_seconds
        self._grace_seconds = grace_seconds
        self._duties = duties
        self._works: dict[threading.Thread, Work] = {}
        self._ended = threading.Event()
        self._asked_to_stop = 0

    def stop(self, *_signal: object) -> None:
        """Claim nothing more and leave in good order; asked a second time, without waiting for what could be finished.

        Fit for a signal handler: it takes no lock.
        """
        self._asked_to_stop += 1

    def run(self) -> None:
        """Work until ``stop``. On leaving no run is this worker's any more."""
        with self._heart:
            while not self._asked_to_stop:
                self._ended.clear()
                self._attend_to_duties()
                while self._has_room() and self._claim_one():
                    pass
                self._ended.wait(self._poll_seconds)
            self._drain()

    def _has_room(self) -> bool:
        for thread in [thread for thread in self._works if not thread.is_alive()]:
            del self._works[thread]
        return len(self._works) < self._concurrency and not self._asked_to_stop

    def _claim_one(self) -> bool:
        """Whether there was a run to claim. It is looked for without a write lock first: an idle worker is in nobody's way."""
        engines = list(self._runners)
        try:
            with self._database.reading() as session:
                if not claims.is_work_waiting(session, engines=engines):
                    return False
            boundary("work.before_claim")
            since = time.monotonic()
            with self._database.transaction() as session:
                run = claims.claim(session, self.name, seconds=self._heart.lease_seconds, engines=engines)
        except SQLAlchemyError as failure:
            _log.warning("cannot look for runs (%s); looking again", type(failure).__name__)
            return False
        if run is not None:
            self._begin(run, since)
        return run is not None

    def _begin(self, run: Run, since: float) -> None:
        claim = self._heart.hold(run, since)
        runner = self._by_name.get(run.runner or "") or self._runners[run.engine]
        work = Work(self._database, runner, claim)
        thread = threading.Thread(target=self._carry_out, args=(work,), name=run.id, daemon=True)
        self._works[thread] = work
        with correlated(**_traces(run)):
            _log.info("run %s begins, attempt %d", run.id, run.attempt)
        thread.start()

    def _carry_out(self, work: Work) -> None:
        """In a thread of its own, which has to live as long as the job: a child process dies with the thread that made it."""
        run_id = work.claim.run.id
        correlate(**_traces(work.claim.run))
        try:
            work.carry_out()
            _log.info("run %s has left this worker", run_id)
        except Exception as failure:  # noqa: BLE001 - the run is taken over as from a worker that vanished
            _log.error("run %s: unexpected %s; it will be taken over", run_id, type(failure).__name__)
        finally:
            self._heart.let_go(work.claim)
            self._ended.set()

    def _attend_to_duties(self) -> None:
        for duty in self._duties:
            if time.monotonic() >= duty.due_at:
                try:
                    duty.act(self._database)
                except Exception as failure:  # noqa: BLE001 - a duty that fails must not end the runs
                    _log.warning("%s failed (%s); trying again", duty.name, type(failure).__name__)
                duty.due_at = time.monotonic() + duty.seconds

    def _drain(self) -> None:
        """Let runs end by themselves for a while, then have them stopped and give them back."""
        deadline = time.monotonic() + self._grace_seconds
        while self._at_work():
            in_a_hurry = self._asked_to_stop > 1 or time.monotonic() > deadline
            for work in self._at_work():
                if in_a_hurry or work.is_endless:
                    work.give_back()
            time.sleep(_LOOK_AGAIN)

    def _at_work(self) -> list[Work]:
        return [work for thread, work in self._works.items() if thread.is_alive()]


def _traces(run: Run) -> dict[str, str]:
    """What the lines about a run are found by: its id, and that of the request that asked for it."""
    return {"run_id": run.id} | ({"request_id": run.request_id} if run.request_id is not None else {})
