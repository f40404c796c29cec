"""What requests leave in the audit trail, in one place: failed authentications, denials, changes. No route can forget them.

A change of the control database is told in its own transaction (api/changes.py), and here where that has failed or was forgotten. Reads of
personal data are recorded by the routes that give them out, since only they know what was read.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth import CALLER, is_open
from api.errors import PROBLEM_CODE, REQUEST_ID
from governance.access import Caller
from governance.audit import AuditTrail, Event
from governance.audit.event import NOTHING

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_IDENTIFIER = re.compile(r"[a-z0-9_.-]{1,64}")
"""What a path parameter has to look like to be kept: anything else may be what somebody typed by mistake."""

_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
CUSTOMER = "customer_id"
"""Path parameter that names a customer: kept as a keyed hash only."""


RECORDED = "c360.recorded"
"""Key in the ASGI scope of a request whose change was told with it."""

_FAILED: Message = {"status": HTTPStatus.INTERNAL_SERVER_ERROR, "headers": ()}


class Witness:
    """ASGI middleware outside of the gate: it sees how every request was answered, before the answer goes out."""

    def __init__(self, app: ASGIApp, trail: AuditTrail) -> None:
        self._app = app
        self._trail = trail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def witnessed(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._note(scope, message)
            await send(message)

        try:
            await self._app(scope, receive, witnessed)
        except Exception:  # the edge answers
            self._note(scope, _FAILED)
            raise

    def _note(self, scope: Scope, start: Message) -> None:
        caller: Caller | None = scope.get(CALLER)
        if caller is not None:
            self._trail.authenticated(caller.principal_id, caller.key_id)
        status = start["status"]
        if RECORDED in scope:
            return
        if status in _REFUSED or (scope["method"] not in _READING and _counts(scope, status)):
            location = next((value for name, value in start["headers"] if name == b"location"), None)
            self._trail.record(event_of(scope, status, None if location is None else location.decode("latin-1")))


def _counts(scope: Scope, status: int) -> bool:
    """Whether a request that changes something has done so, or may have; of those that anyone may send, all count."""
    return status < HTTPStatus.BAD_REQUEST or status >= HTTPStatus.INTERNAL_SERVER_ERROR or is_open(scope["path"])


def event_of(scope: Scope, status: int, location: str | None) -> Event:
    """What a request did, as its route is named, to what its path names; ``location`` is that of what it made."""
    caller: Caller | None = scope.get(CALLER)
    route = scope.get("route")
    service = route.tags[0] if route is not None and getattr(route, "tags", None) else "accounts"
    action = (getattr(route, "operation_id", None) or getattr(route, "name", None)) if route is not None else None
    named = dict(scope.get("path_params", NOTHING))
    customer = named.pop(CUSTOMER, None)
    named = {name: value if _IDENTIFIER.fullmatch(str(value)) else "not an identifier" for name, value in named.items()}
    if caller is not None:
        named["key"] = caller.key_id
    if location is not None:
        named["location"] = location
    client = scope.get("client")
    return Event(
        service=service,
        action=action or "authenticate",
        principal=None if caller is None else caller.principal_id,
        status=int(status),
        error=scope.get(PROBLEM_CODE),
        request_id=scope.get(REQUEST_ID),
        customer=customer,
        source=client[0] if client else None,
        params=named,
    )
