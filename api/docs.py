"""``/docs`` and ``/openapi.json``, without any other host: the Swagger UI files come from an installed package."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Customer 360 API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" href="docs/favicon-32x32.png">
</head>
<body>
<div id="docs"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = b"""SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: 1,
  validatorUrl: null
});
"""
_ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_A_DAY = {"Cache-Control": "public, max-age=86400"}


def docs_router(document: bytes) -> APIRouter:
    """Serves a rendered OpenAPI document, and the page that shows it."""
    router = APIRouter(include_in_schema=False)
    assets = {name: (files("fastapi_swagger.resources") / name).read_bytes() for name in _ASSETS}

    @router.get("/")
    async def get_root() -> Response:
        return RedirectResponse("docs")

    @router.get("/docs")
    async def get_docs() -> Response:
        return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})

    @router.get("/docs/start.js")
    async def get_start() -> Response:
        return Response(_START, media_type="text/javascript", headers=_A_DAY)

    @router.get("/docs/{name}")
    async def get_asset(name: str) -> Response:
        if name not in assets:
            raise HTTPException(404)
        return Response(assets[name], media_type=_ASSETS[name], headers=_A_DAY)

    @router.get("/openapi.json")
    async def get_openapi_document() -> Response:
        return Response(document, media_type="application/json")

    return router
