"""The OpenAPI document: a product, kept in docs/openapi.json and compared by a test.

``python -m api.openapi > docs/openapi.json`` writes it anew.
"""

from __future__ import annotations

import sys
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api.auth import SECURITY_SCHEMES, SEND_CREDENTIALS, is_open
from api.edge import BODY_REFUSALS
from api.errors import INVALID_REQUEST, INVALID_REQUEST_DETAIL
from api.schemas.health import HEALTH_SCHEMA, READINESS_SCHEMA
from api.schemas.oauth import OAUTH_SCHEMAS
from api.schemas.problem import PROBLEM_SCHEMA, problem_response
from api.schemas.profile import META_SCHEMA, profile_schema
from governance.access import MEANING, MissingScope, Scope, Unauthenticated
from governance.callers import KeysUnavailable, MalformedKey, UnknownKey
from governance.tokens import ExpiredToken, InvalidToken
from lakehouse.dataset import Dataset

API_VERSION = "1.0"
"""Version of the interface, not of the software: it grows when the interface does."""

_DESCRIPTION = """One profile per customer, computed in a lakehouse and served by id.

**Who may.** Every path but health and these pages needs an API key, sent as `Authorization: Bearer <key>` or `X-API-Key: <key>`, or a
short-lived access token in its place (`POST /oauth/token`). A key belongs to a principal; what it may is told by scopes, its principal's own and those of
its groups:

{scopes}

**Values.** Money and other decimals are strings with a fixed number of decimals (`"1234.50"`), so that no reader turns them into floats.
Instants are RFC 3339 in UTC, dates ISO 8601. `null` means unknown.

**Errors** are problem documents (RFC 9457). Decide by `code`; `request_id` is what we need to help you."""


def build_document(app: FastAPI, dataset: Dataset) -> dict[str, Any]:
    """The OpenAPI document of the app's routes."""
    document = get_openapi(
        title="Customer 360",
        version=API_VERSION,
        description=_DESCRIPTION.replace(
            "{scopes}", "\n".join(f"- `{scope}`: {text}" for scope, text in MEANING.items())
        ),
        routes=app.routes,
        tags=[
            {"name": "customers", "description": "Profiles."},
            {"name": "principals", "description": "Services and people, their keys."},
            {"name": "groups", "description": "Groups and who is in them."},
            {"name": "tokens", "description": "Access tokens (OAuth 2)."},
            {"name": "pipelines", "description": "What can be run."},
            {"name": "runs", "description": "What was asked for, how far it is, what came of it."},
            {"name": "schedules", "description": "What begins runs by the clock, or keeps one alive."},
            {"name": "audit", "description": "Who did what."},
            {"name": "health", "description": "For load balancers and orchestrators."},
        ],
    )
    for path, operations in document["paths"].items():
        for operation in operations.values():
            refusals = _INVALID if "422" in operation["responses"] else {}
            if "requestBody" in operation:
                refusals = refusals | _UNSEEN_BODY
            if not is_open(path):
                refusals = refusals | _refusals(operation)
            operation["responses"] = dict(sorted((operation["responses"] | refusals).items()))
    _restore_examples(document, app)
    components = document.setdefault("components", {})
    components["securitySchemes"] = SECURITY_SCHEMES
    described = {
        name: schema for name, schema in components.get("schemas", {}).items() if name not in _FRAMEWORK_ERRORS
    }
    components["schemas"] = described | {
        "CustomerProfile": profile_schema(dataset),
        **OAUTH_SCHEMAS,
        "Health": HEALTH_SCHEMA,
        "Problem": PROBLEM_SCHEMA,
        "ProfileMeta": META_SCHEMA,
        "Readiness": READINESS_SCHEMA,
    }
    return document


_FRAMEWORK_ERRORS = frozenset({"HTTPValidationError", "ValidationError"})
_INVALID = {
    "422": problem_response(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        {
            INVALID_REQUEST: (
                INVALID_REQUEST_DETAIL,
                {"errors": [{"location": ["query", "limit"], "type": "int_parsing"}]},
            )
        },
    )
}
"""What stands in the document in place of the framework's own form of errors."""
_UNSEEN_BODY = {
    str(status.value): problem_response(status, {code: (text, {})}) for status, (code, text) in BODY_REFUSALS.items()
}
"""What a caller whose body is too long, or of a length not told, gets from every operation that takes one."""


def _restore_examples(document: dict[str, Any], app: FastAPI) -> None:
    """Put each route's examples in as they were written: the framework leaves out what is null."""
    for route in app.routes:
        if not isinstance(route, APIRoute) or not route.include_in_schema:
            continue
        for method in route.methods or ():
            described = document["paths"][route.path_format][method.lower()]["responses"]
            for status, response in route.responses.items():
                for kind, content in response.get("content", {}).items():
                    if "example" in content:
                        described[str(status)]["content"][kind]["example"] = content["example"]


def _refusals(operation: dict[str, Any]) -> dict[str, Any]:
    """What the gate may answer in place of a route."""
    unauthenticated = [
        Unauthenticated(SEND_CREDENTIALS),
        MalformedKey("this is not an API key of this service, or it is mistyped: its checksum does not match"),
        UnknownKey("this API key is not valid, or was revoked"),
        InvalidToken(),
        ExpiredToken(),
    ]
    forbidden = [MissingScope(Scope(name)) for name in operation["x-scopes"]]
    unavailable = KeysUnavailable("API keys cannot be checked at present; try again in a few seconds")
    refusals = {
        "401": problem_response(
            HTTPStatus.UNAUTHORIZED, {error.code: (error.message, {}) for error in unauthenticated}
        ),
        "403": problem_response(HTTPStatus.FORBIDDEN, {error.code: (error.message, {}) for error in forbidden}),
        "503": problem_response(HTTPStatus.SERVICE_UNAVAILABLE, {unavailable.code: (unavailable.message, {})}),
    }
    for status, response in refusals.items():
        known = operation["responses"].get(status)
        if known is not None:
            for kind, content in known["content"].items():
                response["content"][kind]["examples"] |= content["examples"]
    return refusals


def render(document: dict[str, Any]) -> bytes:
    """The document as it is served and kept."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


if __name__ == "__main__":
    from api.compose import describe

    sys.stdout.buffer.write(describe())
