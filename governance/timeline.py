"""The timeline of runs: each run's end is told here, in the very transaction that ends it, and becomes rows of
``system.lakeflow.job_run_timeline``.

What is told is a copy: it stays when the run itself is forgotten. A run is as many rows as it lies in hours of the clock, so that
what ran in an hour can be summed up; all but the last have no result.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
from sqlalchemy import delete, func, select, tuple_, update
from sqlalchemy.orm import Session

from governance.models import EndedRun
from kit.db import Database
from lakehouse.schema import parse_type

_RUNS_AT_ONCE = 500
_HOUR = timedelta(hours=1)

_TRIGGER_TYPES = {"schedule": "CRON", "continuous": "CONTINUOUS", "retry": "ONETIME_RETRY"}
_RESULTS = {"succeeded": "SUCCEEDED", "failed": "FAILED", "cancelled": "CANCELLED"}

COLUMNS = {
    **dict.fromkeys(("account_id", "workspace_id", "job_id", "run_id"), "STRING"),
    **dict.fromkeys(("period_start_time", "period_end_time"), "TIMESTAMP"),
    **dict.fromkeys(("trigger_type", "result_state", "run_type", "run_name"), "STRING"),
    "compute_ids": "ARRAY<STRING>",
    "termination_code": "STRING",
    "job_parameters": "MAP<STRING, STRING>",
    **dict.fromkeys(("source_task_run_id", "root_task_run_id"), "STRING"),
    "compute": "ARRAY<STRUCT<type: STRING, cluster_id: STRING, warehouse_id: STRING>>",
    "termination_type": "STRING",
    **dict.fromkeys(
        (f"{phase}_duration_seconds" for phase in ("setup", "queue", "run", "cleanup", "execution")), "BIGINT"
    ),
}
"""Columns of system.lakeflow.job_run_timeline with their types, as Databricks has them."""

_SCHEMA = pa.schema([pa.field(name, parse_type(kind).arrow) for name, kind in COLUMNS.items()])


class TimelineExport:
    """Position n is all runs that the n-th look found ended and none before it had. Looks come one after the other: they are the
    system pipeline's, of which one run runs at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def end(self) -> int:
        with self._database.transaction() as session:
            last = session.scalar(select(func.max(EndedRun.position))) or 0
            found = session.scalars(
                update(EndedRun).where(EndedRun.position.is_(None)).values(position=last + 1).returning(EndedRun.run_id)
            ).all()
            return last + 1 if found else last

    def rows(self, after: int, upto: int) -> Iterator[pa.RecordBatch]:
        place = tuple_(EndedRun.position, EndedRun.run_id)
        page = (
            select(EndedRun)
            .where(EndedRun.position > after, EndedRun.position <= upto)
            .order_by(EndedRun.position, EndedRun.run_id)
        )
        last: EndedRun | None = None
        while True:
            following = page if last is None else page.where(place > tuple_(last.position, last.run_id))
            with self._database.reading() as session:
                ended = session.scalars(following.limit(_RUNS_AT_ONCE)).all()
            if not ended:
                return
            last = ended[-1]
            yield pa.RecordBatch.from_pylist([row for run in ended for row in rows_of(run)], schema=_SCHEMA)


def rows_of(run: EndedRun) -> Iterator[dict[str, Any]]:
    """A run as rows of the table, hour by hour. What Databricks has and we do not know is NULL, never made up."""
    started = run.started_at or run.ended_at
    row = {
        "job_id": run.pipeline,
        "run_id": run.run_id,
        "trigger_type": _TRIGGER_TYPES.get(run.trigger, "ONETIME"),
        "run_type": "JOB_RUN",
        "run_name": run.pipeline,
        "job_parameters": list(run.parameters.items()),
    }
    begin = started
    while (end := begin.replace(minute=0, second=0, microsecond=0) + _HOUR) < run.ended_at:
        yield row | {"period_start_time": begin, "period_end_time": end}
        begin = end
    yield row | {
        "period_start_time": begin,
        "period_end_time": run.ended_at,
        "result_state": _RESULTS[run.state],
        "termination_code": _termination_code(run),
        "termination_type": _termination_type(run),
        "queue_duration_seconds": _seconds(started - run.created_at),
        "run_duration_seconds": _seconds(run.ended_at - run.created_at),
        "execution_duration_seconds": _seconds(run.ended_at - started),
    }


def forget(session: Session, *, before: datetime) -> None:
    """Remove the copies of runs that ended before an instant and are in the table."""
    old = delete(EndedRun).where(EndedRun.ended_at < before, EndedRun.position.is_not(None))
    session.execute(old.execution_options(synchronize_session=False))


def _termination_code(run: EndedRun) -> str:
    return {"succeeded": "SUCCESS", "cancelled": "CANCELLED"}.get(run.state) or run.error_code or "RUN_EXECUTION_ERROR"


def _termination_type(run: EndedRun) -> str | None:
    """Whose part it was, as far as that is known."""
    if run.state == "succeeded":
        return "SUCCESS"
    if run.state == "cancelled":
        return None
    if run.error_class in ("unavailable", "exhausted"):
        return "CLOUD_FAILURE"
    return "INTERNAL_ERROR" if run.error_code == "fault" else "CLIENT_ERROR"


def _seconds(span: timedelta) -> int:
    return max(0, round(span.total_seconds()))
