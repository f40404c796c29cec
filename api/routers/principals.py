"""``/principals``: the services and people that call."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from api.auth import ScopedRoute, needs
from api.changes import Changes
from api.cursors import Cursor, Cursors, InvalidCursor, Limit
from api.idempotency import Creations, IdempotencyKey, creation_responses
from api.schemas.access import Force, NewPrincipal, PrincipalId, PrincipalPage, PrincipalView
from api.schemas.examples import PRINCIPAL, created, created_response, shown
from api.schemas.problem import problem_responses
from governance.access import Scope, UnknownScope, known_scopes
from governance.changes import LastAdmin
from governance.group_graph import GroupGraph
from governance.groups import UnknownGroup, add_member, groups_of
from governance.models import Principal
from governance.principals import (
    InvalidName,
    UnknownPrincipal,
    create_principal,
    disable_principal,
    enable_principal,
    get_principal,
    list_principals,
)
from kit.db import Database

UNKNOWN_PRINCIPAL = UnknownPrincipal(
    "there is no principal of this id; `c360 principal list` and GET /principals show all"
)
LAST_ADMIN = LastAdmin(
    f"nobody with {Scope.PRINCIPALS_WRITE} and a live key would be left; make another admin first, or force it"
)
_READ, _WRITE = needs(Scope.PRINCIPALS_READ), needs(Scope.PRINCIPALS_WRITE)
_LIST = "principals"


def principals_router(database: Database, cursors: Cursors, creations: Creations, changes: Changes) -> APIRouter:
    """Routes over the principals of a control database."""
    router = APIRouter(route_class=ScopedRoute, tags=["principals"])

    @router.post(
        "/principals",
        operation_id="create_principal",
        summary="Make a principal",
        description="A service or a person that may call. It has no key yet: `POST /principals/{principal_id}/keys` issues one.",
        status_code=201,
        response_class=Response,
        response_description="The new principal.",
        responses={
            **created(PrincipalView, PRINCIPAL),
            **creation_responses(),
            **problem_responses(
                InvalidName("give a name that tells people who or what it is: up to 200 printable characters"),
                UnknownScope("profiles:read:pii adds to profiles:read; give both"),
                UnknownGroup("there is no group of this name; `c360 group list` and GET /groups show all"),
            ),
        },
        openapi_extra=_WRITE,
    )
    async def create(request: Request, body: NewPrincipal, idempotency_key: IdempotencyKey = None) -> Response:
        def make(session: Session) -> Response:
            principal = create_principal(session, body.name, kind=body.kind, scopes=body.scopes)
            for group in body.groups:
                add_member(session, group, principal.id)
            return created_response(_view(session, principal), f"/principals/{principal.id}")

        return await creations.answer(request, idempotency_key, make)

    @router.get(
        "/principals",
        operation_id="list_principals",
        summary="List principals",
        description="Oldest first, page by page, disabled ones too.",
        response_description="One page.",
        responses={
            **shown(200, {"items": [PRINCIPAL], "next_cursor": None}),
            **problem_responses(InvalidCursor()),
        },
        openapi_extra=_READ,
    )
    def get_page(limit: Limit = 50, cursor: Cursor = None) -> PrincipalPage:
        with database.reading() as session:
            rows = list_principals(session, limit=limit + 1, after=cursors.after(cursor, of=_LIST))
            page, next_cursor = cursors.page(rows, limit, lambda row: (row.id,), of=_LIST)
            return PrincipalPage(items=principal_views(session, page), next_cursor=next_cursor)

    @router.get(
        "/principals/{principal_id}",
        operation_id="get_principal",
        summary="Read a principal",
        description="With its groups and all that it may through them.",
        response_description="The principal.",
        responses={**shown(200, PRINCIPAL), **problem_responses(UNKNOWN_PRINCIPAL)},
        openapi_extra=_READ,
    )
    def get(principal_id: PrincipalId) -> PrincipalView:
        with database.reading() as session:
            return _view(session, get_principal(session, principal_id))

    @router.post(
        "/principals/{principal_id}/disable",
        operation_id="disable_principal",
        summary="Disable a principal",
        description="All its keys and tokens are refused within seconds, in every process. Its keys stay as they are.",
        response_description="The principal, disabled.",
        responses={
            **shown(200, PRINCIPAL | {"disabled_at": "2026-02-01T09:30:00Z"}),
            **problem_responses(UNKNOWN_PRINCIPAL, LAST_ADMIN),
        },
        openapi_extra=_WRITE,
    )
    def disable(request: Request, principal_id: PrincipalId, *, force: Force = False) -> PrincipalView:
        with changes.by(request) as change:
            return _view(change.session, disable_principal(change.session, principal_id, force=force))

    @router.post(
        "/principals/{principal_id}/enable",
        operation_id="enable_principal",
        summary="Enable a principal",
        description="It is let in again, with the keys that it has.",
        response_description="The principal, enabled.",
        responses={**shown(200, PRINCIPAL), **problem_responses(UNKNOWN_PRINCIPAL)},
        openapi_extra=_WRITE,
    )
    def enable(request: Request, principal_id: PrincipalId) -> PrincipalView:
        with changes.by(request) as change:
            return _view(change.session, enable_principal(change.session, principal_id))

    return router


def principal_views(session: Session, principals: Sequence[Principal]) -> list[PrincipalView]:
    """Principals with their groups and what they may, in as many queries for many as for one."""
    graph = GroupGraph.read(session)
    groups = groups_of(session, [principal.id for principal in principals])
    return [
        PrincipalView(
            id=principal.id,
            kind=principal.kind,
            name=principal.name,
            groups=groups[principal.id],
            own_scopes=sorted(own := known_scopes(principal.scopes)),
            scopes=sorted(own | graph.scopes(groups[principal.id])),
            created_at=principal.created_at,
            disabled_at=principal.disabled_at,
        )
        for principal in principals
    ]


def _view(session: Session, principal: Principal) -> PrincipalView:
    return principal_views(session, [principal])[0]
