"""``/groups``: what groups give."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from api.auth import ScopedRoute, needs
from api.changes import Changes
from api.cursors import Cursor, Cursors, InvalidCursor, Limit
from api.idempotency import Creations, IdempotencyKey, creation_responses
from api.routers.principals import LAST_ADMIN
from api.schemas.access import (
    Force,
    GroupPage,
    GroupScopes,
    GroupView,
    InGroup,
    NewGroup,
)
from api.schemas.examples import GROUP, NOTHING, created, created_response, shown
from api.schemas.problem import problem_responses
from governance.access import Scope, UnknownScope
from governance.group_graph import BUILT_IN, GroupGraph, scopes_of
from governance.groups import (
    BuiltInGroup,
    GroupExists,
    UnknownGroup,
    children_of,
    create_group,
    delete_group,
    get_group,
    list_groups,
    set_group_scopes,
)
from governance.models import Group
from kit.db import Database

UNKNOWN_GROUP = UnknownGroup("there is no group of this name; `c360 group list` and GET /groups show all")
_UNKNOWN_SCOPE = UnknownScope("profiles:read:pii adds to profiles:read; give both")
_BUILT_IN = BuiltInGroup("built-in groups can be filled, not changed; make one of your own")
_READ, _WRITE = needs(Scope.PRINCIPALS_READ), needs(Scope.PRINCIPALS_WRITE)
_LIST = "groups"


def groups_router(database: Database, cursors: Cursors, creations: Creations, changes: Changes) -> APIRouter:
    """Routes over the groups of a control database."""
    router = APIRouter(route_class=ScopedRoute, tags=["groups"])

    @router.post(
        "/groups",
        operation_id="create_group",
        summary="Make a group",
        description="A group of your own, beside the built-in ones.",
        status_code=201,
        response_class=Response,
        response_description="The new group.",
        responses={
            **created(GroupView, GROUP),
            **problem_responses(_UNKNOWN_SCOPE),
            **creation_responses(GroupExists("there is a group of this name already; choose another one")),
        },
        openapi_extra=_WRITE,
    )
    async def create(request: Request, body: NewGroup, idempotency_key: IdempotencyKey = None) -> Response:
        def make(session: Session) -> Response:
            group = create_group(session, body.name, comment=body.comment, scopes=body.scopes)
            return created_response(_view(session, group), f"/groups/{group.name}")

        return await creations.answer(request, idempotency_key, make)

    @router.get(
        "/groups",
        operation_id="list_groups",
        summary="List groups",
        description="By name, page by page, built-in ones and your own.",
        response_description="One page.",
        responses={**shown(200, {"items": [GROUP], "next_cursor": None}), **problem_responses(InvalidCursor())},
        openapi_extra=_READ,
    )
    def get_page(limit: Limit = 50, cursor: Cursor = None) -> GroupPage:
        with database.reading() as session:
            rows = list_groups(session, limit=limit + 1, after=cursors.after(cursor, of=_LIST))
            page, next_cursor = cursors.page(rows, limit, lambda row: (row.name,), of=_LIST)
            return GroupPage(items=_views(session, page), next_cursor=next_cursor)

    @router.get(
        "/groups/{group}",
        operation_id="get_group",
        summary="Read a group",
        description="What it gives, and the groups that are in it.",
        response_description="The group.",
        responses={**shown(200, GROUP), **problem_responses(UNKNOWN_GROUP)},
        openapi_extra=_READ,
    )
    def get(group: InGroup) -> GroupView:
        with database.reading() as session:
            return _view(session, get_group(session, group))

    @router.put(
        "/groups/{group}/scopes",
        operation_id="set_group_scopes",
        summary="Change what a group gives",
        description="All its members, and those of the groups in it, may so within seconds, in every process.",
        response_description="The group.",
        responses={
            **shown(200, GROUP),
            **problem_responses(_UNKNOWN_SCOPE, UNKNOWN_GROUP, _BUILT_IN, LAST_ADMIN),
        },
        openapi_extra=_WRITE,
    )
    def set_scopes(request: Request, group: InGroup, body: GroupScopes, *, force: Force = False) -> GroupView:
        with changes.by(request) as change:
            return _view(change.session, set_group_scopes(change.session, group, body.scopes, force=force))

    @router.delete(
        "/groups/{group}",
        operation_id="delete_group",
        summary="Delete a group",
        description="Its members lose what it gave, within seconds. A built-in group stays.",
        status_code=204,
        responses={**NOTHING, **problem_responses(UNKNOWN_GROUP, _BUILT_IN, LAST_ADMIN)},
        openapi_extra=_WRITE,
    )
    def delete(request: Request, group: InGroup, *, force: Force = False) -> None:
        with changes.by(request) as change:
            delete_group(change.session, group, force=force)

    return router


def _views(session: Session, groups: Sequence[Group]) -> list[GroupView]:
    graph = GroupGraph.read(session)
    children = children_of(session, [group.name for group in groups])
    return [
        GroupView(
            name=group.name,
            comment=group.comment,
            built_in=group.name in BUILT_IN,
            own_scopes=sorted(scopes_of(group)),
            scopes=sorted(graph.scopes([group.name])),
            groups=children[group.name],
        )
        for group in groups
    ]


def _view(session: Session, group: Group) -> GroupView:
    return _views(session, [group])[0]
