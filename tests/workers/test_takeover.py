"""Runs whose worker has vanished: taken over by others, who go on where it was; the vanished one is shut out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from sqlalchemy.orm import Session

from tests.fixtures.runs import LONG, Runs
from workers import claims, queue
from workers.events import RunLost, append
from workers.models import Run
from workers.queue import MAX_ATTEMPTS
from workers.states import RunState


def test_a_vanished_worker_is_shut_out(runs: Runs) -> None:
    runs.enqueue()
    sleeper = runs.must_claim("sleeper")
    assert runs.claim("next") is None
    runs.expire()
    heir = runs.must_claim("next")
    assert (heir.worker, heir.lease_token, heir.failures) == ("next", 2, 1)
    for late in (
        lambda session: claims.heartbeat(session, sleeper, seconds=LONG),
        lambda session: claims.submitted(session, sleeper, runner="x", handle="x"),
        lambda session: claims.finish(session, sleeper, {}),
        lambda session: claims.fail(session, sleeper, code="x", message="x"),
        lambda session: claims.confirm_cancel(session, sleeper),
        lambda session: claims.release(session, sleeper),
        lambda session: claims.hand_over(session, sleeper),
        lambda session: append(session, sleeper, [("progress", {})]),
    ):
        with pytest.raises(RunLost), runs.database.transaction() as session:
            late(session)
    runs.do(claims.finish, heir, {"by": "next"})
    assert runs.stored(heir).record == {"by": "next"}


def test_a_lost_claim_is_lost_in_the_session_that_made_it_too(runs: Runs) -> None:
    runs.enqueue()
    with Session(runs.database.engine, expire_on_commit=False) as session:
        sleeper = claims.claim(session, "sleeper", seconds=0)
        assert sleeper is not None
        session.commit()
        runs.must_claim("heir")
        with pytest.raises(RunLost):
            claims.finish(session, sleeper, {})


def test_the_attempt_goes_on_with_its_number_and_handle(runs: Runs) -> None:
    runs.enqueue(engine="databricks")
    claimed = runs.must_claim()
    runs.do(claims.submitted, claimed, runner="databricks", handle="run 7")
    runs.expire()
    heir = runs.must_claim("heir")
    assert (heir.attempt, heir.runner, heir.handle) == (1, "databricks", "run 7")


def test_a_run_that_goes_on_elsewhere_is_handed_over(runs: Runs) -> None:
    runs.enqueue(engine="databricks")
    runs.enqueue()
    claimed = runs.must_claim()
    runs.do(claims.submitted, claimed, runner="databricks", handle="run 7")
    runs.do(claims.hand_over, claimed)
    heir = runs.must_claim("heir")
    assert (heir.id, heir.attempt, heir.failures, heir.handle) == (claimed.id, 1, 0, "run 7")
    with pytest.raises(RunLost):
        runs.do(claims.heartbeat, claimed, seconds=LONG)


def test_a_released_run_keeps_its_place_and_begins_again(runs: Runs) -> None:
    first, second = runs.enqueue(), runs.enqueue()
    claimed = runs.must_claim()
    runs.do(claims.submitted, claimed, runner="embedded", handle="pid 7")
    runs.do(claims.release, claimed)
    again = runs.must_claim()
    assert (again.id, again.attempt, again.failures, again.handle) == (first.id, 2, 0, None)
    assert runs.stored(second).state == RunState.QUEUED


def test_a_heartbeat_keeps_a_run_also_when_it_is_late(runs: Runs) -> None:
    runs.enqueue()
    claimed = runs.must_claim()
    runs.expire()
    runs.do(claims.heartbeat, claimed, seconds=LONG)
    assert runs.claim("other") is None


def test_a_run_that_kills_its_workers_fails_and_lets_the_next_pass(runs: Runs) -> None:
    poison, following = runs.enqueue(), runs.enqueue()
    for _ in range(MAX_ATTEMPTS):
        assert runs.must_claim().id == poison.id
        runs.expire()
    assert runs.must_claim().id == following.id
    ended = runs.stored(poison)
    assert (ended.state, ended.error_code, ended.failures) == (
        RunState.FAILED,
        "run.attempts_exhausted",
        MAX_ATTEMPTS,
    )


def test_one_that_may_be_at_work_elsewhere_is_cancelled_there_first(runs: Runs) -> None:
    poison, following = runs.enqueue(engine="databricks", max_attempts=1), runs.enqueue()
    runs.do(claims.submitted, runs.must_claim(), runner="databricks", handle="run 7")
    runs.expire()
    last = runs.must_claim()
    assert (last.id, last.handle, last.error_code) == (poison.id, "run 7", "run.attempts_exhausted")
    assert last.cancel_requested_at is not None
    assert runs.claim() is None
    runs.do(claims.confirm_cancel, last)
    assert runs.must_claim().id == following.id


def test_a_process_that_runs_by_itself_supersedes_what_has_vanished(runs: Runs) -> None:
    def begin() -> Run | None:
        with runs.database.transaction() as session:
            mine = queue.enqueue(session, pipeline="daily", as_of=vanished.as_of, trigger="cli", requested_by="cli")
            superseded[:] = claims.supersede(session, mine)
            return claims.claim(session, "me", run_id=mine.id, seconds=LONG)

    superseded: list[Run] = []
    vanished = runs.enqueue()
    runs.must_claim()
    assert begin() is None
    assert superseded == [], "its worker lives"
    runs.expire()
    assert begin() is not None
    assert [run.id for run in superseded] == [vanished.id]
    assert (runs.stored(vanished).state, runs.stored(vanished).error_code) == ("cancelled", "run.superseded")


@pytest.mark.parametrize("handle", [None, "run 7"])
def test_what_may_be_at_work_elsewhere_is_not_superseded(runs: Runs, handle: str | None) -> None:
    asked = runs.enqueue(engine="databricks")
    claimed = runs.must_claim()
    if handle is not None:
        runs.do(claims.submitted, claimed, runner="databricks", handle=handle)
    runs.expire()
    assert runs.do(claims.supersede, runs.enqueue()) == []
    assert runs.stored(asked).state == RunState.RUNNING


WORKER = """
import sys, time
from kit.db import Database
from workers import claims
with Database(sys.argv[1]).transaction() as session:
    run = claims.claim(session, "killed", seconds=1.0)
print(run.id, flush=True)
time.sleep(600)
"""


def test_the_run_of_a_killed_worker_goes_to_another(runs: Runs) -> None:
    asked = runs.enqueue()
    environment = {**os.environ, "PYTHONPATH": "."}
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, runs.database.url], stdout=subprocess.PIPE, text=True, env=environment
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline().strip() == asked.id
        worker.send_signal(signal.SIGKILL)
    runs.expire()
    heir = runs.must_claim("heir")
    assert (heir.id, heir.worker) == (asked.id, "heir")
