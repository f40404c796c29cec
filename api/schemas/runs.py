"""Runs and pipelines as they are asked for and served."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from api.cursors import Page
from workers.queue import PRIORITIES, USUAL_PRIORITY, Run, RunEvent, RunState, outcome_of

EngineName = Literal["embedded", "spark", "databricks"]


class RunCreate(BaseModel):
    """What may be said of a run that is asked for; all of it may be left out."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"as_of": "2026-02-01", "priority": 3}]})

    as_of: date | None = Field(
        default=None, ge=date(1970, 1, 1), description="Date at whose start all windows end; left out: today, in UTC."
    )
    full_refresh: bool = Field(default=False, description="Compute every dataset anew from its inputs.")
    engine: EngineName = Field(default="embedded", description="Where it is computed.")
    priority: int = Field(
        default=USUAL_PRIORITY,
        ge=PRIORITIES[0],
        le=PRIORITIES[-1],
        description="0 goes first; among equals, who came first.",
    )
    delay_seconds: int = Field(default=0, ge=0, le=7 * 86_400, description="How long to wait before it may begin.")
    unless_active: bool = Field(
        default=False,
        description="If a run of this pipeline with the same date, engine and `full_refresh` is queued or running, be given that one.",
    )


class RunError(BaseModel):
    """Why the newest attempt did not succeed."""

    code: str = Field(description="Stable: decide by it.")
    message: str = Field(description="For people. Holds nothing personal.")
    error_class: str | None = Field(
        description="`permanent` is not repeated; `contention`, `unavailable` and `exhausted` are, after a wait."
    )


class RunRead(BaseModel):
    """One run of a pipeline."""

    id: str
    pipeline: str
    state: RunState = Field(description="`succeeded`, `failed` and `cancelled` are final.")
    as_of: date = Field(description="Date at whose start all windows end; fixed when the run was asked for.")
    full_refresh: bool
    engine: str
    trigger: str = Field(description="What began it: `api`, `cli`, `schedule`, `continuous`, `retry`.")
    requested_by: str = Field(description="Id of the principal that asked for it.")
    parent_id: str | None = Field(description="The run that this one is a part of.")
    retry_of: str | None = Field(description="The run that this one repeats.")
    schedule_id: str | None
    tick_at: datetime | None = Field(description="The instant of the schedule that it is for.")
    keys: list[str] = Field(description="What it has to itself while it runs: no two runs with one key run at once.")
    priority: int
    not_before: datetime = Field(description="When it may begin, and its place in the line.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None = Field(
        description="When its end was asked for. It is over when nothing of it writes any more."
    )
    attempt: int = Field(description="How often its work was begun.")
    failures: int = Field(description="Attempts that failed and workers that vanished.")
    max_attempts: int = Field(description="As many failures end it.")
    worker: str | None
    runner: str | None
    code_version: str | None = Field(
        description="Of the code that carried it out: version and git revision (`+g…`), or hash of the installed package (`+r…`)."
    )
    waited_seconds: float | None = Field(description="From being asked for to being begun first.")
    duration_seconds: float | None = Field(description="From being begun first to its end.")
    error: RunError | None

    @classmethod
    def of(cls, run: Run, **more: Any) -> Self:
        """The run as it is served."""
        error = None
        if run.error_code is not None:
            error = RunError(code=run.error_code, message=run.error_message or "", error_class=run.error_class)
        told = {
            "error": error,
            "waited_seconds": _seconds(run.created_at, run.started_at),
            "duration_seconds": _seconds(run.started_at, run.finished_at),
        }
        same = {name: getattr(run, name) for name in RunRead.model_fields if name not in told}
        return cls(**same, **told, **more)


class RunOutcome(BaseModel):
    """Rows, over all datasets of a run."""

    model_config = ConfigDict(from_attributes=True)

    rows_in: int = Field(description="Rows that were looked at.")
    rows_out: int = Field(description="Rows that met the expectations.")
    rows_written: int = Field(description="Rows that differed from what the tables held.")
    rows_deleted: int
    dropped: int = Field(description="Rows left out by expectations.")
    quarantined: int = Field(description="Rows held back by expectations until they are repaired.")
    failed: dict[str, int] = Field(description="Rows that did not meet an expectation, by `<dataset>.<expectation>`.")


class RunDetail(RunRead):
    """One run with what came of it."""

    versions_in: dict[str, int] | None = Field(description="Versions of the tables it read.")
    versions_out: dict[str, int] | None = Field(description="Versions of the tables it left.")
    outcome: RunOutcome | None = Field(description="What it did, in sums; `null` unless it succeeded.")
    record: dict[str, Any] | None = Field(
        description="Per dataset: versions, rows in, out, written, deleted, dropped and quarantined by expectation, seconds."
    )
    children: list[str] = Field(description="Ids of the runs that are parts of it, newest first.")

    @classmethod
    def whole(cls, run: Run, children: list[Run]) -> Self:
        return cls.of(
            run,
            versions_in=run.versions_in,
            versions_out=run.versions_out,
            outcome=None if run.record is None else RunOutcome.model_validate(outcome_of(run.record)),
            record=run.record,
            children=[child.id for child in children],
        )


class RunPage(Page[RunRead]):
    """Runs, newest first."""


class RunEventRead(BaseModel):
    """Something that happened to a run: the `data` of a server-sent event."""

    seq: int = Field(description="Counts from 1 without gaps; also the event's `id`.")
    at: datetime
    kind: str = Field(description="`state` (a change of state) or `progress`; ignore kinds that you do not know.")
    data: dict[str, Any]

    @classmethod
    def of(cls, event: RunEvent) -> Self:
        return cls(seq=event.seq, at=event.at, kind=event.kind, data=event.data)


def _seconds(begin: datetime | None, end: datetime | None) -> float | None:
    return None if begin is None or end is None else round((end - begin).total_seconds(), 3)


EXAMPLE_RUN: dict[str, Any] = {
    "id": "run_01kgc3v7m2n8q4x0y5t6w9zabc",
    "pipeline": "daily",
    "state": "running",
    "as_of": "2026-02-01",
    "full_refresh": False,
    "engine": "embedded",
    "trigger": "api",
    "requested_by": "principal_01kgc0000000000000000000000",
    "parent_id": None,
    "retry_of": None,
    "schedule_id": None,
    "tick_at": None,
    "keys": ["pipeline:daily"],
    "priority": 5,
    "not_before": "2026-02-01T06:00:00.104211Z",
    "created_at": "2026-02-01T06:00:00.104211Z",
    "started_at": "2026-02-01T06:00:00.391877Z",
    "finished_at": None,
    "cancel_requested_at": None,
    "attempt": 1,
    "failures": 0,
    "max_attempts": 5,
    "worker": "worker-1:4711",
    "runner": "embedded",
    "code_version": "0.1.0+r9c41d07be2f8",
    "waited_seconds": 0.288,
    "duration_seconds": None,
    "error": None,
}
QUEUED_RUN: dict[str, Any] = EXAMPLE_RUN | {
    "state": "queued",
    "started_at": None,
    "attempt": 0,
    "worker": None,
    "runner": None,
    "code_version": None,
    "waited_seconds": None,
}
EXAMPLE_DETAIL: dict[str, Any] = EXAMPLE_RUN | {
    "state": "succeeded",
    "finished_at": "2026-02-01T06:00:41.004512Z",
    "duration_seconds": 40.613,
    "versions_in": {"bronze.crm_customers": 12},
    "versions_out": {"silver.customers": 9},
    "outcome": {
        "rows_in": 120,
        "rows_out": 118,
        "rows_written": 31,
        "rows_deleted": 0,
        "dropped": 0,
        "quarantined": 2,
        "failed": {"silver.customers.email_valid": 2},
    },
    "record": {"commits": 1, "datasets": {"silver.customers": {"rows_in": 120, "rows_out": 118}}, "online": {}},
    "children": [],
}
EXAMPLE_EVENTS = """id: 2
event: state
data: {"seq":2,"at":"2026-02-01T06:00:00.391877Z","kind":"state","data":{"state":"running","attempt":1}}

id: 3
event: progress
data: {"seq":3,"at":"2026-02-01T06:00:01.118203Z","kind":"progress","data":{"subject":"silver.orders","step":"computing"}}

: still here

"""
