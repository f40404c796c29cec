"""Every error leaves as RFC 9457 problem+json, from one place. Nothing a caller sent is ever repeated but the path."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from governance.access import MissingScope, Unauthenticated
from kit.errors import C360Error, Unavailable

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:c360:problem:"
REQUEST_ID = "c360.request_id"
"""Key of the request's id in the ASGI scope."""
PROBLEM_CODE = "c360.problem_code"
"""Key, in the ASGI scope, of the code of the problem that the request was answered with."""

STATUS_OF_KIND = {
    "invalid": HTTPStatus.BAD_REQUEST,
    "not_found": HTTPStatus.NOT_FOUND,
    "denied": HTTPStatus.FORBIDDEN,
    "conflict": HTTPStatus.CONFLICT,
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "fault": HTTPStatus.INTERNAL_SERVER_ERROR,
}
INVALID_REQUEST = "http.invalid_request"
INVALID_REQUEST_DETAIL = "the request does not have the form that /docs describes; `errors` says where"
_FAULT = "something went wrong on our side; tell the operator the request id"

_logger = logging.getLogger(__name__)


class DatabaseUnavailable(Unavailable):
    """The control database does not answer, or not in time."""

    code = "control.unavailable"

    def __init__(self) -> None:
        super().__init__("the control database does not answer; try again in a few seconds")


def install_error_handlers(app: FastAPI) -> None:
    """Answer every error the routes raise as a problem."""
    app.add_exception_handler(C360Error, _on_own_error)
    app.add_exception_handler(OperationalError, _on_silent_database)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)


def problem(
    scope: Scope,
    status: int,
    code: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Response:
    """One problem+json response; ``extra`` adds members."""
    scope[PROBLEM_CODE] = code
    body = {
        "type": TYPE_PREFIX + code,
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": detail,
        "code": code,
        "instance": scope["path"],
        "request_id": scope.get(REQUEST_ID, ""),
        **(extra or {}),
    }
    return Response(orjson.dumps(body), status, {"Cache-Control": "no-store", **(headers or {})}, MEDIA_TYPE)


def problem_of(error: C360Error, scope: Scope) -> Response:
    """The response for an error of ours. A fault's message is for the log, not for the caller."""
    if isinstance(error, Unauthenticated):
        reason = "" if type(error) is Unauthenticated else ', error="invalid_token"'
        challenge = {"WWW-Authenticate": f'Bearer realm="customer360"{reason}'}
        return problem(scope, HTTPStatus.UNAUTHORIZED, error.code, error.message, headers=challenge)
    status = STATUS_OF_KIND[error.kind]
    if error.kind == "fault":
        _logger.error("request %s: %s: %s", scope.get(REQUEST_ID), error.code, error.message)
        return problem(scope, status, error.code, _FAULT)
    headers = {"Retry-After": "5"} if status is HTTPStatus.SERVICE_UNAVAILABLE else {}
    if isinstance(error, MissingScope):
        headers["WWW-Authenticate"] = f'Bearer realm="customer360", error="insufficient_scope", scope="{error.scope}"'
    return problem(scope, status, error.code, error.message, headers=headers)


def unknown_fault(scope: Scope) -> Response:
    """The response where something failed that nobody foresaw: it says nothing."""
    return problem(scope, HTTPStatus.INTERNAL_SERVER_ERROR, "fault", _FAULT)


async def _on_own_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, C360Error)  # noqa: S101 - registered for this type
    return problem_of(error, request.scope)


async def _on_silent_database(request: Request, error: Exception) -> Response:
    """Locked for too long, or out of reach. Its text may hold values: what is logged is its type."""
    _logger.error("request %s: the control database failed: %s", request.scope.get(REQUEST_ID), type(error).__name__)
    return problem_of(DatabaseUnavailable(), request.scope)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type
    status = HTTPStatus(error.status_code)
    if status is HTTPStatus.BAD_REQUEST:  # what the framework says of a body that is not UTF-8
        return _invalid_request(request, [{"location": ["body"], "type": "json_invalid"}])
    details = {
        HTTPStatus.NOT_FOUND: ("http.no_such_path", "there is nothing at this path; /docs lists what there is"),
        HTTPStatus.METHOD_NOT_ALLOWED: (
            "http.method_not_allowed",
            "this path does not take this method; see the Allow header",
        ),
    }
    code, detail = details.get(status, (f"http.{status.name.lower()}", status.description or status.phrase))
    return problem(request.scope, status, code, detail, headers=error.headers)


def _location(item: Mapping[str, Any]) -> list[str]:
    """Where it is wrong: by our own names only, not by that of a member that somebody made up."""
    named = item["loc"][:-1] if item["type"] == "extra_forbidden" else item["loc"]
    return [str(part) for part in named[:2]]


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type
    wrong = [{"location": _location(item), "type": item["type"]} for item in error.errors()]
    return _invalid_request(request, wrong)


def _invalid_request(request: Request, wrong: list[dict[str, Any]]) -> Response:
    return problem(
        request.scope,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        INVALID_REQUEST,
        INVALID_REQUEST_DETAIL,
        extra={"errors": wrong},
    )
