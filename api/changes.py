"""Requests that change something: the change and its audit event in one transaction, told from the request itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import Request
from sqlalchemy.orm import Session

from api.witness import RECORDED, event_of
from governance.audit import Event, RecordedChanges


@dataclass(slots=True)
class Change:
    """A change that is being made. What it will be answered with is told as it is; ``is_made`` is taken back where nothing changes."""

    session: Session
    status: int
    location: str | None = None
    is_made: bool = True


class Changes:
    """Makes the changes that requests ask for."""

    def __init__(self, changes: RecordedChanges) -> None:
        self._changes = changes

    @contextmanager
    def by(self, request: Request) -> Iterator[Change]:
        """A transaction of this request; it commits, with the event, when the block ends. The witness does not tell of it again."""
        scope = request.scope
        change: Change | None = None

        def told() -> Event | None:
            assert change is not None  # noqa: S101 - asked at the end of the transaction
            return event_of(scope, change.status, change.location) if change.is_made else None

        with self._changes.transaction(told) as session:
            change = Change(session, scope["route"].status_code or HTTPStatus.OK)
            yield change
        scope[RECORDED] = True
