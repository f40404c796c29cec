"""Carrying runs out: claimed once, kept by heartbeats, taken over, ended once; a key has one run at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from kit.errors import Conflict, Invalid, Unavailable
from tests.fixtures.runs import LONG, Runs
from workers import claims, queue
from workers.events import RunLost
from workers.models import Run
from workers.retries import BACK_OFF, ErrorClass, back_off, error_class_of
from workers.states import RunState


def test_a_run_from_beginning_to_end(runs: Runs) -> None:
    asked = runs.enqueue()
    assert (runs.stored(asked).state, asked.engine, asked.keys) == (RunState.QUEUED, "embedded", ["pipeline:daily"])
    claimed = runs.must_claim()
    running = runs.stored(asked)
    assert (running.state, running.worker, running.attempt, running.lease_token) == (RunState.RUNNING, "w1", 1, 1)
    assert running.code_version
    assert running.started_at
    runs.do(claims.submitted, claimed, runner="embedded", handle="pid 7")
    record = {"datasets": {"silver.x": {"inputs": {"bronze.x": 4}, "version_after": 5}}, "code_version": "0.1.0+gjob"}
    runs.do(claims.finish, claimed, record)
    ended = runs.stored(asked)
    assert (ended.state, ended.record, ended.lease_expires_at) == (RunState.SUCCEEDED, record, None)
    assert ended.code_version == "0.1.0+gjob"
    assert (ended.versions_in, ended.versions_out, ended.handle) == ({"bronze.x": 4}, {"silver.x": 5}, "pid 7")
    assert ended.finished_at
    assert runs.states(asked) == ["queued", "running", "running", "succeeded"]
    assert runs.claim() is None


def test_a_failed_run_says_why_and_ends_once(runs: Runs) -> None:
    runs.enqueue()
    claimed = runs.must_claim()
    runs.do(claims.fail, claimed, code="pipeline.unknown", message="there is no such pipeline")
    ended = runs.stored(claimed)
    assert (ended.state, ended.error_class, ended.error_code, ended.error_message) == (
        RunState.FAILED,
        ErrorClass.PERMANENT,
        "pipeline.unknown",
        "there is no such pipeline",
    )
    with pytest.raises(RunLost):
        runs.do(claims.finish, claimed, {})


class TestLine:
    def test_first_come_first_served_within_a_priority(self, runs: Runs) -> None:
        late, first, second, urgent = (
            runs.enqueue(f"p{number}", priority=priority) for number, priority in enumerate((9, 5, 5, 0))
        )
        claimed = [run.id for _ in range(5) if (run := runs.claim())]
        assert claimed == [urgent.id, first.id, second.id, late.id]

    def test_a_delayed_run_waits_and_lets_others_pass(self, runs: Runs) -> None:
        delayed, other = runs.enqueue(delay=timedelta(hours=1), priority=0), runs.enqueue()
        assert runs.must_claim().id == other.id
        runs.do(claims.finish, runs.stored(other), {})
        assert runs.claim() is None
        runs.do(queue.retry, delayed.id, requested_by="impatient")
        assert runs.must_claim().id == delayed.id

    def test_a_run_may_be_claimed_by_name_wherever_it_stands(self, runs: Runs) -> None:
        first, second = runs.enqueue(), runs.enqueue(delay=timedelta(hours=1))
        assert runs.must_claim(run_id=second.id).id == second.id
        assert runs.claim(run_id=second.id) is None
        assert runs.claim(run_id=first.id) is None, "its key is held"

    def test_a_worker_takes_only_what_it_has_an_engine_for(self, runs: Runs) -> None:
        remote = runs.enqueue(engine="databricks")
        assert runs.claim(engines=["embedded", "spark"]) is None
        assert runs.must_claim(engines=["databricks"]).id == remote.id

    def test_whether_a_claim_is_worth_trying(self, runs: Runs) -> None:
        def waiting(**wishes: Any) -> bool:
            with runs.database.reading() as session:
                return claims.is_work_waiting(session, **wishes)

        assert not waiting()
        runs.enqueue()
        runs.enqueue()
        assert waiting()
        assert not waiting(engines=["spark"])
        runs.must_claim()
        assert not waiting(), "the other needs the same key"
        runs.expire()
        assert waiting()


class TestKeys:
    def test_two_runs_with_one_key_never_run_at_once(self, runs: Runs) -> None:
        first, second = runs.enqueue(), runs.enqueue()
        elsewhere = runs.enqueue("other")
        assert runs.must_claim().id == first.id
        assert runs.must_claim().id == elsewhere.id
        assert runs.claim() is None
        runs.expire(first)
        assert runs.must_claim().id == first.id, "a vanished worker's key is not free; its run is taken over"
        runs.do(claims.finish, runs.stored(first), {})
        assert runs.must_claim().id == second.id

    def test_nobody_passes_one_that_waits_for_the_same_key(self, runs: Runs) -> None:
        holder = runs.enqueue(keys=["a"])
        runs.must_claim()
        both = runs.enqueue(keys=["b", "a"])
        behind, beside = runs.enqueue(keys=["b"]), runs.enqueue(keys=["c"])
        assert runs.must_claim().id == beside.id
        assert runs.claim() is None, "else a run of many keys might wait for ever"
        runs.do(claims.finish, runs.stored(holder), {})
        assert runs.must_claim().id == both.id
        assert runs.claim() is None
        runs.do(claims.finish, runs.stored(both), {})
        assert runs.must_claim().id == behind.id

    def test_a_run_without_keys_waits_for_nobody(self, runs: Runs) -> None:
        runs.enqueue(keys=[])
        runs.enqueue(keys=[])
        assert runs.claim() is not None
        assert runs.claim() is not None

    @pytest.mark.parametrize("leave", ["finish", "fail", "confirm_cancel", "release", "retry"])
    def test_the_key_is_free_when_the_run_has_left_its_worker(self, runs: Runs, leave: str) -> None:
        ways: dict[str, Callable[[Run], object]] = {
            "finish": lambda run: runs.do(claims.finish, run, {}),
            "fail": lambda run: runs.do(claims.fail, run, code="x", message="x"),
            "confirm_cancel": lambda run: runs.do(claims.confirm_cancel, run),
            "release": lambda run: runs.do(claims.release, run),
            "retry": lambda run: runs.do(claims.fail, run, code="x", message="x", error_class=ErrorClass.EXHAUSTED),
        }
        runs.enqueue(priority=9)
        claimed = runs.must_claim()
        following = runs.enqueue(priority=0)
        assert runs.claim() is None
        ways[leave](claimed)
        assert runs.must_claim().id == following.id


class TestCancel:
    def test_a_queued_run_is_cancelled_at_once(self, runs: Runs) -> None:
        asked = runs.enqueue()
        assert runs.do(queue.cancel, asked.id).state == RunState.CANCELLED
        assert runs.do(queue.cancel, asked.id).state == RunState.CANCELLED
        assert runs.claim() is None
        assert runs.states(asked) == ["queued", "cancelled"]

    def test_a_running_one_holds_its_key_until_its_writer_is_gone(self, runs: Runs) -> None:
        asked, following = runs.enqueue(), runs.enqueue()
        claimed = runs.must_claim()
        assert runs.do(claims.heartbeat, claimed, seconds=LONG) is False
        assert runs.do(queue.cancel, asked.id).state == RunState.RUNNING
        assert runs.do(claims.heartbeat, claimed, seconds=LONG) is True
        assert runs.claim() is None
        runs.do(claims.confirm_cancel, claimed)
        assert runs.stored(asked).state == RunState.CANCELLED
        assert runs.must_claim().id == following.id

    def test_it_may_come_too_late(self, runs: Runs) -> None:
        asked = runs.enqueue()
        claimed = runs.must_claim()
        runs.do(queue.cancel, asked.id)
        runs.do(claims.finish, claimed, {})
        assert runs.stored(asked).state == RunState.SUCCEEDED
        with pytest.raises(queue.RunEnded):
            runs.do(queue.cancel, asked.id)

    @pytest.mark.parametrize("leave", ["fail", "release"])
    def test_a_run_whose_end_is_wished_for_does_not_come_back(self, runs: Runs, leave: str) -> None:
        asked = runs.enqueue()
        claimed = runs.must_claim()
        runs.do(queue.cancel, asked.id)
        if leave == "release":
            runs.do(claims.release, claimed)
        else:
            runs.do(claims.fail, claimed, code="x", message="x", error_class=ErrorClass.UNAVAILABLE)
        assert runs.stored(asked).state == RunState.CANCELLED

    def test_who_takes_over_is_told(self, runs: Runs) -> None:
        asked = runs.enqueue()
        runs.must_claim()
        runs.do(queue.cancel, asked.id)
        runs.expire()
        assert runs.must_claim("heir").cancel_requested_at is not None


class TestRetry:
    def test_an_attempt_that_may_succeed_later_is_repeated_after_a_wait(self, runs: Runs) -> None:
        asked = runs.enqueue(max_attempts=2)
        claimed = runs.must_claim()
        runs.do(claims.submitted, claimed, runner="databricks", handle="run 7")
        runs.do(claims.fail, claimed, code="x", message="busy", error_class=ErrorClass.UNAVAILABLE)
        waiting = runs.stored(asked)
        assert (waiting.state, waiting.failures, waiting.handle) == (RunState.QUEUED, 1, None)
        assert waiting.not_before > waiting.started_at + timedelta(seconds=4)  # type: ignore[operator]
        assert runs.claim() is None
        runs.ripen()
        again = runs.must_claim(run_id=asked.id)
        assert again.attempt == 2
        runs.do(claims.fail, again, code="x", message="busy", error_class=ErrorClass.UNAVAILABLE)
        assert runs.stored(asked).state == RunState.FAILED

    def test_success_forgets_the_errors_before_it(self, runs: Runs) -> None:
        asked = runs.enqueue()
        runs.do(claims.fail, runs.must_claim(), code="x", message="x", error_class=ErrorClass.CONTENTION)
        runs.do(claims.finish, runs.must_claim(run_id=asked.id), {})
        ended = runs.stored(asked)
        assert (ended.error_code, ended.error_message, ended.error_class, ended.failures) == (None, None, None, 1)

    @pytest.mark.parametrize("error_class", BACK_OFF)
    def test_waits_double_up_to_a_limit(self, error_class: ErrorClass) -> None:
        first, longest = BACK_OFF[error_class]
        waits = [back_off(error_class, failures) for failures in range(1, 60)]
        assert waits[:2] == [first, first * 2]
        assert waits == sorted(waits)
        assert waits[-1] == longest

    def test_the_class_of_an_error_is_that_of_its_kind(self) -> None:
        assert error_class_of(Conflict("x")) is ErrorClass.CONTENTION
        assert error_class_of(Unavailable("x")) is ErrorClass.UNAVAILABLE
        assert error_class_of(Invalid("x")) is ErrorClass.PERMANENT
        assert error_class_of(KeyError("x")) is ErrorClass.PERMANENT


def test_workers_racing_for_runs_get_each_once(runs: Runs) -> None:
    asked = {runs.enqueue(f"p{number % 10}").id for number in range(30)}

    def work(worker: int) -> list[str]:
        taken = []
        while len(ended) < len(asked):
            if (run := runs.claim(f"w{worker}")) is not None:
                taken.append(run.id)
                assert run.pipeline not in at_work
                at_work.add(run.pipeline)
                at_work.remove(run.pipeline)
                runs.do(claims.finish, run, {})
                ended.append(run.id)
        return taken

    ended: list[str] = []
    at_work: set[str] = set()
    with ThreadPoolExecutor(4) as pool:
        taken = Counter(run for taken in pool.map(work, range(4)) for run in taken)
    assert taken == Counter(asked)
