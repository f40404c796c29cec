"""``/schedules``: what begins runs by the clock, or keeps one alive."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.auth import ScopedRoute, caller_of, needs
from api.changes import Changes
from api.cursors import Cursor, Cursors, InvalidCursor, Limit
from api.routers.runs import json_response
from api.schemas.examples import NOTHING, created, created_response, shown
from api.schemas.problem import problem_responses
from api.schemas.schedules import EXAMPLE_SCHEDULE, ScheduleName, SchedulePage, SchedulePlan, ScheduleRead
from governance.access import Scope
from kit.db import Database
from pipelines.runner import UnknownPipeline, check_pipeline
from workers import schedules
from workers.schedules import InvalidSchedule, UnknownSchedule

_READ, _WRITE = needs(Scope.RUNS_READ), needs(Scope.RUNS_WRITE)
_LIST = "schedules"
_UNKNOWN = problem_responses(
    UnknownSchedule("there is no schedule of this name; `c360 schedule list` and GET /schedules show all")
)
_PAUSED = EXAMPLE_SCHEDULE | {"paused_at": "2026-02-01T09:30:00Z", "next_ticks": []}


def schedules_router(database: Database, cursors: Cursors, changes: Changes) -> APIRouter:
    """Routes over the schedules of a control database."""
    router = APIRouter(route_class=ScopedRoute, tags=["schedules"])

    @router.get(
        "/schedules",
        operation_id="list_schedules",
        summary="List schedules",
        description="By name, page by page, with the instants at which each is due next.",
        response_description="One page.",
        responses={
            **shown(200, {"items": [EXAMPLE_SCHEDULE], "next_cursor": None}),
            **problem_responses(InvalidCursor()),
        },
        openapi_extra=_READ,
    )
    def get_page(limit: Limit = 50, cursor: Cursor = None) -> SchedulePage:
        with database.reading() as session:
            found = schedules.list_schedules(session, limit=limit + 1, after=cursors.after(cursor, of=_LIST))
        page, next_cursor = cursors.page(found, limit, lambda schedule: (schedule.name,), of=_LIST)
        return SchedulePage(items=[ScheduleRead.of(schedule) for schedule in page], next_cursor=next_cursor)

    @router.get(
        "/schedules/{schedule}",
        operation_id="get_schedule",
        summary="Read a schedule",
        description="What it runs, and when it is due next.",
        response_description="The schedule.",
        responses={**shown(200, EXAMPLE_SCHEDULE), **_UNKNOWN},
        openapi_extra=_READ,
    )
    def get(schedule: ScheduleName) -> ScheduleRead:
        with database.reading() as session:
            return ScheduleRead.of(schedules.get_schedule(session, schedule))

    @router.put(
        "/schedules/{schedule}",
        operation_id="put_schedule",
        summary="Make or change a schedule",
        description=(
            "The schedule of this name has this plan afterwards, whether there was one before or not. Its next run is at the expression's "
            "first tick from now; one that is paused stays so. A run that it keeps alive is ended and begun again by the new plan. Sending "
            "the same again changes nothing."
        ),
        response_class=Response,
        response_description="It is changed.",
        responses={
            200: {"model": ScheduleRead, **shown(200, EXAMPLE_SCHEDULE)[200]},
            **created(ScheduleRead, EXAMPLE_SCHEDULE),
            **problem_responses(
                InvalidSchedule(
                    "the expression cannot be read; write minute, hour, day of month, month and day of week, as in '0 6 * * *'"
                ),
                UnknownPipeline("there is no pipeline of this name; there is daily, declarative, system"),
            ),
        },
        openapi_extra=_WRITE,
    )
    def put(request: Request, schedule: ScheduleName, body: SchedulePlan) -> Response:
        check_pipeline(body.pipeline)
        made_by = caller_of(request.scope).principal_id
        with changes.by(request) as change:
            changed, is_new = schedules.put_schedule(change.session, schedule, body.plan(), created_by=made_by)
            if is_new:
                change.status, change.location = HTTPStatus.CREATED, f"/schedules/{schedule}"
        view = ScheduleRead.of(changed)
        return created_response(view, f"/schedules/{schedule}") if is_new else json_response(view, HTTPStatus.OK)

    @router.post(
        "/schedules/{schedule}/pause",
        operation_id="pause_schedule",
        summary="Pause a schedule",
        description="It begins no runs until it is resumed. What runs goes on, unless the schedule keeps it alive: that is cancelled.",
        response_description="The schedule, paused.",
        responses={**shown(200, _PAUSED), **_UNKNOWN},
        openapi_extra=_WRITE,
    )
    def pause(request: Request, schedule: ScheduleName) -> ScheduleRead:
        with changes.by(request) as change:
            return ScheduleRead.of(schedules.pause_schedule(change.session, schedule))

    @router.post(
        "/schedules/{schedule}/resume",
        operation_id="resume_schedule",
        summary="Resume a schedule",
        description="It goes on with the next tick; those of the pause are not made up for.",
        response_description="The schedule.",
        responses={**shown(200, EXAMPLE_SCHEDULE), **_UNKNOWN},
        openapi_extra=_WRITE,
    )
    def resume(request: Request, schedule: ScheduleName) -> ScheduleRead:
        with changes.by(request) as change:
            return ScheduleRead.of(schedules.resume_schedule(change.session, schedule))

    @router.delete(
        "/schedules/{schedule}",
        operation_id="delete_schedule",
        summary="Delete a schedule",
        description="Its runs stay, but for one that it keeps alive: that is cancelled.",
        status_code=204,
        responses={**NOTHING, **_UNKNOWN},
        openapi_extra=_WRITE,
    )
    def delete(request: Request, schedule: ScheduleName) -> None:
        with changes.by(request) as change:
            schedules.delete_schedule(change.session, schedule)

    return router
