"""The trail as a list, newest first, and as rows for ``system.access.audit``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import pyarrow as pa
from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from governance.audit import chain, store
from governance.audit.models import AuditHead, AuditRow
from kit.db import Database
from kit.keyring import KeyRing
from lakehouse.schema import parse_type

_ROWS_AT_ONCE = 5000
VERSION = "1.0"
"""Of the form in which events are kept."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events: those that meet all that is not None. ``since`` is included, ``until`` is not."""

    since: datetime | None = None
    until: datetime | None = None
    principal: str | None = None
    action: str | None = None
    customer: str | None = None


Position = tuple[datetime, int, int]
"""Where a page ends: (at, writer, seq) of its last event."""


def list_events(
    session: Session, ring: KeyRing, wanted: Filter, *, limit: int, after: Position | None = None
) -> Sequence[AuditRow]:
    """Events, newest first. A customer is found by all keyed hashes that their id has had."""
    query = select(AuditRow).order_by(AuditRow.at.desc(), AuditRow.writer.desc(), AuditRow.seq.desc()).limit(limit)
    if wanted.since is not None:
        query = query.where(AuditRow.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(AuditRow.at < wanted.until)
    if wanted.principal is not None:
        query = query.where(AuditRow.principal == wanted.principal)
    if wanted.action is not None:
        query = query.where(AuditRow.action == wanted.action)
    if wanted.customer is not None:
        query = query.where(AuditRow.customer.in_(chain.keyed_hashes(ring, wanted.customer, "customer")))
    if after is not None:
        query = query.where(tuple_(AuditRow.at, AuditRow.writer, AuditRow.seq) < tuple_(*after))
    return session.scalars(query).all()


class AuditExport:
    """The trail in the order of its anchors: position n is all that the n-th anchor was the first to bind."""

    def __init__(self, database: Database, ring: KeyRing) -> None:
        self._database = database
        self._ring = ring

    def end(self) -> int:
        """Binds by a new anchor what none binds yet, also the last rows of processes that were killed."""
        return store.anchor(self._database, self._ring)

    def rows(self, after: int, upto: int) -> Iterator[pa.RecordBatch]:
        with self._database.reading() as session:
            spans = _spans(session, after, upto)
        for writer, first, last in spans:
            while first < last:  # page by page: on SQLite a reader keeps writers out
                query = select(AuditRow).where(AuditRow.writer == writer, AuditRow.seq > first, AuditRow.seq <= last)
                with self._database.reading() as session:
                    rows = session.scalars(query.order_by(AuditRow.seq).limit(_ROWS_AT_ONCE)).all()
                if not rows:
                    break
                first = rows[-1].seq  # noqa: PLW2901 - where the next page begins
                yield pa.RecordBatch.from_pylist([_exported(row) for row in rows], schema=EXPORTED)


def _spans(session: Session, after: int, upto: int) -> list[tuple[int, int, int]]:
    """Per writer: the row before the first, and the last."""
    within = (
        select(AuditHead.writer, func.max(AuditHead.seq))
        .where(AuditHead.anchor > after, AuditHead.anchor <= upto)
        .group_by(AuditHead.writer)
        .order_by(AuditHead.writer)
    )
    before = (
        select(AuditHead.writer, func.max(AuditHead.seq)).where(AuditHead.anchor <= after).group_by(AuditHead.writer)
    )
    firsts = {row[0]: row[1] for row in session.execute(before)}
    return [(row[0], firsts.get(row[0], 0), row[1]) for row in session.execute(within)]


def _exported(row: AuditRow) -> dict[str, Any]:
    """A row of system.access.audit. What Databricks has and we do not know is NULL, never made up."""
    params = orjson.loads(row.params)
    for name, value in (("customer_hash", row.customer), ("source_hash", row.source)):
        if value is not None:
            params[name] = value
    return {
        "version": VERSION,
        "event_time": row.at,
        "event_date": row.at.date(),
        "user_identity": {"email": None, "subject_name": row.principal},
        "service_name": row.service,
        "action_name": row.action,
        "request_id": row.request_id,
        "request_params": list(params.items()),
        "response": {"status_code": row.status, "error_message": row.error, "result": None},
        "audit_level": "ACCOUNT_LEVEL",
        "event_id": f"{row.writer}-{row.seq}",
    }


COLUMNS = {
    "account_id": "STRING",
    "workspace_id": "STRING",
    "version": "STRING",
    "event_time": "TIMESTAMP",
    "event_date": "DATE",
    "source_ip_address": "STRING",
    "user_agent": "STRING",
    "session_id": "STRING",
    "user_identity": "STRUCT<email: STRING, subject_name: STRING>",
    "service_name": "STRING",
    "action_name": "STRING",
    "request_id": "STRING",
    "request_params": "MAP<STRING, STRING>",
    "response": "STRUCT<status_code: INT, error_message: STRING, result: STRING>",
    "audit_level": "STRING",
    "event_id": "STRING",
    "identity_metadata": (
        "STRUCT<run_by: STRING, run_as: STRING, acting_resource: STRING, run_by_display_name: STRING, "
        "run_as_display_name: STRING>"
    ),
}
"""Columns and types of Databricks' table of that name."""

EXPORTED = pa.schema([pa.field(name, parse_type(spelled).arrow) for name, spelled in COLUMNS.items()])
