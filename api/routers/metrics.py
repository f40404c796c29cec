"""``/metrics``: figures for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from api.auth import ScopedRoute, needs
from governance.access import Scope
from kit.telemetry import CONTENT_TYPE, Telemetry

_EXAMPLE = 'c360_http_request_seconds_count{method="GET",route="/customers/{customer_id}",status="200"} 4711.0\n'


def metrics_router(telemetry: Telemetry) -> APIRouter:
    """The one route over a process's figures."""
    router = APIRouter(route_class=ScopedRoute, tags=["health"])

    @router.get(
        "/metrics",
        operation_id="get_metrics",
        summary="Read the figures",
        description=(
            "Figures of this process, and of the queue it shares, in Prometheus' text format. No label holds an id. Give the scraper a key of "
            "its own (`authorization: credentials_file`)."
        ),
        response_class=Response,
        response_description="The figures.",
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}, "example": _EXAMPLE}}}},
        openapi_extra=needs(Scope.METRICS_READ),
    )
    def get_metrics() -> Response:
        return Response(telemetry.render(), media_type=CONTENT_TYPE)

    return router
