"""``/pipelines``: what can be run, and asking for a run of it."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from api.auth import ScopedRoute, caller_of, needs
from api.idempotency import Creations, IdempotencyKey, creation_responses
from api.routers.runs import json_response, run_location
from api.schemas.pipelines import EXAMPLE_PIPELINE, PipelineList, PipelineRead
from api.schemas.problem import problem_responses
from api.schemas.runs import QUEUED_RUN, RunCreate, RunRead
from governance.access import Scope
from kit.clock import today
from lakehouse.catalog import Catalog
from pipelines.runner import PIPELINES, UnknownPipeline, check_pipeline
from workers import queue

PipelineName = Annotated[str, Path(max_length=200, description="Name of the pipeline.", examples=["daily"])]
_UNKNOWN = problem_responses(UnknownPipeline("there is no pipeline of this name; there is daily, system"))


def pipelines_router(catalog: Catalog, creations: Creations) -> APIRouter:
    """Routes over the pipelines of this code and the datasets of a catalog."""
    router = APIRouter(route_class=ScopedRoute, tags=["pipelines"])

    @router.get(
        "/pipelines",
        operation_id="list_pipelines",
        summary="List pipelines",
        description="Every pipeline with its graph: datasets in the order in which they feed each other.",
        response_description="All of them.",
        responses={200: {"content": {"application/json": {"example": {"items": [EXAMPLE_PIPELINE]}}}}},
        openapi_extra=needs(Scope.PIPELINES_READ),
    )
    async def list_pipelines() -> PipelineList:
        return PipelineList(items=[PipelineRead.of(name, catalog) for name in PIPELINES])

    @router.get(
        "/pipelines/{name}",
        operation_id="get_pipeline",
        summary="Read a pipeline",
        description="One pipeline with its graph.",
        response_description="The pipeline.",
        responses={200: {"content": {"application/json": {"example": EXAMPLE_PIPELINE}}}, **_UNKNOWN},
        openapi_extra=needs(Scope.PIPELINES_READ),
    )
    async def get_pipeline(name: PipelineName) -> PipelineRead:
        return PipelineRead.of(name, catalog)

    @router.post(
        "/pipelines/{name}/runs",
        operation_id="create_run",
        summary="Run a pipeline",
        description=(
            "Asks for a run; a worker takes it when the pipeline is free. The answer comes at once: follow `Location`, or its `/events`. "
            "Send an `Idempotency-Key` so that asking again after a lost answer does not run it twice."
        ),
        status_code=HTTPStatus.ACCEPTED,
        response_class=Response,
        response_description="The run is in the queue.",
        responses={
            202: {
                "model": RunRead,
                "content": {"application/json": {"example": QUEUED_RUN}},
                "headers": {"Location": {"description": "Path of the run.", "schema": {"type": "string"}}},
            },
            **_UNKNOWN,
            **creation_responses(),
        },
        openapi_extra=needs(Scope.RUNS_WRITE),
    )
    async def create_run(
        request: Request,
        name: PipelineName,
        wishes: Annotated[RunCreate | None, Body()] = None,
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        check_pipeline(name)
        asked = wishes or RunCreate()
        requested_by = caller_of(request.scope).principal_id

        def create(session: Session) -> Response:
            run = queue.enqueue(
                session, pipeline=name, trigger="api", requested_by=requested_by, **_options(name, asked)
            )
            return json_response(RunRead.of(run), HTTPStatus.ACCEPTED, Location=run_location(run))

        return await creations.answer(request, idempotency_key, create)

    return router


def _options(name: str, asked: RunCreate) -> dict[str, Any]:
    as_of = asked.as_of or today()
    alike = f"{name}:{as_of.isoformat()}:{asked.engine}:{'full' if asked.full_refresh else 'usual'}"
    return {
        "as_of": as_of,
        "full_refresh": asked.full_refresh,
        "engine": asked.engine,
        "priority": asked.priority,
        "delay": timedelta(seconds=asked.delay_seconds),
        "dedup_key": alike if asked.unless_active else None,
    }
