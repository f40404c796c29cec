"""Workers as processes over one queue: they carry runs out, take over from those that vanish, and leave in good order."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kit.db import Database
from tests.fixtures.runs import Runs
from tests.workers import small_worker
from tests.workers.odd_job import PROGRAM
from workers import claims, queue, schedules
from workers.events import PROGRESS
from workers.models import Run
from workers.states import FINAL, RunState


@dataclass
class Crew:
    """Workers of one installation; whoever is left is killed at the end."""

    database: Database
    home: Path
    runs: Runs
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, **wishes: Any) -> subprocess.Popen[bytes]:
        self.workers[name] = small_worker.start(self.database, self.home, name, program=PROGRAM, **wishes)
        return self.workers[name]

    def stored(self, run: Run) -> Run:
        return self.runs.stored(run)

    def until(self, run: Run, condition: Callable[[Run], bool]) -> Run:
        """The run, once the condition holds: a test that hangs has failed."""
        while not condition(stored := self.stored(run)):
            time.sleep(0.02)
        return stored

    def until_final(self, run: Run) -> Run:
        return self.until(run, lambda stored: stored.state in FINAL)

    def until_at_work(self, run: Run, attempt_of: str | None = None) -> int:
        """The process id of the run's job, by the newest step it has told under that worker."""
        while True:
            stored = self.stored(run)
            if attempt_of is None or stored.worker == attempt_of:
                events = self.runs.events(run)
                begun = max((e.seq for e in events if e.kind == "state" and "worker" in e.data), default=0)
                told = [event for event in events if event.kind == PROGRESS and event.seq > begun]
                if told:
                    return int(told[-1].data["subject"])
            time.sleep(0.02)


@pytest.fixture
def crew(runs: Runs, tmp_path: Path) -> Iterator[Crew]:
    home = tmp_path / "home"
    home.mkdir()
    with runs.database.transaction() as session:  # nothing begins by the clock here
        for schedule in schedules.list_schedules(session):
            schedules.delete_schedule(session, schedule.name)
    crew = Crew(runs.database, home, runs)
    yield crew
    for worker in crew.workers.values():
        worker.kill()
        worker.wait()


def is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"


def test_runs_are_carried_out_as_their_jobs_say(crew: Crew) -> None:
    (crew.home / "go").touch()
    good = crew.runs.enqueue("waiting", parameters={"buckets": "4"})
    bad = crew.runs.enqueue("failing")
    crew.start("w1", concurrency=2)
    ended = crew.until_final(good)
    assert (ended.state, ended.record) == (RunState.SUCCEEDED, {"attempt": 1, "buckets": "4"})
    assert ended.worker == "w1"
    assert [event.data["step"] for event in crew.runs.events(good) if event.kind == PROGRESS] == ["waiting"]
    failed = crew.until_final(bad)
    assert (failed.state, failed.error_code, failed.attempt) == (RunState.FAILED, "test.never", 1)


def test_what_may_pass_is_tried_again_and_what_goes_on_vanishing_ends(crew: Crew) -> None:
    excused = crew.runs.enqueue("excusing", max_attempts=2)
    poison = crew.runs.enqueue("vanishing", max_attempts=2)
    crew.start("w1", concurrency=2)
    crew.until(excused, lambda stored: stored.state == RunState.QUEUED and stored.failures == 1)
    crew.runs.ripen()
    for run, code in ((excused, "test.not_today"), (poison, "job.lost")):
        ended = crew.until_final(run)
        assert (ended.state, ended.error_code, ended.attempt) == (RunState.FAILED, code, 2)
        assert [state for state in crew.runs.states(run) if state != "running"] == ["queued", "queued", "failed"]


def test_a_cancelled_run_keeps_its_key_until_its_writer_is_gone(crew: Crew) -> None:
    first = crew.runs.enqueue("ignoring", keys=["table"])
    second = crew.runs.enqueue("waiting", keys=["table"])
    crew.start("w1", concurrency=2)
    process = crew.until_at_work(first)
    crew.runs.do(queue.cancel, first.id)
    crew.until(second, lambda stored: stored.state == RunState.RUNNING)
    assert is_gone(process)
    assert crew.stored(first).state == RunState.CANCELLED
    crew.runs.do(queue.cancel, second.id)
    assert crew.until_final(second).state == RunState.CANCELLED


def test_the_job_of_a_killed_worker_dies_and_another_worker_takes_over(crew: Crew) -> None:
    run = crew.runs.enqueue("waiting")
    first = crew.start("w1")
    process = crew.until_at_work(run)
    crew.start("w2")
    first.kill()
    first.wait()
    crew.runs.expire(run)
    other = crew.until_at_work(run, attempt_of="w2")
    assert is_gone(process)
    assert other != process
    assert crew.stored(run).failures == 1
    (crew.home / "go").touch()
    ended = crew.until_final(run)
    assert (ended.state, ended.worker) == (RunState.SUCCEEDED, "w2")


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_worker_that_slept_beyond_its_lease_ends_and_its_job_before_it(crew: Crew) -> None:
    """(On SQLite, a process that is stopped in the middle of a transaction stops all others.)"""
    run = crew.runs.enqueue("ignoring")
    sleeper = crew.start("w1", seconds=5.0)
    process = crew.until_at_work(run)
    sleeper.send_signal(signal.SIGSTOP)
    while not is_gone(process):
        assert crew.stored(run).worker == "w1"
        time.sleep(0.02)
    crew.start("w2")
    crew.until_at_work(run, attempt_of="w2")
    sleeper.send_signal(signal.SIGCONT)
    assert sleeper.wait() == 75
    stored = crew.stored(run)
    assert (stored.worker, stored.state) == ("w2", RunState.RUNNING)


def test_a_worker_that_is_stopped_lets_its_runs_end(crew: Crew) -> None:
    running, waiting = crew.runs.enqueue("waiting"), crew.runs.enqueue("waiting")
    worker = crew.start("w1")
    crew.until_at_work(running)
    worker.terminate()
    (crew.home / "go").touch()
    assert worker.wait() == 0
    assert crew.stored(running).state == RunState.SUCCEEDED
    assert crew.stored(waiting).state == RunState.QUEUED


@pytest.mark.parametrize("pipeline", ["waiting", "ignoring"])
def test_a_worker_that_is_stopped_gives_back_what_does_not_end(crew: Crew, pipeline: str) -> None:
    run = crew.runs.enqueue(pipeline)
    worker = crew.start("w1", grace=0.0)
    process = crew.until_at_work(run)
    worker.terminate()
    assert worker.wait() == 0
    assert is_gone(process)
    given_back = crew.stored(run)
    assert (given_back.state, given_back.failures, given_back.worker) == (RunState.QUEUED, 0, None)


def test_a_worker_asked_twice_is_in_a_hurry(crew: Crew) -> None:
    run = crew.runs.enqueue("waiting")
    worker = crew.start("w1", grace=600.0)
    crew.until_at_work(run)
    worker.send_signal(signal.SIGTERM)
    worker.send_signal(signal.SIGINT)  # another one: two of a kind that arrive at once are one
    assert worker.wait() == 0
    assert crew.stored(run).state == RunState.QUEUED


def test_a_run_that_is_taken_over_after_its_cancellation_is_not_begun_again(crew: Crew) -> None:
    run = crew.runs.enqueue("waiting")
    claimed = crew.runs.must_claim("vanished")
    crew.runs.do(claims.submitted, claimed, runner="embedded", handle="run:1")
    crew.runs.do(queue.cancel, run.id)
    crew.runs.expire(run)
    crew.start("w1")
    assert crew.until_final(run).state == RunState.CANCELLED
    assert not [event for event in crew.runs.events(run) if event.kind == PROGRESS]
