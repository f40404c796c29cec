"""A worker's sign of life: renews its claims, hears of wishes to end them, and ends the process when it cannot renew.

A worker may carry a run out for as long as its lease lasts. That is known without asking: a claim or renewal that was *begun* at an
instant holds for ``lease_seconds`` from then, by the machine's monotonic clock. What the worker vouches for (workers.runners.embedded)
ends a margin before that. So when the control database does not answer, or the process was stopped and wakes up late, its jobs are
dead before another worker may take their runs.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

from sqlalchemy.exc import SQLAlchemyError

from kit.db import Database
from workers import claims
from workers.events import RunLost
from workers.models import Run

_log = logging.getLogger(__name__)

_LOST_TOUCH = 75
"""Exit code of a worker that could not keep its runs (EX_TEMPFAIL): start it again."""


def end_process() -> NoReturn:
    """At once: nothing may be written any more, and the leash takes the jobs along."""
    os._exit(_LOST_TOUCH)


@dataclass(slots=True)
class Claim:
    """A run in this worker's hands. ``until``: how long it is surely so; ``ended_wish`` is set when its end is wished for."""

    run: Run
    until: float
    cancel_wished: threading.Event = field(default_factory=threading.Event)
    is_lost: bool = False


class Heart:
    """Beats every ``beat_seconds`` while there are claims. ``give_up`` is called when one of them has run out unrenewed."""

    def __init__(
        self,
        database: Database,
        *,
        lease_seconds: float,
        beat_seconds: float,
        give_up: Callable[[], object] = end_process,
    ) -> None:
        self.lease_seconds = lease_seconds
        self._database = database
        self._beat_seconds = beat_seconds
        self._give_up = give_up
        self._claims: dict[str, Claim] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for target, name in ((self._beat, "heart"), (self._watch, "heart-watch"))
        ]

    def __enter__(self) -> Heart:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def hold(self, run: Run, since: float) -> Claim:
        """Keep a run whose claim was begun at that instant."""
        claim = Claim(run, self._vouched(since))
        if run.cancel_requested_at is not None:
            claim.cancel_wished.set()
        with self._lock:
            self._claims[run.id] = claim
        return claim

    def let_go(self, claim: Claim) -> None:
        """The run has left this worker."""
        with self._lock:
            self._claims.pop(claim.run.id, None)

    def until(self, run_id: str) -> float:
        """Until when the worker vouches for a run: in the past for one that is not, or no longer, its own."""
        claim = self._claims.get(run_id)
        return 0.0 if claim is None or claim.is_lost else claim.until

    def _vouched(self, since: float) -> float:
        return since + self.lease_seconds * 7 / 8

    def _held(self) -> list[Claim]:
        with self._lock:
            return [claim for claim in self._claims.values() if not claim.is_lost]

    def _beat(self) -> None:
        while not self._stopped.wait(self._beat_seconds):
            if held := self._held():
                try:
                    self._renew(held)
                except SQLAlchemyError as failure:
                    _log.warning("cannot renew %d runs (%s); trying again", len(held), type(failure).__name__)

    def _renew(self, held: list[Claim]) -> None:
        self._leave_if_overdue()
        since = time.monotonic()
        wished, lost = [], []
        with self._database.transaction() as session:
            for claim in held:
                try:
                    if claims.heartbeat(session, claim.run, seconds=self.lease_seconds):
                        wished.append(claim)
                except RunLost:
                    lost.append(claim)
        self._leave_if_overdue()  # before a renewal that came too late makes it look in time
        for claim in held:
            claim.until = self._vouched(since)
        for claim in wished:
            claim.cancel_wished.set()
        for claim in lost:
            claim.is_lost = True

    def _watch(self) -> None:
        """Apart from the beat, which may hang in the database for longer than a lease."""
        while not self._stopped.wait(self._beat_seconds / 4):
            self._leave_if_overdue()

    def _leave_if_overdue(self) -> None:
        instant = time.monotonic()
        if overdue := [claim.run.id for claim in self._held() if claim.until < instant]:
            _log.error("could not renew %s in time; this worker ends, another goes on", ", ".join(overdue))
            self._give_up()
