"""The run queue: claimed once, kept by heartbeats, taken over, ended once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import update

from kit.db import Database
from workers import queue
from workers.models import Run
from workers.queue import MAX_ATTEMPTS, RunLost, UnknownRun
from workers.states import IllegalTransition, RunState

AS_OF = date(2026, 1, 31)
LONG = 600.0


def enqueue(database: Database, pipeline: str = "daily") -> Run:
    with database.transaction() as session:
        return queue.enqueue(session, pipeline=pipeline, as_of=AS_OF, trigger="test", requested_by="tester")


def claim(database: Database, worker: str = "w1", run_id: str | None = None) -> Run | None:
    with database.transaction() as session:
        return queue.claim(session, worker, seconds=LONG, run_id=run_id)


def stored(database: Database, run: Run) -> Run:
    with database.reading() as session:
        return queue.get_run(session, run.id)


def expire(database: Database) -> None:
    """What the passing of time does."""
    with database.transaction() as session:
        session.execute(update(Run).values(lease_expires_at=datetime(2000, 1, 1, tzinfo=UTC)))


def test_a_run_from_beginning_to_end(database: Database) -> None:
    asked = enqueue(database)
    assert (stored(database, asked).state, asked.as_of, asked.engine) == (RunState.QUEUED, AS_OF, "embedded")
    claimed = claim(database)
    assert claimed is not None
    running = stored(database, asked)
    assert (running.state, running.worker, running.attempt, running.lease_token) == (RunState.RUNNING, "w1", 1, 1)
    assert running.code_version
    assert running.started_at
    with database.transaction() as session:
        queue.finish(session, claimed, {"commits": 3})
    ended = stored(database, asked)
    assert (ended.state, ended.record, ended.lease_expires_at) == (RunState.SUCCEEDED, {"commits": 3}, None)
    assert ended.finished_at
    assert claim(database) is None


def test_a_failed_run_says_why(database: Database) -> None:
    enqueue(database)
    claimed = claim(database)
    assert claimed is not None
    with database.transaction() as session:
        queue.fail(session, claimed, code="pipeline.unknown", message="there is no such pipeline")
    ended = stored(database, claimed)
    assert (ended.state, ended.error_code, ended.error_message) == (
        RunState.FAILED,
        "pipeline.unknown",
        "there is no such pipeline",
    )
    with pytest.raises(IllegalTransition), database.transaction() as session:
        queue.finish(session, claimed, {})


def test_a_run_exists_only_if_the_caller_commits(database: Database) -> None:
    with database.transaction() as session:
        queue.enqueue(session, pipeline="daily", as_of=AS_OF, trigger="test", requested_by="tester")
        session.rollback()
    with database.reading() as session:
        assert queue.list_runs(session) == []


def test_runs_are_claimed_in_the_order_in_which_they_were_asked_for(database: Database) -> None:
    asked = [enqueue(database).id for _ in range(3)]
    claimed = [run.id for _ in asked if (run := claim(database))]
    assert claimed == sorted(asked)


def test_a_run_may_be_claimed_by_name(database: Database) -> None:
    first, second = enqueue(database), enqueue(database)
    claimed = claim(database, run_id=second.id)
    assert claimed is not None
    assert claimed.id == second.id
    assert claim(database, run_id=second.id) is None
    assert stored(database, first).state == RunState.QUEUED


def test_a_vanished_worker_s_run_is_taken_over_and_the_worker_shut_out(database: Database) -> None:
    enqueue(database)
    sleeper = claim(database, "sleeper")
    assert sleeper is not None
    assert claim(database, "next") is None
    expire(database)
    heir = claim(database, "next")
    assert heir is not None
    assert (heir.worker, heir.attempt, heir.lease_token) == ("next", 2, 2)
    for late in (
        lambda session: queue.heartbeat(session, sleeper, seconds=LONG),
        lambda session: queue.finish(session, sleeper, {}),
        lambda session: queue.fail(session, sleeper, code="x", message="x"),
    ):
        with pytest.raises(RunLost), database.transaction() as session:
            late(session)
    with database.transaction() as session:
        queue.finish(session, heir, {"by": "next"})
    assert stored(database, heir).record == {"by": "next"}


def test_a_heartbeat_keeps_a_run_also_when_it_is_late(database: Database) -> None:
    enqueue(database)
    claimed = claim(database)
    assert claimed is not None
    expire(database)
    with database.transaction() as session:
        queue.heartbeat(session, claimed, seconds=LONG)
    assert claim(database, "other") is None


def test_a_run_that_kills_its_workers_fails_and_lets_the_next_pass(database: Database) -> None:
    poison, next_run = enqueue(database), enqueue(database)
    for _ in range(MAX_ATTEMPTS):
        assert claim(database, run_id=poison.id) is not None
        expire(database)
    claimed = claim(database)
    assert claimed is not None
    assert claimed.id == next_run.id
    ended = stored(database, poison)
    assert (ended.state, ended.error_code, ended.attempt) == (RunState.FAILED, "run.attempts_exhausted", MAX_ATTEMPTS)


def test_workers_racing_for_runs_get_each_once(database: Database) -> None:
    asked = {enqueue(database).id for _ in range(30)}

    def work(worker: int) -> list[str]:
        taken = []
        while (run := claim(database, f"w{worker}")) is not None:
            taken.append(run.id)
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = Counter(run for runs in pool.map(work, range(4)) for run in runs)
    assert taken == Counter(asked)


def test_pages_go_from_the_newest_to_the_oldest(database: Database) -> None:
    asked = sorted((enqueue(database).id for _ in range(7)), reverse=True)
    seen: list[str] = []
    with database.reading() as session:
        while page := queue.list_runs(session, limit=3, before=seen[-1] if seen else None):
            seen += [run.id for run in page]
    assert seen == asked


def test_a_run_that_is_not_there(database: Database) -> None:
    with database.reading() as session, pytest.raises(UnknownRun):
        queue.get_run(session, "run_none")


WORKER = """
import sys, time
from kit.db import Database
from workers import queue
with Database(sys.argv[1]).transaction() as session:
    run = queue.claim(session, "killed", seconds=1.0)
print(run.id, flush=True)
time.sleep(600)
"""


def test_the_run_of_a_killed_worker_goes_to_another(database: Database) -> None:
    asked = enqueue(database)
    environment = {**os.environ, "PYTHONPATH": "."}
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, database.url], stdout=subprocess.PIPE, text=True, env=environment
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline().strip() == asked.id
        worker.send_signal(signal.SIGKILL)
    expire(database)
    heir = claim(database, "heir")
    assert heir is not None
    assert (heir.id, heir.attempt) == (asked.id, 2)
