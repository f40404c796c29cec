"""``/healthz`` and ``/readyz``: open to all, and silent about data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import orjson
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.errors import problem
from api.schemas.health import HEALTH_REF, READINESS_REF
from api.schemas.problem import problem_response
from kit.errors import C360Error


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of readiness: ``lack`` says in a sentence what is missing and what to do, or None. It may block."""

    name: str
    lack: Callable[[], str | None]


def health_router(checks: Sequence[Check]) -> APIRouter:
    """Liveness says that the process answers; readiness runs the checks."""
    router = APIRouter(tags=["health"])

    @router.get(
        "/healthz",
        operation_id="get_health",
        summary="Is the process alive?",
        description="Touches nothing but the process itself. Needs no key.",
        response_class=Response,
        response_description="It is.",
        responses={200: {"content": {"application/json": {"schema": HEALTH_REF, "example": {"status": "ok"}}}}},
    )
    async def get_health() -> Response:
        return Response(b'{"status":"ok"}', media_type="application/json")

    ready_example = {"status": "ready", "checks": {check.name: None for check in checks}}
    not_ready_example = {"online_store": "no customers are published yet; run the pipeline"}

    @router.get(
        "/readyz",
        operation_id="get_readiness",
        summary="Can it serve?",
        description="200 when every check passes (`null`), else 503 with a sentence for each that does not. Needs no key.",
        response_class=Response,
        response_description="It can.",
        responses={
            200: {"content": {"application/json": {"schema": READINESS_REF, "example": ready_example}}},
            503: problem_response(
                HTTPStatus.SERVICE_UNAVAILABLE,
                {"service.not_ready": ("not ready: online_store", {"checks": not_ready_example})},
                path="/readyz",
            ),
        },
    )
    async def get_readiness(request: Request) -> Response:
        found = {check.name: await run_in_threadpool(_lack, check) for check in checks}
        if missing := sorted(name for name, lack in found.items() if lack is not None):
            detail = f"not ready: {', '.join(missing)}"
            return problem(
                request.scope, HTTPStatus.SERVICE_UNAVAILABLE, "service.not_ready", detail, extra={"checks": found}
            )
        return Response(orjson.dumps({"status": "ready", "checks": found}), media_type="application/json")

    return router


def _lack(check: Check) -> str | None:
    try:
        return check.lack()
    except C360Error as error:
        return error.message
