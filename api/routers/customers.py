"""``/customers``: a customer's profile, straight from the online store."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC
from urllib.parse import unquote_to_bytes

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.auth import HotRoute, caller_of, needs
from api.errors import REQUEST_ID
from api.schemas.problem import problem_responses
from api.schemas.profile import PROFILE_REF, example_profile
from governance.access import Caller, Scope, visible_positions
from governance.audit import AuditTrail, AuditUnavailable, Event
from governance.audit.event import NOTHING
from kit.errors import Invalid, NotFound, Unavailable
from lakehouse.dataset import Dataset
from lakehouse.online.store import Header, OnlineStore, Profile


class CustomerNotFound(NotFound):
    """No source has ever mentioned this customer, or they were erased."""

    code = "customer.not_found"


class MalformedCustomerId(Invalid):
    """The id in the path is not percent-encoded UTF-8."""

    code = "customer.malformed_id"


class ProfilesNotPublished(Unavailable):
    """The online store has no profiles yet."""

    code = "customer.not_published"


class ProfileBody:
    """Puts a response together from a profile's segments; nothing is decoded."""

    def __init__(self) -> None:
        self._header: Header | None = None
        self._meta: dict[tuple[int, ...], bytes] = {}
        self._seen: dict[tuple[str, tuple[int, ...]], Mapping[str, str]] = {}

    def members(self, profile: Profile, scopes: frozenset[Scope]) -> bytes:
        """What this caller may see, as members of a JSON object."""
        return b",".join([profile.segments[position] for position in visible_positions(scopes, profile.classes)])

    def meta(self, profile: Profile, scopes: frozenset[Scope]) -> bytes:
        """The member ``meta``: the same for all profiles of a publication and all callers of equal rights."""
        visible = self._visible(profile, scopes)
        return self._meta[visible]

    def seen(self, profile: Profile, caller: Caller) -> Mapping[str, str]:
        """What the audit trail says of it: the key, the classes that were visible, the version of the publication."""
        visible = self._visible(profile, caller.scopes)
        if (caller.key_id, visible) not in self._seen:
            classes = " ".join(profile.classes[position] for position in visible)
            version = str(profile.header.version)
            self._seen[caller.key_id, visible] = {"key": caller.key_id, "classes": classes, "version": version}
        return self._seen[caller.key_id, visible]

    def _visible(self, profile: Profile, scopes: frozenset[Scope]) -> tuple[int, ...]:
        """Positions of the visible classes; what is said of them is made anew for every publication."""
        if profile.header is not self._header:
            self._header, self._meta, self._seen = profile.header, {}, {}
        visible = visible_positions(scopes, profile.classes)
        if visible not in self._meta:
            self._meta[visible] = _encode_meta(profile.header, {profile.classes[position] for position in visible})
        return visible


def customers_router(store: OnlineStore, dataset: Dataset, view: str, trail: AuditTrail) -> APIRouter:
    """Routes over the view that ``dataset`` is published to. What they give out is recorded in the trail, or not given out."""
    router = APIRouter(route_class=HotRoute, tags=["customers"])
    bodies = ProfileBody()

    @router.get(  # the id is decoded by hand, so it is no parameter of the function
        "/customers/{customer_id}",  # noqa: FAST003
        name="get_customer",
        operation_id="get_customer",
        summary="Read a customer's profile",
        description=(
            "One profile, as of the date in `meta.as_of`. Fields your key may not read are left out and named in `meta.withheld`; "
            "a field that is there and `null` is unknown. Send the `ETag` back as `If-None-Match` to be told 304 while what *you* can "
            "see of the profile is unchanged (a new publication that changes only `meta` does not count as a change)."
        ),
        response_class=Response,
        response_description="The profile.",
        responses={
            200: {
                "content": {"application/json": {"schema": PROFILE_REF, "example": example_profile(dataset)}},
                "headers": {"ETag": {"description": "Weak tag of what you can see.", "schema": {"type": "string"}}},
            },
            304: {"description": "Unchanged since the `ETag` you sent."},
            **problem_responses(
                MalformedCustomerId("the customer id in the path must be percent-encoded UTF-8"),
                CustomerNotFound("there is no profile of this customer"),
                ProfilesNotPublished("no profiles are published yet; try again after the first pipeline run"),
                AuditUnavailable("what is read cannot be recorded at present; try again in a few seconds"),
            ),
        },
        openapi_extra={"parameters": _PARAMETERS, **needs(Scope.PROFILES_READ)},
    )
    async def get_customer(request: Request) -> Response:
        trail.admit()
        customer_id = _decoded(request.path_params["customer_id"])
        caller = caller_of(request.scope)
        profile = store.get(view, customer_id)
        if profile is None:
            if store.header(view) is None:
                raise ProfilesNotPublished("no profiles are published yet; try again after the first pipeline run")
            trail.record(_reading(request, caller, customer_id, 404, NOTHING, CustomerNotFound.code))
            raise CustomerNotFound("there is no profile of this customer")
        members = bodies.members(profile, caller.scopes)
        tag = f'"{hashlib.blake2b(members, digest_size=12).hexdigest()}"'
        headers = {"ETag": f"W/{tag}", "Cache-Control": "private, no-cache", "Vary": "Authorization, X-API-Key"}
        known = _matches(request.headers.get("if-none-match"), tag)
        trail.record(_reading(request, caller, customer_id, 304 if known else 200, bodies.seen(profile, caller)))
        if known:
            return Response(status_code=304, headers=headers)
        return Response(
            b"{%b,%b}" % (members, bodies.meta(profile, caller.scopes)), headers=headers, media_type="application/json"
        )

    return router


def _reading(
    request: Request, caller: Caller, customer: str, status: int, seen: Mapping[str, str], error: str | None = None
) -> Event:
    return Event(
        "customers", "get_customer", caller.principal_id, status, error, request.scope[REQUEST_ID], customer, None, seen
    )


_PARAMETERS = [
    {
        "name": "customer_id",
        "in": "path",
        "required": True,
        "description": "Customer id as the sources write it, percent-encoded (a slash is `%2F`).",
        "schema": {"type": "string", "minLength": 1},
        "example": "C0000042",
    },
    {
        "name": "If-None-Match",
        "in": "header",
        "required": False,
        "description": "An `ETag` from an earlier response.",
        "schema": {"type": "string"},
    },
]


def _decoded(sent: str) -> str:
    try:
        return unquote_to_bytes(sent.encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise MalformedCustomerId("the customer id in the path must be percent-encoded UTF-8") from None


def _matches(sent: str | None, tag: str) -> bool:
    """RFC 9110's weak comparison."""
    return sent is not None and (
        sent.strip() == "*" or tag in (part.strip().removeprefix("W/") for part in sent.split(","))
    )


def _encode_meta(header: Header, classes: set[str]) -> bytes:
    withheld = [name for cls, names in header.fields.items() if cls not in classes for name in names]
    meta = {
        "as_of": header.as_of.isoformat(),
        "version": header.version,
        "published_at": header.published_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "withheld": withheld,
    }
    return orjson.dumps({"meta": meta})[1:-1]
