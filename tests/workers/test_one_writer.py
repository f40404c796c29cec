"""Many workers, one table: never two writers, whatever is cancelled, and whoever vanishes."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.fixtures.runs import Runs
from workers import claims, queue
from workers.events import RunLost
from workers.models import Run, RunKey
from workers.queue import RunEnded
from workers.retries import ErrorClass
from workers.states import FINAL

TABLE = "table:silver.orders"


class OneTable:
    """Workers over runs of one key. Each marks the table as its own while it works, which nobody may find marked."""

    def __init__(self, runs: Runs, count: int, seed: int) -> None:
        self.runs, self.seed = runs, seed
        self.asked = [runs.enqueue(keys=[TABLE], max_attempts=100).id for _ in range(count)]
        self.writer = threading.Lock()
        self.ended = threading.Event()
        self.worked = 0

    def work(self, worker: int) -> None:
        dice = random.Random(f"{self.seed} {worker}")
        while not self.ended.is_set():
            run = self.runs.claim(f"w{worker}")
            if run is None:
                with self.runs.database.reading() as session:
                    states = [state.value for state in FINAL]
                    if not session.scalar(select(Run.id).where(Run.state.not_in(states)).limit(1)):
                        self.ended.set()
                self.runs.ripen()
                continue
            assert self.writer.acquire(blocking=False), "two writers"
            self.worked += 1
            fate = dice.random()
            wished = self.runs.do(claims.heartbeat, run, seconds=60)
            self.writer.release()  # nothing of it writes any more
            if wished:
                self.runs.do(claims.confirm_cancel, run)
            elif fate < 0.1:
                self.runs.do(claims.fail, run, code="x", message="x", error_class=ErrorClass.CONTENTION)
            elif fate < 0.2:
                self.runs.do(claims.release, run)
            elif fate < 0.3:
                self.runs.expire(run)  # it vanishes; waking up, it is shut out or still the only one
                self.finish_late(run)
            else:
                self.runs.do(claims.finish, run, {})

    def finish_late(self, run: Run) -> None:
        try:
            self.runs.do(claims.finish, run, {})
        except RunLost:
            return

    def cancel_some(self) -> None:
        dice = random.Random(f"{self.seed} cancel")
        for run_id in dice.sample(self.asked, len(self.asked) // 5):
            try:
                self.runs.do(queue.cancel, run_id)
            except RunEnded:
                continue

    def run_all(self, workers: int) -> Any:
        with ThreadPoolExecutor(workers + 1) as pool:
            tasks = [pool.submit(self.work, worker) for worker in range(workers)] + [pool.submit(self.cancel_some)]
            for task in tasks:
                try:
                    task.result()
                finally:
                    self.ended.set() if task.exception() else None
        with self.runs.database.reading() as session:
            assert session.scalar(select(func.count()).select_from(RunKey)) == 0
            return dict(session.execute(select(Run.state, func.count()).group_by(Run.state)).all())


def test_never_two_writers(runs: Runs) -> None:
    table = OneTable(runs, 40, seed=1)
    states = table.run_all(workers=3)
    assert sum(states.values()) == len(table.asked)
    assert set(states) <= {"succeeded", "cancelled"}
    assert table.worked >= states["succeeded"]


@pytest.mark.long
def test_never_two_writers_in_a_thousand_runs(runs: Runs) -> None:
    table = OneTable(runs, 1000, seed=2)
    states = table.run_all(workers=3)
    assert sum(states.values()) == 1000
    assert states.get("cancelled", 0) > 0
    assert set(states) <= {"succeeded", "cancelled"}
