"""The outermost layer of every request: its id, the headers every response has, limits, and the last resort for errors.

Paths are matched as they came, still percent-encoded, so that an id may hold a slash (``%2F``); routes decode their own ids.
"""

from __future__ import annotations

import logging
import os
import re
import traceback
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import REQUEST_ID, problem, unknown_fault

MAX_BODY_BYTES = 1 << 20

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

_logger = logging.getLogger(__name__)


class Edge:
    """ASGI middleware. Answers HEAD wherever GET is, and never lets an exception's text out, to a caller or into a log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id = _request_id(headers.get(b"x-request-id"))
        inner = {**scope, "path": _path_as_sent(scope), REQUEST_ID: request_id.decode()}
        is_head = scope["method"] == "HEAD"
        if is_head:
            inner["method"] = "GET"
        started = False

        async def send_out(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _add_headers(message, request_id)
            elif is_head:
                message = {"type": message["type"], "body": b"", "more_body": message.get("more_body", False)}
            await send(message)

        refused = _refuse_body(headers, inner)
        try:
            await (refused or self._app)(inner, receive, send_out)
        except Exception as error:  # noqa: BLE001 - the last resort
            _log(request_id.decode(), error)
            if not started:
                await unknown_fault(inner)(inner, receive, send_out)


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
        return problem(scope, HTTPStatus.LENGTH_REQUIRED, "http.length_required", "send a body with its Content-Length")
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or int(length) > MAX_BODY_BYTES:
        detail = f"a request body may have {MAX_BODY_BYTES} bytes"
        return problem(scope, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "http.body_too_large", detail)
    return None


def _log(request_id: str, error: Exception) -> None:
    """Where it happened, and of which type: an exception's text may hold what the request or the data held."""
    frames = traceback.extract_tb(error.__traceback__)
    trace = " < ".join(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in reversed(frames[-12:]))
    _logger.error("request %s failed: %s in %s", request_id, type(error).__name__, trace)
