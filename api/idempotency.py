"""``Idempotency-Key``: a request that creates something can be sent again, and creates it once.

The same key with the same request gets the first answer again, for 24 hours; with another request it is refused. Keys of one principal
say nothing to another's. Two at once: the second waits for the first, and gets its answer. A request that failed has created nothing,
so it leaves nothing behind and may be repeated. Key, answer and audit event are written in the transaction of what is
created: whatever dies meanwhile, there are all or none.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Header, Request
from sqlalchemy import ColumnElement, and_, delete, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.auth import caller_of
from api.changes import Changes
from api.models import IdempotentRequest
from api.schemas.problem import problem_responses
from kit.db import database_time
from kit.errors import C360Error, Conflict
from kit.faults import boundary
from kit.keyring import KeyRing, Purpose

KEPT_FOR = timedelta(hours=24)
REPLAYED = "Idempotency-Replayed"
"""Header of an answer that was given before."""

_KEPT_HEADERS = ("location", "content-type", "etag")
_REUSED = "this Idempotency-Key came before with another request; choose a new one"
_SWEPT_AT_ONCE = 20

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x20-\x7e]+$",
        description="A value of your own, new for each thing you want created. Sent again within 24 hours with the same request, it gets "
        "the first answer again and creates nothing.",
    ),
]


class IdempotencyKeyReused(Conflict):
    """The key came before, with another request."""

    code = "idempotency.key_reused"


class AnswerNotKept(Conflict):
    """The request has been carried out before; its answer held what is shown once only."""

    code = "idempotency.answer_not_kept"


class Creations:
    """Carries out requests that create, each in one transaction, once per ``Idempotency-Key``."""

    def __init__(self, changes: Changes, ring: KeyRing) -> None:
        self._changes = changes
        self._ring = ring

    async def answer(
        self, request: Request, key: str | None, create: Callable[[Session], Response], *, keep_answer: bool = True
    ) -> Response:
        """What ``create`` answers, which works in the session it is given, off the event loop; or what it has answered before.

        ``keep_answer=False`` is for answers that hold personal data or a secret: they cannot be had again, and a repeated request
        raises AnswerNotKept. Raises IdempotencyKeyReused.
        """
        sent = b"\0".join(
            (request.method.encode(), request.url.path.encode(), request.url.query.encode(), await request.body())
        )
        return await run_in_threadpool(self._answer, request, key, sent, create, keep_answer=keep_answer)

    def _answer(
        self,
        request: Request,
        key: str | None,
        sent: bytes,
        create: Callable[[Session], Response],
        *,
        keep_answer: bool,
    ) -> Response:
        principal = caller_of(request.scope).principal_id
        with self._changes.by(request) as change:
            session = change.session
            noted = self._note(session, principal, key, sent) if key is not None else None
            if noted is not None and noted.status is not None:
                change.is_made = False
                return _given_before(noted)
            response = create(session)
            change.status, change.location = response.status_code, response.headers.get("location")
            if noted is not None:
                noted.status = response.status_code
                noted.headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
                noted.body = bytes(response.body) if keep_answer else None
                session.flush()
            boundary("api.created")
        boundary("api.committed")
        return response

    def _note(self, session: Session, principal: str, key: str, sent: bytes) -> IdempotentRequest:
        """The request, noted down now, without a status, or when it came first, with one.

        On PostgreSQL this waits for an equal request that is being carried out; on SQLite the transaction has.
        """
        instant = database_time(session)
        keys, requests = self._hashes(key.encode(), "key"), self._hashes(sent, "request")
        _sweep(session, IdempotentRequest.created_at <= instant - KEPT_FOR)
        mine = and_(IdempotentRequest.principal == principal, IdempotentRequest.key_hash.in_(keys))
        _remove(session, and_(mine, IdempotentRequest.created_at <= instant - KEPT_FOR))
        query = select(IdempotentRequest).where(mine).execution_options(populate_existing=True)
        if (noted := session.scalar(query)) is None:
            values = {"principal": principal, "key_hash": keys[0], "request_hash": requests[0], "created_at": instant}
            _insert_if_absent(session, values)
            noted = session.scalars(query).one()
        if noted.request_hash not in requests:
            raise IdempotencyKeyReused(_REUSED)
        return noted

    def _hashes(self, data: bytes, what: str) -> list[str]:
        """Under every key of the ring, the current one first: the ring may have been rotated within the day."""
        return [mac.digest.hex() for mac in self._ring.macs(Purpose.REQUESTS, data, context=f"idempotency {what}")]


def creation_responses(*errors: C360Error) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses of a route that takes an ``Idempotency-Key``, with other conflicts it may end in."""
    return problem_responses(IdempotencyKeyReused(_REUSED), *errors)


def _given_before(noted: IdempotentRequest) -> Response:
    if noted.body is None or noted.status is None:
        raise AnswerNotKept("this request has been carried out; what it answered was shown once and is not kept")
    return Response(noted.body, noted.status, {**(noted.headers or {}), REPLAYED: "true"})


def _insert_if_absent(session: Session, values: dict[str, Any]) -> None:
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    session.execute(dialect.insert(IdempotentRequest).values(**values).on_conflict_do_nothing())


def _sweep(session: Session, expired: ColumnElement[bool]) -> None:
    """Remove a few requests of days before; those that another is removing are left to it."""
    row = tuple_(IdempotentRequest.principal, IdempotentRequest.key_hash)
    few = select(IdempotentRequest.principal, IdempotentRequest.key_hash).where(expired).limit(_SWEPT_AT_ONCE)
    if old := session.execute(few.with_for_update(skip_locked=True)).all():
        _remove(session, row.in_([tuple(each) for each in old]))


def _remove(session: Session, which: ColumnElement[bool]) -> None:
    session.execute(delete(IdempotentRequest).where(which).execution_options(synchronize_session=False))
