"""Workers of one small installation that a test starts by the hundred and kills: each a fork of this process, so that it starts
in a moment, with jobs that are processes of their own (tests.workers.small_job)."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text

from kit import faults
from kit.db import Database
from tests.contracts.test_fence import assert_fenced
from tests.fixtures.runs import Runs
from tests.lake_state import batch_commits
from tests.workers import small_job, small_worker
from workers import queue
from workers.models import Run
from workers.states import FINAL, RunState

_ENOUGH = 10_000
"""How many workers a run may lose here: those of these tests are lost on purpose."""


@dataclass
class Forked:
    """A child process by its id."""

    pid: int
    status: int | None = None

    def poll(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it lives."""
        if self.status is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def wait(self) -> int:
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def send(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


@dataclass
class Crew:
    """Several workers over one queue, and tables named after the pipelines that write them."""

    database: Database
    home: Path
    seconds: float
    workers: dict[str, Forked] = field(default_factory=dict)
    landed: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def runs(self) -> Runs:
        return Runs(self.database)

    def land(self) -> None:
        """One number more."""
        self.landed += 1
        small_job.land(self.home, self.landed)

    def ask(self, pipeline: str = "numbers", **wishes: Any) -> Run:
        run = self.runs.enqueue(pipeline, max_attempts=_ENOUGH, **wishes)
        self.asked.append(run.id)
        return run

    def start(self, name: str, **environment: str) -> Forked:
        pid = os.fork()
        if pid == 0:
            _be_a_worker(self.database.url, self.home, name, self.seconds, environment)
        self.workers[name] = Forked(pid)
        return self.workers[name]

    def stop(self) -> None:
        """In good order; who does not leave is killed by the test's own end."""
        for worker in self.workers.values():
            worker.send(signal.SIGTERM)
        for worker in self.workers.values():
            worker.wait()

    def kill(self) -> None:
        for worker in self.workers.values():
            worker.send(signal.SIGCONT)
            worker.send(signal.SIGKILL)
            worker.wait()

    def active(self) -> Counter[str]:
        """How many runs of each pipeline have not ended."""
        with self.database.reading() as session:
            states = [RunState.QUEUED, RunState.RUNNING]
            return Counter(run.pipeline for run in queue.list_runs(session, limit=_ENOUGH, states=states))

    def finish(self) -> None:
        """Have every run that was asked for carried out, by a worker that nobody kills."""
        while self.active():
            for name, worker in list(self.workers.items()):
                if worker.poll() is not None:
                    self.start(name)
            time.sleep(0.1)
        self.stop()

    def check(self, *pipelines: str, alone: bool = True) -> None:
        """No run is lost or stuck, no number is missing or twice, no commit came twice or stale; and no two jobs were at work at
        once (``alone``), unless one was frozen: then its fence alone keeps it from writing."""
        with self.database.reading() as session:
            ended = {run.id: run for run in queue.list_runs(session, limit=_ENOUGH)}
            left = session.execute(text("SELECT count(*) FROM run_key")).scalar_one()
        assert set(self.asked) <= ended.keys(), "a run is lost"
        assert {run.state for run in ended.values()} <= FINAL, "a run is stuck"
        failed = Counter((run.state, run.error_code) for run in ended.values() if run.state == RunState.FAILED)
        assert failed == Counter()
        assert left == 0, "keys of runs that have ended are held"
        for pipeline in pipelines:
            path = small_job.table_path(self.home, pipeline)
            assert small_job.numbers(self.home, pipeline) == Counter(range(1, self.landed + 1))
            assert [batch for batch, count in batch_commits(path).items() if count > 1] == []
            assert_fenced(path)
        assert not alone or not (self.home / "overlaps").exists(), "two jobs were at work on one table"
        if self.database.engine.dialect.name == "sqlite":
            with self.database.reading() as session:
                assert session.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"


def until(condition: Callable[[], object], seconds: float) -> bool:
    """Wait for a condition, for so long at most; whether it has come to hold."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def _be_a_worker(url: str, home: Path, name: str, seconds: float, environment: dict[str, str]) -> None:
    """The forked process: nothing of the parent's open connections may be touched, not even closed."""
    try:
        log = os.open(home / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdin = sys.stdout = sys.__stdout__  # type: ignore[assignment]
        os.environ.update(C360_DATABASE_URL=url, **environment)
        faults._passed.clear()
        small_worker.main(url, str(home), name, str(seconds), "1", "600", *small_job.PROGRAM)
    except BaseException:  # noqa: BLE001 - it must not come back into the test
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
