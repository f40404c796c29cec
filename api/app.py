"""The HTTP application, put together from parts that are handed in: it reads no settings and opens nothing itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack, asynccontextmanager

from fastapi import APIRouter, FastAPI
from starlette.concurrency import run_in_threadpool

from api.auth import Gate
from api.docs import docs_router
from api.edge import Edge
from api.errors import install_error_handlers
from api.openapi import build_document, render
from api.witness import Witness
from governance.audit import AuditTrail
from governance.callers import Callers
from kit.telemetry import Telemetry
from lakehouse.dataset import Dataset


def create_app(
    *,
    routers: Sequence[APIRouter],
    callers: Callers,
    trail: AuditTrail,
    telemetry: Telemetry,
    profiles: Dataset,
    resources: Sequence[AbstractContextManager[object]] = (),
) -> FastAPI:
    """The application of these routers. ``profiles`` is the dataset whose rows are served: the OpenAPI document tells its columns.

    ``resources`` are entered when the server starts and left, last first, when it stops. Behind the app lie, from the outside
    in: Edge (ids, headers, last resort), Witness (audit), Gate (credentials), the error handlers, the routes. ``app.state.openapi`` is
    the rendered OpenAPI document.
    """
    app = FastAPI(
        title="Customer 360",
        lifespan=_lifespan(resources),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    # The routes themselves, not an included router: an inclusion is resolved again on every request.
    for router in routers:
        app.router.routes.extend(router.routes)
    app.state.openapi = render(build_document(app, profiles))
    app.router.routes.extend(docs_router(app.state.openapi).routes)
    install_error_handlers(app)
    app.add_middleware(Gate, callers=callers)
    app.add_middleware(Witness, trail=trail)
    app.add_middleware(Edge, requests=telemetry.requests)
    return app


def _lifespan(
    resources: Sequence[AbstractContextManager[object]],
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        with ExitStack() as opened:
            for resource in resources:
                await run_in_threadpool(opened.enter_context, resource)
            yield

    return lifespan
