"""Workers killed at every named point and at random: no run lost or stuck, no commit twice, never two writers."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from kit.db import Database
from kit.faults import WORKER_BOUNDARIES
from tests.workers.crew import Crew, Forked, until
from workers import schedules

JOB_BOUNDARIES = (
    "lease.before_acquire",
    "lease.acquired",
    "flow.batch_planned",
    "flow.computed",
    "commit.fence_checked",
    "commit.written",
    "flow.target_committed",
    "flow.batch_marked",
)
"""Before and after lease, write, commit and mark. At these the worker dies with its job."""
POINTS = (*JOB_BOUNDARIES, *(name for name in WORKER_BOUNDARIES if name.startswith("work.")))
LONG_LEASE = 600.0
TABLES = ("numbers-a", "numbers-b", "numbers-c")


@pytest.fixture
def crew(database: Database, tmp_path: Path) -> Iterator[Crew]:
    home = tmp_path / "home"
    home.mkdir()
    with database.transaction() as session:  # what begins by the clock is not asked for here, and dies of so many kills
        for schedule in schedules.list_schedules(session):
            schedules.delete_schedule(session, schedule.name)
    crew = Crew(database, home, LONG_LEASE)
    yield crew
    crew.kill()


def killed_at(crew: Crew, point: str, kills: int) -> None:
    """Each worker is armed to die at the point; what it leaves is taken over by the next, armed itself."""
    for kill in range(kills):
        crew.land()
        crew.ask()
        once = crew.home / f"{point}-{kill}"
        passage = 2 if kill % 3 == 2 and point.startswith("work.") else 1
        worker = crew.start(
            "armed", C360_CRASH_AT=f"{point}:{passage}", C360_CRASH_ONCE=str(once), C360_CRASH_PARENT="yes"
        )
        assert worker.wait() == -signal.SIGKILL
        assert once.exists()
        crew.runs.expire()
    crew.start("last")
    crew.finish()
    crew.check("numbers")


@pytest.mark.parametrize("point", ["commit.fence_checked", "commit.written", "work.submitted", "work.changed"])
def test_killed_at_a_point(crew: Crew, point: str) -> None:
    killed_at(crew, point, kills=1)


@pytest.mark.long
@pytest.mark.parametrize("point", POINTS)
def test_killed_ten_times_at_every_point(crew: Crew, point: str) -> None:
    killed_at(crew, point, kills=10)


class Chaos:
    """Three workers over three tables; each is killed a moment after a point chosen by chance, and started again."""

    def __init__(self, crew: Crew, seed: int) -> None:
        self.crew = crew
        self.chance = random.Random(seed)
        self.doomed = dict.fromkeys(("one", "two", "three"), 0)
        self.fell: Counter[str] = Counter()
        self.gave_up = 0

    def passed(self, name: str) -> list[str]:
        log = self.crew.home / f"{name}.passed"
        return log.read_text(encoding="ascii").splitlines() if log.exists() else []

    def start(self, name: str) -> None:
        """``doomed`` says after how many points it is to die: a run passes about 20."""
        self.doomed[name] = self.chance.randrange(1, 22)
        (self.crew.home / f"{name}.passed").unlink(missing_ok=True)
        self.crew.start(name, C360_CRASH_LOG=str(self.crew.home / f"{name}.passed"))

    def ask(self) -> None:
        """Something to do for every table."""
        active = self.crew.active()
        for table in TABLES:
            if active[table] < 2:
                self.crew.land()
                self.crew.ask(table)

    def look_at(self, name: str) -> None:
        worker = self.crew.workers[name]
        if (
            worker.poll() is not None
        ):  # it could not keep its lease on this machine, and has ended by itself, as it must
            assert worker.poll() == 75
            self.gave_up += 1
            self.start(name)
        elif len(self.passed(name)) >= self.doomed[name]:
            time.sleep(self.chance.uniform(0, 0.01))
            worker.send(signal.SIGKILL)
            worker.wait()
            self.fell[self.passed(name)[-1]] += 1
            self.start(name)

    def run(self, kills: int) -> None:
        for name in self.doomed:
            self.start(name)
        while self.fell.total() < kills:
            self.ask()
            for name in self.doomed:
                self.look_at(name)
            time.sleep(0.01)
        self.crew.finish()
        self.crew.check(*TABLES)
        print(json.dumps({"kills": kills, "gave_up": self.gave_up, "runs": len(self.crew.asked), "fell": self.fell}))


def test_killed_at_random(crew: Crew) -> None:
    crew.seconds = 6.0
    Chaos(crew, seed=4).run(kills=3)


@pytest.mark.long
def test_killed_two_hundred_times_at_random(crew: Crew) -> None:
    crew.seconds = 4.0
    chaos = Chaos(crew, seed=360)
    chaos.run(kills=int(os.environ.get("C360_TEST_KILLS", "200")))
    assert set(chaos.fell) >= {
        "work.before_change",
        "work.changed",
        "lease.acquired",
        "flow.computed",
        "flow.target_committed",
    }


@pytest.mark.long
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_another_worker_is_at_work_within_twelve_seconds(crew: Crew) -> None:
    """With the leases of a real installation. A figure of this machine: printed, and held to the promise by the database's clock."""
    crew.seconds = 8.0
    took = [takeover_seconds(crew, f"numbers-{kill}") for kill in range(5)]
    print(json.dumps({"takeover_seconds": took}))
    assert max(took) <= 12


def takeover_seconds(crew: Crew, pipeline: str) -> float:
    """From the kill of a worker that has just claimed a run until another one has it."""
    crew.land()
    run = crew.ask(pipeline)
    first = crew.start("first", C360_PAUSE_AT="work.submitted")
    os.waitpid(first.pid, os.WUNTRACED)
    crew.start("second")
    killed_at = time.monotonic()
    first.send(signal.SIGKILL)
    first.wait()
    while crew.runs.stored(run).worker != "second":
        time.sleep(0.01)
    took = time.monotonic() - killed_at
    crew.finish()
    return round(took, 2)


@pytest.mark.long
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_twenty_zombies_write_nothing(crew: Crew) -> None:
    """A worker and its job are stopped together, others go on, and both wake up."""
    for zombie in range(20):
        crew.land()
        crew.ask()
        point = POINTS[zombie % len(JOB_BOUNDARIES)]
        worker = crew.start("zombie", C360_PAUSE_AT=point)
        child = stopped_child(worker.pid)
        stop_between_transactions(crew, worker)
        crew.start("heir")
        crew.workers.pop("zombie")
        crew.land()
        crew.ask()
        until(lambda: not crew.active(), seconds=60)
        os.kill(child, signal.SIGCONT)
        worker.send(signal.SIGCONT)
        worker.send(signal.SIGTERM)
        worker.wait()
        crew.stop()
    crew.check("numbers", alone=False)


def stop_between_transactions(crew: Crew, worker: Forked) -> None:
    """Stopped, and its lease over. One that is stopped amid a renewal keeps its row locked until the server ends its session;
    what is asked here is what it does on waking up, so it goes on for a moment and is stopped again."""
    while True:
        worker.send(signal.SIGSTOP)
        try:
            crew.runs.expire()
        except OperationalError:
            worker.send(signal.SIGCONT)
        else:
            return


def stopped_child(parent: int) -> int:
    """The stopped child of a process: waits for it."""
    while True:
        children = Path(f"/proc/{parent}/task").glob("*/children")
        for child in (int(number) for file in children for number in file.read_text().split()):
            if Path(f"/proc/{child}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "T":
                return child
        time.sleep(0.01)
