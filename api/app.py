"""The HTTP application, put together from parts that are handed in: it reads no settings and opens nothing itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack, asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from api.auth import Gate
from api.docs import docs_router
from api.edge import Edge
from api.errors import install_error_handlers
from api.openapi import build_document, render
from api.routers.customers import customers_router
from api.routers.health import Check, health_router
from governance.api_keys import ApiKeys
from lakehouse.dataset import Dataset
from lakehouse.online.store import OnlineStore


def create_app(
    *,
    store: OnlineStore,
    keys: ApiKeys,
    profiles: Dataset,
    view: str,
    checks: Sequence[Check] = (),
    resources: Sequence[AbstractContextManager[object]] = (),
) -> FastAPI:
    """The application over a store whose ``view`` holds rows of ``profiles``.

    ``resources`` are entered when the server starts and left, last first, when it stops. Behind the app lie, from the outside
    in: Edge (ids, headers, last resort), Gate (keys), the error handlers, the routes. ``app.state.openapi`` is the rendered
    OpenAPI document.
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
    app.router.routes.extend(customers_router(store, profiles, view).routes)
    app.router.routes.extend(health_router(checks).routes)
    app.state.openapi = render(build_document(app, profiles))
    app.router.routes.extend(docs_router(app.state.openapi).routes)
    install_error_handlers(app)
    app.add_middleware(Gate, keys=keys)
    app.add_middleware(Edge)
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
