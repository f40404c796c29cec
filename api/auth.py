"""Who may call: closed by default. A path that is not listed as open needs a valid API key or access token before it is even looked up;
each route then names the one scope it needs, which is checked, and written into the OpenAPI document, from the same place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import problem_of
from governance.access import MEANING, Caller, Unauthenticated, require
from governance.access import Scope as AccessScope
from governance.callers import Callers
from kit.errors import C360Error, Invalid

EXCHANGE_PATH = "/oauth/token"
JWKS_PATH = "/.well-known/jwks.json"
METADATA_PATH = "/.well-known/oauth-authorization-server"
OPEN_PATHS = frozenset({"/", "/healthz", "/readyz", "/openapi.json", "/docs", EXCHANGE_PATH, JWKS_PATH, METADATA_PATH})
"""Served without credentials; ``EXCHANGE_PATH`` asks for its own."""

OPEN_PREFIX = "/docs/"
SEND_CREDENTIALS = (
    "send an API key or an access token, as `Authorization: Bearer <it>` (a key also as `X-API-Key: <key>`)"
)
CALLER = "c360.caller"
"""Key of the Caller in the ASGI scope."""

SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key or an access token: `Authorization: Bearer …`.",
    },
    "api_key": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "An API key in a header of its own.",
    },
    "oauth2": {
        "type": "oauth2",
        "description": "Access tokens for API keys (RFC 6749, client credentials).",
        "flows": {
            "clientCredentials": {
                "tokenUrl": EXCHANGE_PATH,
                "scopes": {scope.value: meaning for scope, meaning in MEANING.items()},
            }
        },
    },
}


class InvalidRoute(Invalid):
    """A route that does not say who may call it."""

    code = "api.invalid_route"


class Gate:
    """ASGI middleware: puts the Caller into the scope, or answers 401 (503 while credentials cannot be checked)."""

    def __init__(self, app: ASGIApp, callers: Callers) -> None:
        self._app = app
        self._callers = callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_open(scope["path"]):
            try:
                scope[CALLER] = self._callers.verify(_credential_in(scope))
            except C360Error as error:
                await problem_of(error, scope)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class ScopedRoute(APIRoute):
    """A route whose ``openapi_extra`` (from ``needs``) names the scope its callers must have."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        declared = (self.openapi_extra or {}).get("x-scopes")
        if not declared:
            raise InvalidRoute(f"{path} says no scope; write openapi_extra=needs(Scope...)")
        self._needed = tuple(AccessScope(name) for name in declared)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        for needed in self._needed:
            require(scope[CALLER], needed)
        await self.answer(scope, receive, send)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a caller who may."""
        await super().handle(scope, receive, send)


class HotRoute(ScopedRoute):
    """A route whose function takes the request, nothing else, and returns a Response.

    FastAPI's work between route and function (dependencies, validation, exit stacks) is left out; it costs several times what a
    lookup does. The route stands in the OpenAPI document like any other.
    """

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in (self.methods or ()):
            await super().answer(scope, receive, send)
            return
        response: Response = await self.endpoint(Request(scope, receive))
        await response(scope, receive, send)


def needs(scope: AccessScope) -> dict[str, Any]:
    """OpenAPI members of an operation for callers with this scope; ScopedRoute enforces what they say."""
    return {"security": [{name: [scope.value]} for name in SECURITY_SCHEMES], "x-scopes": [scope.value]}


def caller_of(scope: Scope) -> Caller:
    """The caller that the gate let in."""
    caller: Caller = scope[CALLER]
    return caller


def is_open(path: str) -> bool:
    """Whether a path is served without a key."""
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIX)


def _credential_in(scope: Scope) -> str:
    headers: dict[bytes, bytes] = dict(scope["headers"])
    kind, _, credentials = headers.get(b"authorization", b"").partition(b" ")
    credential = credentials.strip() if kind.lower() == b"bearer" else headers.get(b"x-api-key")
    if credential is None:
        raise Unauthenticated(SEND_CREDENTIALS)
    return credential.decode("latin-1")
