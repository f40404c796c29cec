"""``/audit``: who did what. Reading it is itself recorded."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request

from api.auth import ScopedRoute, caller_of, needs
from api.cursors import Cursor, Cursors, InvalidCursor, Limit
from api.errors import REQUEST_ID
from api.schemas.audit import EVENT, AuditPage, view
from api.schemas.problem import problem_responses
from governance.access import Scope
from governance.audit import AuditTrail, Event
from governance.audit.models import AuditRow
from governance.audit.reading import Filter, list_events
from kit.clock import aware
from kit.db import Database
from kit.keyring import KeyRing

_NAME = {"min_length": 1, "max_length": 200, "pattern": r"^[A-Za-z0-9_.: -]+$"}
_ID = {"min_length": 1, "max_length": 200}


def audit_router(database: Database, ring: KeyRing, cursors: Cursors, trail: AuditTrail) -> APIRouter:
    """Routes over the trail in the control database."""
    router = APIRouter(route_class=ScopedRoute, tags=["audit"])

    @router.get(
        "/audit",
        operation_id="list_audit_events",
        summary="Read the audit trail",
        description=(
            "Events, newest first, page by page. `customer` takes the customer's id: it is matched by its keyed hash, the id itself "
            "is not kept. Instants without an offset are in UTC. Events are there within a second."
        ),
        response_description="One page.",
        responses={
            200: {
                "content": {"application/json": {"example": {"items": [EVENT], "next_cursor": "LnA5dGxlX2N1cnNvcg"}}}
            },
            **problem_responses(InvalidCursor()),
        },
        openapi_extra=needs(Scope.AUDIT_READ),
    )
    def list_audit_events(
        request: Request,
        since: Annotated[datetime | None, Query(description="Not before this instant.")] = None,
        until: Annotated[datetime | None, Query(description="Before this instant.")] = None,
        principal: Annotated[str | None, Query(description="Who did it.", **_NAME)] = None,
        action: Annotated[str | None, Query(description="What was done.", **_NAME)] = None,
        customer: Annotated[str | None, Query(description="Whose data: a customer id.", **_ID)] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> AuditPage:
        wanted = Filter(aware(since), aware(until), principal, action, customer)
        of = f"audit?{wanted}"
        with database.reading() as session:
            after = None if cursor is None else _position(cursors.open(cursor, of=of))
            rows = list_events(session, ring, wanted, limit=limit + 1, after=after)
        trail.record(
            Event(
                "audit",
                "list_audit_events",
                caller_of(request.scope).principal_id,
                request_id=request.scope[REQUEST_ID],
                customer=customer,
            )
        )
        page, next_cursor = cursors.page(rows, limit, _sort_key, of=of)
        return AuditPage(items=[view(row) for row in page], next_cursor=next_cursor)

    return router


def _sort_key(row: AuditRow) -> tuple[str, int, int]:
    return row.at.isoformat(), row.writer, row.seq


def _position(cursor: list[str | int]) -> tuple[datetime, int, int]:
    at, writer, seq = cursor
    return datetime.fromisoformat(str(at)), int(writer), int(seq)
