"""``/groups/{group}/principals`` and ``/groups/{group}/groups``: who is in a group."""

from __future__ import annotations

from fastapi import APIRouter, Request

from api.auth import ScopedRoute, needs
from api.changes import Changes
from api.cursors import Cursor, Cursors, InvalidCursor, Limit
from api.routers.groups import UNKNOWN_GROUP
from api.routers.principals import LAST_ADMIN, UNKNOWN_PRINCIPAL, principal_views
from api.schemas.access import Force, InGroup, PrincipalId, PrincipalPage
from api.schemas.examples import NOTHING, PRINCIPAL, shown
from api.schemas.problem import problem_responses
from governance.access import Scope
from governance.groups import GroupCycle, add_member, list_members, nest, remove_member, unnest
from kit.db import Database

_READ, _WRITE = needs(Scope.PRINCIPALS_READ), needs(Scope.PRINCIPALS_WRITE)


def members_router(database: Database, cursors: Cursors, changes: Changes) -> APIRouter:
    """Routes over who is in which group of a control database."""
    router = APIRouter(route_class=ScopedRoute, tags=["groups"])

    @router.get(
        "/groups/{group}/principals",
        operation_id="list_group_principals",
        summary="List who is in a group",
        description="The principals that are directly in it, oldest first, page by page.",
        response_description="One page.",
        responses={
            **shown(200, {"items": [PRINCIPAL], "next_cursor": None}),
            **problem_responses(UNKNOWN_GROUP, InvalidCursor()),
        },
        openapi_extra=_READ,
    )
    def get_members(group: InGroup, limit: Limit = 50, cursor: Cursor = None) -> PrincipalPage:
        of = f"members?{group}"
        with database.reading() as session:
            rows = list_members(session, group, limit=limit + 1, after=cursors.after(cursor, of=of))
            page, next_cursor = cursors.page(rows, limit, lambda row: (row.id,), of=of)
            return PrincipalPage(items=principal_views(session, page), next_cursor=next_cursor)

    @router.put(
        "/groups/{group}/principals/{principal_id}",
        operation_id="add_group_principal",
        summary="Put a principal into a group",
        description="It may what the group gives within seconds. Putting it in twice is putting it in once.",
        status_code=204,
        responses={**NOTHING, **problem_responses(UNKNOWN_GROUP, UNKNOWN_PRINCIPAL)},
        openapi_extra=_WRITE,
    )
    def add(request: Request, group: InGroup, principal_id: PrincipalId) -> None:
        with changes.by(request) as change:
            add_member(change.session, group, principal_id)

    @router.delete(
        "/groups/{group}/principals/{principal_id}",
        operation_id="remove_group_principal",
        summary="Take a principal out of a group",
        description="It loses what the group gave within seconds. Taking out what is not in changes nothing.",
        status_code=204,
        responses={**NOTHING, **problem_responses(UNKNOWN_GROUP, UNKNOWN_PRINCIPAL, LAST_ADMIN)},
        openapi_extra=_WRITE,
    )
    def remove(request: Request, group: InGroup, principal_id: PrincipalId, *, force: Force = False) -> None:
        with changes.by(request) as change:
            remove_member(change.session, group, principal_id, force=force)

    @router.put(
        "/groups/{group}/groups/{member}",
        operation_id="add_group_group",
        summary="Put a group into a group",
        description="Members of the inner group may what the outer one gives. Groups cannot be in each other.",
        status_code=204,
        responses={
            **NOTHING,
            **problem_responses(
                UNKNOWN_GROUP,
                GroupCycle(
                    "the outer group is in the inner one already, or is the same; groups cannot be in each other"
                ),
            ),
        },
        openapi_extra=_WRITE,
    )
    def add_nested(request: Request, group: InGroup, member: InGroup) -> None:
        with changes.by(request) as change:
            nest(change.session, group, member)

    @router.delete(
        "/groups/{group}/groups/{member}",
        operation_id="remove_group_group",
        summary="Take a group out of a group",
        description="Members of the inner group lose what the outer one gave. Taking out what is not in changes nothing.",
        status_code=204,
        responses={**NOTHING, **problem_responses(UNKNOWN_GROUP, LAST_ADMIN)},
        openapi_extra=_WRITE,
    )
    def remove_nested(request: Request, group: InGroup, member: InGroup, *, force: Force = False) -> None:
        with changes.by(request) as change:
            unnest(change.session, group, member, force=force)

    return router
