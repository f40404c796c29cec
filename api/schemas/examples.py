"""Examples of principals, groups and keys in the OpenAPI document, and the responses that hold them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

PRINCIPAL: dict[str, Any] = {
    "id": "prn_01kaxw3v9c5h8m2t7r4q6y0zbn",
    "kind": "service",
    "name": "web shop",
    "groups": ["partner"],
    "own_scopes": [],
    "scopes": ["profiles:read"],
    "created_at": "2026-01-31T09:30:00Z",
    "disabled_at": None,
}
KEY: dict[str, Any] = {
    "id": "key_01kaxw3v9c5h8m2t7r4q6y0zbn",
    "principal_id": "prn_01kaxw3v9c5h8m2t7r4q6y0zbn",
    "prefix": "k3v9c5h8",
    "name": "web shop",
    "scopes": [],
    "created_at": "2026-01-31T09:30:00Z",
    "expires_at": None,
    "revoked_at": None,
    "replaced_by": None,
    "last_used_at": "2026-02-01T09:30:00Z",
}
ISSUED_KEY: dict[str, Any] = {
    "id": "key_01kaxw3v9c5h8m2t7r4q6y0zbn",
    "principal_id": "prn_01kaxw3v9c5h8m2t7r4q6y0zbn",
    "prefix": "k3v9c5h8",
    "name": "web shop",
    "scopes": [],
    "expires_at": None,
    "secret": "c360_k3v9c5h8_…",
}
GROUP: dict[str, Any] = {
    "name": "team_a",
    "comment": "Analysts of team A.",
    "built_in": False,
    "own_scopes": ["runs:read"],
    "scopes": ["profiles:read", "runs:read"],
    "groups": [],
}
NOTHING: dict[int | str, dict[str, Any]] = {204: {"description": "Done."}}


def shown(status: int, example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """A response with an example; its schema is that of the route's function."""
    return {status: {"content": {"application/json": {"example": example}}}}


def created(model: type[BaseModel], example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """A response that shows something new, with its address."""
    location = {"Location": {"description": "Address of what was made.", "schema": {"type": "string"}}}
    return {201: {"model": model, "headers": location, **shown(201, example)[201]}}


def created_response(body: BaseModel, location: str) -> Response:
    """What ``created`` describes."""
    return Response(body.model_dump_json(), HTTPStatus.CREATED, {"Location": location}, "application/json")
