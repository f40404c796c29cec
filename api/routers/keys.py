"""``/principals/{id}/keys``: the API keys of a principal."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from api.auth import ScopedRoute, needs
from api.changes import Changes
from api.cursors import Cursor, Cursors, InvalidCursor, Limit
from api.idempotency import AnswerNotKept, Creations, IdempotencyKey, creation_responses
from api.routers.principals import LAST_ADMIN, UNKNOWN_PRINCIPAL
from api.schemas.access import Force, IssuedKeyView, KeyId, KeyPage, KeyView, NewKey, PrincipalId, Rotation
from api.schemas.examples import ISSUED_KEY, KEY, created, created_response, shown
from api.schemas.problem import problem_responses
from governance.access import Scope, UnknownScope, known_scopes
from governance.api_keys import (
    InvalidExpiry,
    IssuedKey,
    KeyEnded,
    KeyNotFound,
    get_key,
    issue_key,
    list_keys,
    revoke_key,
    rotate_key,
)
from governance.models import ApiKey
from governance.principals import get_principal
from kit.db import Database

_UNKNOWN_KEY = KeyNotFound("this principal has no key of this id")
_SHOWN_ONCE = AnswerNotKept("this request has been carried out; what it answered was shown once and is not kept")
_READ, _WRITE = needs(Scope.PRINCIPALS_READ), needs(Scope.PRINCIPALS_WRITE)


def keys_router(database: Database, cursors: Cursors, creations: Creations, changes: Changes) -> APIRouter:
    """Routes over the keys of a control database."""
    router = APIRouter(route_class=ScopedRoute, tags=["principals"])

    @router.post(
        "/principals/{principal_id}/keys",
        operation_id="issue_key",
        summary="Issue a key",
        description="The key is in `secret`, this once: what is kept is a hash of it. It works within seconds, in every process.",
        status_code=201,
        response_class=Response,
        response_description="The new key.",
        responses={
            **created(IssuedKeyView, ISSUED_KEY),
            **creation_responses(_SHOWN_ONCE),
            **problem_responses(
                UNKNOWN_PRINCIPAL,
                UnknownScope("profiles:read:pii adds to profiles:read; give both"),
                InvalidExpiry("a key ends in the future; leave the end out for one that does not end"),
            ),
        },
        openapi_extra=_WRITE,
    )
    async def issue(
        request: Request, principal_id: PrincipalId, body: NewKey, idempotency_key: IdempotencyKey = None
    ) -> Response:
        def make(session: Session) -> Response:
            return _issued(
                issue_key(session, principal_id, name=body.name, scopes=body.scopes, expires_at=body.expires_at)
            )

        return await creations.answer(request, idempotency_key, make, keep_answer=False)

    @router.get(
        "/principals/{principal_id}/keys",
        operation_id="list_keys",
        summary="List the keys of a principal",
        description="Every key it was ever issued, oldest first, page by page, without secrets.",
        response_description="One page.",
        responses={
            **shown(200, {"items": [KEY], "next_cursor": None}),
            **problem_responses(UNKNOWN_PRINCIPAL, InvalidCursor()),
        },
        openapi_extra=_READ,
    )
    def get_page(principal_id: PrincipalId, limit: Limit = 50, cursor: Cursor = None) -> KeyPage:
        of = f"keys?{principal_id}"
        with database.reading() as session:
            get_principal(session, principal_id)
            rows = list_keys(session, principal_id, limit=limit + 1, after=cursors.after(cursor, of=of))
            page, next_cursor = cursors.page(rows, limit, lambda row: (row.id,), of=of)
            return KeyPage(items=[_view(key) for key in page], next_cursor=next_cursor)

    @router.get(
        "/principals/{principal_id}/keys/{key_id}",
        operation_id="get_key",
        summary="Read a key",
        description="Without its secret.",
        response_description="The key.",
        responses={**shown(200, KEY), **problem_responses(_UNKNOWN_KEY)},
        openapi_extra=_READ,
    )
    def get(principal_id: PrincipalId, key_id: KeyId) -> KeyView:
        with database.reading() as session:
            return _view(_key_of(session, principal_id, key_id))

    @router.post(
        "/principals/{principal_id}/keys/{key_id}/rotate",
        operation_id="rotate_key",
        summary="Rotate a key",
        description="Issues a key of the same name, scopes and end. The old one goes on working until the grace period has passed.",
        status_code=201,
        response_class=Response,
        response_description="The new key.",
        responses={
            **created(IssuedKeyView, ISSUED_KEY),
            **creation_responses(_SHOWN_ONCE, KeyEnded("this key has ended or was rotated already; issue a new one")),
            **problem_responses(_UNKNOWN_KEY),
        },
        openapi_extra=_WRITE,
    )
    async def rotate(
        request: Request,
        principal_id: PrincipalId,
        key_id: KeyId,
        body: Rotation,
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        def make(session: Session) -> Response:
            _key_of(session, principal_id, key_id)
            return _issued(rotate_key(session, key_id, grace=timedelta(seconds=body.grace_seconds)))

        return await creations.answer(request, idempotency_key, make, keep_answer=False)

    @router.post(
        "/principals/{principal_id}/keys/{key_id}/revoke",
        operation_id="revoke_key",
        summary="Revoke a key",
        description="Ends it for good, and the tokens that were issued for it: within seconds, in every process.",
        response_description="The key, revoked.",
        responses={
            **shown(200, KEY | {"revoked_at": "2026-02-01T09:30:00Z"}),
            **problem_responses(_UNKNOWN_KEY, LAST_ADMIN),
        },
        openapi_extra=_WRITE,
    )
    def revoke(request: Request, principal_id: PrincipalId, key_id: KeyId, *, force: Force = False) -> KeyView:
        with changes.by(request) as change:
            _key_of(change.session, principal_id, key_id)
            return _view(revoke_key(change.session, key_id, force=force))

    return router


def _key_of(session: Session, principal_id: str, key_id: str) -> ApiKey:
    key = get_key(session, key_id)
    if key.principal_id != principal_id:
        raise _UNKNOWN_KEY
    return key


def _view(key: ApiKey) -> KeyView:
    return KeyView(
        id=key.id,
        principal_id=key.principal_id,
        prefix=key.prefix,
        name=key.name,
        scopes=sorted(known_scopes(key.scopes)),
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        replaced_by=key.replaced_by,
        last_used_at=key.last_used_at,
    )


def _issued(key: IssuedKey) -> Response:
    view = IssuedKeyView(
        id=key.id,
        principal_id=key.principal_id,
        prefix=key.prefix,
        name=key.name,
        scopes=sorted(key.scopes),
        expires_at=key.expires_at,
        secret=key.secret,
    )
    return created_response(view, f"/principals/{key.principal_id}/keys/{key.id}")
