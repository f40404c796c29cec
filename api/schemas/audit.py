"""Audit events as they are served."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import orjson
from pydantic import BaseModel, Field

from api.cursors import Page
from governance.audit.models import AuditRow


class AuditEventView(BaseModel):
    """One event. ``customer_hash`` and ``source_hash`` are keyed hashes: equal for equal values, and worth nothing without the key."""

    id: str = Field(description="The writer of the event, and its number there.")
    at: datetime = Field(description="When it happened.")
    service: str = Field(description="The part of the service it was done in.")
    action: str = Field(description="The operation of this interface, or the command.")
    principal: str | None = Field(description="Who did it; `null` where nobody was known.")
    status: int = Field(description="HTTP status it was answered with.")
    error: str | None = Field(description="Code of the problem it was answered with.")
    request_id: str | None = Field(description="The request it was done by.")
    customer_hash: str | None = Field(description="Whose data.")
    source_hash: str | None = Field(description="From which address, where that tells anything.")
    params: Mapping[str, str] = Field(description="What it was done to, and how.")


class AuditPage(Page[AuditEventView]):
    """One page of the trail."""


def view(row: AuditRow) -> AuditEventView:
    """A kept event as it is served."""
    return AuditEventView(
        id=f"{row.writer}-{row.seq}",
        at=row.at,
        service=row.service,
        action=row.action,
        principal=row.principal,
        status=row.status,
        error=row.error,
        request_id=row.request_id,
        customer_hash=row.customer,
        source_hash=row.source,
        params=orjson.loads(row.params),
    )


EVENT = {
    "id": "12-4711",
    "at": "2026-02-01T09:30:00.250000Z",
    "service": "customers",
    "action": "get_customer",
    "principal": "key_01kbx3v6m9w5t8e2r7y4q0z1ac",
    "status": 403,
    "error": "access.missing_scope",
    "request_id": "4f1d9c0b7a6e5d4c3b2a1908",
    "customer_hash": "9b1c6a52f0e84d7fb3a1c2d4e5f60718",
    "source_hash": "5e0d3c2b1a09f8e7d6c5b4a392817060",
    "params": {"key": "key_01kbx3v6m9w5t8e2r7y4q0z1ac"},
}
"""An example for the documentation."""
