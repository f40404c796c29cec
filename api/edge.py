"""The outermost layer of every request: its id, the headers every response has, limits, and the last resort for errors.

Paths are matched as they came, still percent-encoded, so that an id may hold a slash (``%2F``); routes decode their own ids.
"""

from __future__ import annotations

import logging
import os
import re
import time
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import REQUEST_ID, problem, unknown_fault
from kit.logging import correlate, place_of
from kit.telemetry import Requests

MAX_BODY_BYTES = 1 << 20
BODY_REFUSALS = {
    HTTPStatus.LENGTH_REQUIRED: ("http.length_required", "send a body with its Content-Length"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("http.body_too_large", f"a request body may have {MAX_BODY_BYTES} bytes"),
}
"""Codes and texts for bodies that no route gets to see."""

IS_HEAD = "c360.is_head"
"""Key in the ASGI scope: whether nobody will see a body. Where one would not end by itself, a route looks."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]
_UNLESS_SET = [
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
]

_NO_ROUTE = "none"
"""The label of requests that came to no route: refused before, or for a path that there is not."""

_GONE = 499
"""The status of requests whose client went away before an answer."""

_logger = logging.getLogger(__name__)


class Edge:
    """ASGI middleware. Answers HEAD wherever GET is, and never lets an exception's text out, to a caller or into a log."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = _request_id(headers.get(b"x-request-id"))
        is_head = scope["method"] == "HEAD"
        inner = {**scope, "path": _path_as_sent(scope), REQUEST_ID: request_id.decode(), IS_HEAD: is_head}
        correlate(request_id=inner[REQUEST_ID])  # each request has a task of its own
        if is_head:
            inner["method"] = "GET"
        status = 0

        async def send_out(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message, request_id)
            elif is_head:
                message = {"type": message["type"], "body": b"", "more_body": message.get("more_body", False)}
            await send(message)

        refused = _refuse_body(headers, inner)
        try:
            await (refused or self._app)(inner, receive, send_out)
        except Exception as error:  # noqa: BLE001 - the last resort
            _log(request_id.decode(), error)
            if not status:
                await unknown_fault(inner)(inner, receive, send_out)
        finally:
            route = inner.get("route")
            template = route.path if route is not None else _NO_ROUTE
            self._requests.observe(scope["method"], template, status or _GONE, time.perf_counter() - began)


def _request_id(sent: bytes | None) -> bytes:
    return sent if sent is not None and _REQUEST_ID.fullmatch(sent) else os.urandom(12).hex().encode()


def _path_as_sent(scope: Scope) -> str:
    raw: bytes | None = scope.get("raw_path")
    return raw.decode("latin-1") if raw else quote(scope["path"])


def _add_headers(message: Message, request_id: bytes) -> None:
    headers: list[tuple[bytes, bytes]] = message["headers"]
    names = {name for name, _ in headers}
    headers += _ALWAYS
    headers += [header for header in _UNLESS_SET if header[0] not in names]
    headers.append((b"x-request-id", request_id))


def _refuse_body(headers: dict[bytes, bytes], scope: Scope) -> Any:
    if b"transfer-encoding" in headers:
        return problem(scope, HTTPStatus.LENGTH_REQUIRED, *BODY_REFUSALS[HTTPStatus.LENGTH_REQUIRED])
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or int(length) > MAX_BODY_BYTES:
        too_large = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        return problem(scope, too_large, *BODY_REFUSALS[too_large])
    return None


def _log(request_id: str, error: Exception) -> None:
    """Where it happened, and of which type: an exception's text may hold what the request or the data held."""
    _logger.error("request %s failed: %s in %s", request_id, type(error).__name__, place_of(error.__traceback__))
