"""Asking for runs: enqueued with the caller's transaction, found, repeated, purged."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from tests.fixtures.runs import AS_OF, LONG_AGO, Runs
from workers import claims, queue
from workers.events import append
from workers.models import Run, RunEvent, RunKey
from workers.queue import Duplicate, RunActive, RunDuplicated, UnknownRun
from workers.states import RunState

TICK = datetime(2026, 1, 31, 6, tzinfo=UTC)


def test_a_run_exists_only_if_the_caller_commits(runs: Runs) -> None:
    with runs.database.transaction() as session:
        queue.enqueue(session, pipeline="daily", as_of=AS_OF, trigger="test", requested_by="tester")
        session.rollback()
    with runs.database.reading() as session:
        assert queue.list_runs(session) == []


def test_pages_go_from_the_newest_to_the_oldest(runs: Runs) -> None:
    asked = sorted((runs.enqueue().id for _ in range(7)), reverse=True)
    seen: list[str] = []
    with runs.database.reading() as session:
        while page := queue.list_runs(session, limit=3, before=seen[-1] if seen else None):
            seen += [run.id for run in page]
    assert seen == asked


def test_runs_are_found_by_what_they_are(runs: Runs) -> None:
    daily, other = runs.enqueue(), runs.enqueue("other", trigger="schedule", parent_id="run_parent")
    runs.must_claim()
    for wish, found in (
        ({"states": [RunState.RUNNING]}, [daily]),
        ({"states": list(RunState)}, [other, daily]),
        ({"pipeline": "other"}, [other]),
        ({"trigger": "schedule"}, [other]),
        ({"parent_id": "run_parent"}, [other]),
        ({"pipeline": "other", "trigger": "test"}, []),
    ):
        with runs.database.reading() as session:
            assert {run.id for run in queue.list_runs(session, **wish)} == {run.id for run in found}  # type: ignore[arg-type]


def test_a_run_that_is_not_there(runs: Runs) -> None:
    for ask in (
        lambda session: queue.get_run(session, "run_none"),
        lambda session: queue.cancel(session, "run_none"),
        lambda session: queue.retry(session, "run_none", requested_by="tester"),
    ):
        with runs.database.transaction() as session, pytest.raises(UnknownRun):
            ask(session)


class TestDeduplication:
    def test_a_second_request_gets_the_first_run_while_that_is_active(self, runs: Runs) -> None:
        first = runs.enqueue(dedup_key="daily today")
        assert runs.enqueue(dedup_key="daily today").id == first.id
        claimed = runs.must_claim()
        assert runs.enqueue(dedup_key="daily today").id == first.id
        with pytest.raises(RunDuplicated, match=first.id):
            runs.enqueue(dedup_key="daily today", on_duplicate=Duplicate.REFUSE)
        runs.do(claims.finish, claimed, {})
        assert runs.enqueue(dedup_key="daily today", on_duplicate=Duplicate.REFUSE).id != first.id

    def test_of_racing_requests_one_wins(self, runs: Runs) -> None:
        with ThreadPoolExecutor(4) as pool:
            ids = set(pool.map(lambda _: runs.enqueue(dedup_key="one").id, range(12)))
        assert len(ids) == 1

    def test_a_tick_of_a_schedule_has_one_run_for_ever(self, runs: Runs) -> None:
        tick = runs.enqueue(schedule_id="sch_1", tick_at=TICK)
        runs.do(claims.finish, runs.must_claim(), {})
        assert runs.enqueue(schedule_id="sch_1", tick_at=TICK, on_duplicate=Duplicate.REFUSE).id == tick.id
        assert runs.enqueue(schedule_id="sch_2", tick_at=TICK).id != tick.id
        assert runs.enqueue(schedule_id="sch_1", tick_at=TICK + timedelta(days=1)).id != tick.id


class TestRetry:
    @pytest.mark.parametrize("end", ["finish", "fail", "cancel"])
    def test_an_ended_run_is_repeated_as_a_new_one(self, runs: Runs, end: str) -> None:
        asked = runs.enqueue(
            "daily", full_refresh=True, parameters={"buckets": "4"}, keys=["a", "b"], priority=2, dedup_key="d"
        )
        if end == "cancel":
            runs.do(queue.cancel, asked.id)
        elif end == "fail":
            runs.do(claims.fail, runs.must_claim(), code="x", message="x")
        else:
            runs.do(claims.finish, runs.must_claim(), {})
        again = runs.do(queue.retry, asked.id, requested_by="operator")
        assert (again.state, again.trigger, again.requested_by, again.retry_of) == (
            RunState.QUEUED, "retry", "operator", asked.id,
        )  # fmt: skip
        for field in ("pipeline", "as_of", "full_refresh", "engine", "parameters", "keys", "priority", "dedup_key"):
            assert getattr(again, field) == getattr(asked, field), field
        with pytest.raises(RunDuplicated):
            runs.do(queue.retry, asked.id, requested_by="operator")

    def test_a_running_one_is_not(self, runs: Runs) -> None:
        asked = runs.enqueue()
        runs.must_claim()
        with pytest.raises(RunActive):
            runs.do(queue.retry, asked.id, requested_by="operator")

    def test_a_waiting_one_waits_no_longer_and_keeps_its_place(self, runs: Runs) -> None:
        first, second = runs.enqueue(), runs.enqueue(delay=timedelta(hours=1))
        assert runs.do(queue.retry, second.id, requested_by="operator").id == second.id
        assert runs.do(queue.retry, first.id, requested_by="operator").not_before == first.not_before
        assert runs.must_claim().id == first.id


class TestPurge:
    def test_only_what_ended_long_ago_goes_with_all_that_is_about_it(self, runs: Runs) -> None:
        old, recent, waiting = runs.enqueue(), runs.enqueue(), runs.enqueue()
        for run in (old, recent):
            runs.do(claims.finish, runs.must_claim(run_id=run.id), {})
        running = runs.must_claim(run_id=waiting.id)
        with runs.database.transaction() as session:
            session.execute(update(Run).where(Run.id != recent.id).values(created_at=LONG_AGO, not_before=LONG_AGO))
            session.execute(update(Run).where(Run.id == old.id).values(finished_at=LONG_AGO))
        assert runs.do(queue.purge, keep=timedelta(days=30)) == 1
        with runs.database.reading() as session:
            assert {run.id for run in queue.list_runs(session)} == {recent.id, running.id}
            told = set(session.scalars(select(RunEvent.run_id)))
            assert told == {recent.id, running.id}
            assert list(session.scalars(select(RunKey.run_id))) == [running.id]
        assert runs.do(queue.purge, keep=timedelta(days=30)) == 0

    def test_in_steps(self, runs: Runs) -> None:
        for _ in range(5):
            runs.do(queue.cancel, runs.enqueue().id)
        removed = [runs.do(queue.purge, keep=timedelta(0), limit=2) for _ in range(4)]
        assert removed == [2, 2, 1, 0]


class TestEvents:
    def test_are_numbered_without_gaps_and_read_from_any_of_them(self, runs: Runs) -> None:
        asked = runs.enqueue()
        claimed = runs.must_claim()
        newest = runs.do(append, claimed, [("progress", {"rows": 1}), ("progress", {"rows": 2})])
        assert runs.do(append, claimed, []) == newest == runs.stored(asked).last_event
        runs.do(claims.finish, claimed, {})
        told = runs.events(asked)
        assert [event.seq for event in told] == list(range(1, len(told) + 1))
        assert [event.data for event in runs.events(asked, after=newest - 1)] == [{"rows": 2}, {"state": "succeeded"}]
        assert runs.stored(asked).last_event == len(told)
        with runs.database.reading() as session:
            assert len(queue.events(session, asked.id, limit=2)) == 2
            assert session.scalar(select(func.count()).select_from(RunEvent)) == len(told)
