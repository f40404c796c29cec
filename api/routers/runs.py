"""``/runs``: what was asked for, how far it is, what came of it; cancel and retry."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.sse import format_sse_event
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from api.auth import ScopedRoute, caller_of, needs
from api.changes import Changes
from api.cursors import Cursor, Cursors, InvalidCursor, Limit
from api.edge import IS_HEAD
from api.idempotency import Creations, IdempotencyKey, creation_responses
from api.run_feed import RunFeed, TooManyListeners
from api.schemas.problem import problem_responses
from api.schemas.runs import (
    EXAMPLE_DETAIL,
    EXAMPLE_EVENTS,
    EXAMPLE_RUN,
    QUEUED_RUN,
    RunDetail,
    RunEventRead,
    RunPage,
    RunRead,
)
from governance.access import Scope
from kit.db import Database
from workers import queue
from workers.queue import Run, RunActive, RunDuplicated, RunEnded, RunState, UnknownRun

RunId = Annotated[str, Path(max_length=64, description="Id of the run.", examples=[EXAMPLE_RUN["id"]])]
_CHILDREN = 100
_RECONNECT_MS = 2000
_UNKNOWN = UnknownRun("there is no run of this id")
_EVENT_STREAM = "text/event-stream"


def runs_router(
    database: Database, cursors: Cursors, creations: Creations, changes: Changes, feed: RunFeed
) -> APIRouter:
    """Routes over the run queue of a database."""
    router = APIRouter(route_class=ScopedRoute, tags=["runs"])

    @router.get(
        "/runs",
        operation_id="list_runs",
        summary="List runs",
        description="Runs, newest first. Filters combine; `state` may be given several times.",
        response_description="A page of runs.",
        responses={
            200: {"content": {"application/json": {"example": {"items": [EXAMPLE_RUN], "next_cursor": None}}}},
            **problem_responses(InvalidCursor()),
        },
        openapi_extra=needs(Scope.RUNS_READ),
    )
    def list_runs(
        limit: Limit = 50,
        cursor: Cursor = None,
        state: Annotated[list[RunState] | None, Query(max_length=5, description="Only runs in these states.")] = None,
        pipeline: Annotated[str | None, Query(max_length=200, description="Only runs of this pipeline.")] = None,
        trigger: Annotated[str | None, Query(max_length=20, description="Only runs that this has begun.")] = None,
        parent_id: Annotated[str | None, Query(max_length=64, description="Only parts of this run.")] = None,
    ) -> RunPage:
        states = sorted(set(state or ()))
        of = repr(("runs", states, pipeline, trigger, parent_id))
        before = str(cursors.open(cursor, of=of)[0]) if cursor is not None else None
        with database.reading() as session:
            found = queue.list_runs(
                session,
                limit=limit + 1,
                before=before,
                states=states,
                pipeline=pipeline,
                trigger=trigger,
                parent_id=parent_id,
            )
        shown, following = cursors.page(found, limit, lambda run: (run.id,), of=of)
        return RunPage(items=[RunRead.of(run) for run in shown], next_cursor=following)

    @router.get(
        "/runs/{run_id}",
        operation_id="get_run",
        summary="Read a run",
        description="One run with its record: what it did to each dataset, and the versions it read and left.",
        response_description="The run.",
        responses={
            200: {"content": {"application/json": {"example": EXAMPLE_DETAIL}}},
            **problem_responses(_UNKNOWN),
        },
        openapi_extra=needs(Scope.RUNS_READ),
    )
    def get_run(run_id: RunId) -> RunDetail:
        with database.reading() as session:
            run = queue.get_run(session, run_id)
            return RunDetail.whole(run, queue.list_runs(session, parent_id=run_id, limit=_CHILDREN))

    @router.get(
        "/runs/{run_id}/events",
        operation_id="follow_run",
        summary="Follow a run",
        description=(
            "Server-sent events: what has happened to the run, and what happens from now on, until it has ended. `id` counts from 1 without "
            "gaps; a client that was cut off sends the last one as `Last-Event-ID` (browsers do by themselves) and misses nothing. "
            "A comment comes now and then while nothing happens."
        ),
        response_class=Response,
        response_description="The events.",
        responses={
            200: {"content": {_EVENT_STREAM: {"schema": {"type": "string"}, "example": EXAMPLE_EVENTS}}},
            **problem_responses(_UNKNOWN, TooManyListeners("too many are listening to runs already; ask again later")),
        },
        openapi_extra=needs(Scope.RUNS_READ),
    )
    async def follow_run(
        request: Request,
        run_id: RunId,
        last_event_id: Annotated[
            int | None, Header(ge=0, le=2**53, description="The `id` of the last event that was received.")
        ] = None,
    ) -> Response:
        feed.check_room()
        await run_in_threadpool(_check_known, database, run_id)
        if request.scope[IS_HEAD]:
            return Response(media_type=_EVENT_STREAM)
        stream = _encoded(feed, run_id, last_event_id or 0)
        return StreamingResponse(stream, media_type=_EVENT_STREAM, headers={"X-Accel-Buffering": "no"})

    @router.post(
        "/runs/{run_id}/cancel",
        operation_id="cancel_run",
        summary="Cancel a run",
        description=(
            "A queued run is cancelled at once. A running one is told to stop, and is `cancelled` when nothing of it writes any more; until then "
            "`cancel_requested_at` is set. It may still succeed if it was nearly done. Asking again changes nothing."
        ),
        status_code=HTTPStatus.ACCEPTED,
        response_class=Response,
        response_description="It is cancelled, or told to stop.",
        responses={
            202: {"model": RunRead, "content": {"application/json": {"example": EXAMPLE_RUN}}},
            **problem_responses(_UNKNOWN, RunEnded("the run has succeeded; there is nothing left to cancel")),
        },
        openapi_extra=needs(Scope.RUNS_WRITE),
    )
    def cancel_run(request: Request, run_id: RunId) -> Response:
        with changes.by(request) as change:
            run = queue.cancel(change.session, run_id)
        return json_response(RunRead.of(run), HTTPStatus.ACCEPTED)

    @router.post(
        "/runs/{run_id}/retry",
        operation_id="retry_run",
        summary="Run it again",
        description=(
            "A new run like one that has ended, with the same date; `retry_of` names the first. A queued run that waits (for its delay, or after a "
            "failed attempt) waits no longer, and is answered itself."
        ),
        status_code=HTTPStatus.ACCEPTED,
        response_class=Response,
        response_description="The run is in the queue.",
        responses={
            202: {
                "model": RunRead,
                "content": {"application/json": {"example": QUEUED_RUN | {"trigger": "retry"}}},
                "headers": {"Location": {"description": "Path of the run.", "schema": {"type": "string"}}},
            },
            **problem_responses(_UNKNOWN),
            **creation_responses(
                RunActive("the run is running; cancel it first, or wait for its end"),
                RunDuplicated("another run is active and does the same; wait for it or cancel it"),
            ),
        },
        openapi_extra=needs(Scope.RUNS_WRITE),
    )
    async def retry_run(request: Request, run_id: RunId, idempotency_key: IdempotencyKey = None) -> Response:
        requested_by = caller_of(request.scope).principal_id

        def create(session: Session) -> Response:
            run = queue.retry(session, run_id, requested_by=requested_by)
            return json_response(RunRead.of(run), HTTPStatus.ACCEPTED, Location=run_location(run))

        return await creations.answer(request, idempotency_key, create)

    return router


def run_location(run: Run) -> str:
    return f"/runs/{run.id}"


def json_response(body: BaseModel, status: int = HTTPStatus.OK, **headers: str) -> Response:
    """A model as a response whose headers matter."""
    return Response(body.model_dump_json(), status, headers, "application/json")


def _check_known(database: Database, run_id: str) -> None:
    with database.reading() as session:
        queue.get_run(session, run_id)


async def _encoded(feed: RunFeed, run_id: str, after: int) -> AsyncIterator[bytes]:
    yield format_sse_event(retry=_RECONNECT_MS)
    async for events in feed.follow(run_id, after):
        if not events:
            yield format_sse_event(comment="still here")
        for event in events:
            data = RunEventRead.of(event).model_dump_json()
            yield format_sse_event(id=str(event.seq), event=event.kind, data_str=data)
