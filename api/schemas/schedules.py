"""Schedules as they are asked for and served."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from api.cursors import Page
from api.schemas.runs import EngineName
from workers.schedules import Kind, Plan, Schedule, due_at

ScheduleName = Annotated[str, Path(max_length=200, description="Name of the schedule.", examples=["mornings"])]


class SchedulePlan(BaseModel):
    """What a schedule runs, and when."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"pipeline": "daily", "cron": "30 7 * * 1-5", "time_zone": "Europe/Berlin"}],
        },
    )

    pipeline: str = Field(max_length=200, description="The pipeline that it runs.")
    kind: Kind = Field(
        default=Kind.CRON,
        description="`cron`: a run per tick of the expression. `continuous`: one long-lived run, a stream of micro-batches, begun again whenever "
        "it has ended.",
    )
    cron: str | None = Field(
        default=None,
        max_length=200,
        description="Minute, hour, day of month, month, day of week (with six fields, seconds first), as cron reads them. A continuous schedule "
        "has none.",
    )
    time_zone: str = Field(default="UTC", max_length=64, description="Whose clock the expression is read by.")
    engine: EngineName = Field(default="embedded", description="Where its runs are computed.")
    full_refresh: bool = Field(default=False, description="Compute every dataset anew, every time.")

    def plan(self) -> Plan:
        return Plan(**self.model_dump())


class ScheduleRead(BaseModel):
    """One schedule."""

    name: str
    pipeline: str
    kind: Kind
    cron: str | None
    time_zone: str
    engine: str
    full_refresh: bool
    created_by: str = Field(description="Id of the principal that made it.")
    created_at: datetime
    paused_at: datetime | None = Field(description="Since when it begins no runs; `null`: it does.")
    last_tick_at: datetime | None = Field(description="The last tick that it had a run for.")
    next_ticks: list[datetime] = Field(
        description="When its next runs are due. Empty while it is paused, and for a continuous one."
    )

    @classmethod
    def of(cls, schedule: Schedule) -> Self:
        """The schedule as it is served."""
        same = {name: getattr(schedule, name) for name in cls.model_fields if name != "next_ticks"}
        return cls(**same, next_ticks=due_at(schedule))


class SchedulePage(Page[ScheduleRead]):
    """Schedules by name."""


EXAMPLE_SCHEDULE: dict[str, Any] = {
    "name": "mornings",
    "pipeline": "daily",
    "kind": "cron",
    "cron": "30 7 * * 1-5",
    "time_zone": "Europe/Berlin",
    "engine": "embedded",
    "full_refresh": False,
    "created_by": "prn_01kaxw3v9c5h8m2t7r4q6y0zbn",
    "created_at": "2026-01-31T09:30:00Z",
    "paused_at": None,
    "last_tick_at": None,
    "next_ticks": [
        "2026-02-02T06:30:00Z",
        "2026-02-03T06:30:00Z",
        "2026-02-04T06:30:00Z",
        "2026-02-05T06:30:00Z",
        "2026-02-06T06:30:00Z",
    ],
}
