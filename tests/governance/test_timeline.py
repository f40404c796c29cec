"""The timeline of runs: every end once, in the transaction that makes it, hour by hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from governance.models import EndedRun
from governance.timeline import TimelineExport, rows_of
from kit.db import Database
from tests.fixtures.runs import Runs
from workers import claims, queue

NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)


def exported(export: TimelineExport, after: int = 0) -> list[dict[str, Any]]:
    return [row for batch in export.rows(after, export.end()) for row in batch.to_pylist()]


def test_every_way_a_run_ends_is_told_once(database: Database, runs: Runs) -> None:
    export = TimelineExport(database)
    assert export.end() == 0
    done, failed, dropped = (runs.enqueue(trigger=trigger) for trigger in ("schedule", "api", "continuous"))
    runs.do(claims.finish, runs.must_claim(), {})
    runs.do(claims.fail, runs.must_claim(), code="flow.broken", message="broken")
    first = exported(export)
    runs.do(queue.cancel, dropped.id)
    told = {row["run_id"]: (row["trigger_type"], row["result_state"], row["termination_code"]) for row in first}
    assert told == {done.id: ("CRON", "SUCCEEDED", "SUCCESS"), failed.id: ("ONETIME", "FAILED", "flow.broken")}
    assert [row["run_id"] for row in exported(export, after=1)] == [dropped.id]
    assert export.end() == 2
    assert [row["run_id"] for row in exported(export)] == [done.id, failed.id, dropped.id]


def test_a_run_that_goes_back_in_the_line_has_not_ended(database: Database, runs: Runs) -> None:
    runs.enqueue()
    runs.do(claims.fail, runs.must_claim(), code="x", message="x", error_class=claims.ErrorClass.UNAVAILABLE)
    assert TimelineExport(database).end() == 0


def test_what_is_rolled_back_is_not_told(database: Database, runs: Runs) -> None:
    run = runs.enqueue()
    with database.transaction() as session:
        queue.cancel(session, run.id)
        session.rollback()
    assert TimelineExport(database).end() == 0


def test_it_outlives_the_run_until_it_is_in_the_table(database: Database, runs: Runs) -> None:
    export = TimelineExport(database)
    runs.do(queue.cancel, runs.enqueue().id)
    assert runs.do(queue.purge, keep=timedelta(0)) == 1
    assert len(exported(export)) == 1
    runs.do(queue.purge, keep=timedelta(0))
    assert exported(export) == []


@given(start=st.timedeltas(timedelta(0), timedelta(hours=2)), span=st.timedeltas(timedelta(0), timedelta(hours=7)))
def test_the_hours_of_a_run_lie_side_by_side(start: timedelta, span: timedelta) -> None:
    run = EndedRun(
        run_id="run_1",
        pipeline="daily",
        trigger="retry",
        state="succeeded",
        parameters={},
        created_at=NOON,
        started_at=NOON + start,
        ended_at=NOON + start + span,
    )
    rows = list(rows_of(run))
    assert (rows[0]["period_start_time"], rows[-1]["period_end_time"]) == (run.started_at, run.ended_at)
    for row, following in pairwise(rows):
        assert row["period_end_time"] == following["period_start_time"]
        assert row["period_end_time"].minute == row["period_end_time"].microsecond == 0
        assert "result_state" not in row
    assert all(row["period_end_time"] - row["period_start_time"] <= timedelta(hours=1) for row in rows)
    assert rows[-1]["result_state"] == "SUCCEEDED"
    assert rows[-1]["execution_duration_seconds"] == round(span.total_seconds())
