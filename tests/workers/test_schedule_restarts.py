"""A schedule whose only worker is killed and started again, over and over: no tick twice, none missed beyond the policy."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from kit.db import Database
from tests.workers.crew import Crew, until
from workers import schedules
from workers.models import Run
from workers.ticks import newest_tick

CRON = "*/2 * * * * *"
SECOND = timedelta(seconds=1)


@pytest.fixture
def crew(database: Database, tmp_path: Path) -> Iterator[Crew]:
    home = tmp_path / "home"
    home.mkdir()
    with database.transaction() as session:
        for schedule in schedules.list_schedules(session):
            schedules.delete_schedule(session, schedule.name)
        # nobody here carries out what asks for Spark: what is looked at is whether it is asked for
        plan = schedules.Plan("numbers", cron=CRON, engine="spark")
        schedules.create_schedule(session, "even", plan, created_by="tester")
    crew = Crew(database, home, seconds=600.0)
    yield crew
    crew.kill()


class Restarts:
    """One worker at a time. It dies before a tick, right after one, or a moment later, and is away for up to two ticks."""

    def __init__(self, crew: Crew, seed: int) -> None:
        self.crew = crew
        self.chance = random.Random(seed)
        self.log = crew.home / "passed"
        self.fell: Counter[str] = Counter()

    def ticked(self) -> list[Run]:
        with self.crew.database.reading() as session:
            return list(session.scalars(select(Run).order_by(Run.tick_at)))

    def one_more(self, **environment: str) -> None:
        """A worker that lives until there is a run more."""
        known = len(self.ticked())
        worker = self.crew.start("worker", C360_CRASH_LOG=str(self.log), **environment)
        assert until(lambda: len(self.ticked()) > known, seconds=60)
        time.sleep(self.chance.uniform(0, 0.3))
        worker.send(signal.SIGKILL)
        worker.wait()

    def die_at(self, point: str) -> None:
        worker = self.crew.start("worker", C360_CRASH_LOG=str(self.log), C360_CRASH_AT=point)
        assert worker.wait() == -signal.SIGKILL

    def run(self, points: list[str], longest_absence: float) -> None:
        for point in points:
            self.die_at(point) if point.startswith("schedule.") else self.one_more()
            self.fell[point] += 1
            time.sleep(self.chance.uniform(0, longest_absence))
        self.one_more()
        self.check()

    def check(self) -> None:
        runs = self.ticked()
        ticks = [run.tick_at for run in runs]
        assert len(set(ticks)) == len(ticks), "a tick has two runs"
        skipped = 0
        for earlier, run in zip([None, *runs], runs, strict=False):
            assert run.tick_at is not None
            assert newest_tick(CRON, "UTC", after=run.tick_at, upto=run.created_at - SECOND) is None, "not the newest"
            if earlier is not None and earlier.tick_at is not None:
                skipped += (run.tick_at - earlier.tick_at) // timedelta(seconds=2) - 1
        passed = Counter(self.log.read_text(encoding="ascii").split())
        assert passed["schedule.ticked"] <= len(runs) <= passed["schedule.before_tick"], "a tick came to nothing"
        print(json.dumps({"restarts": self.fell.total(), "fell": self.fell, "ticks": len(runs), "superseded": skipped}))


def test_a_schedule_over_restarts(crew: Crew) -> None:
    Restarts(crew, seed=1).run(["schedule.before_tick", "schedule.ticked"], longest_absence=0)


@pytest.mark.long
def test_a_schedule_over_fifty_restarts(crew: Crew) -> None:
    restarts = Restarts(crew, seed=2)
    points = ("schedule.before_tick", "schedule.ticked", "a moment after")
    restarts.run([restarts.chance.choice(points) for _ in range(50)], longest_absence=4)
