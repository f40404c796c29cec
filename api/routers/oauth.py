"""OAuth 2: access tokens for API keys (RFC 6749, client credentials), and what others need to check them (RFC 7517, RFC 8414).

The client is the holder of an API key: ``client_id`` is the key's id or that of its principal, ``client_secret`` the key itself.
"""

from __future__ import annotations

import base64
import binascii
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.auth import EXCHANGE_PATH, JWKS_PATH, METADATA_PATH
from api.schemas.oauth import (
    CREDENTIALS_FORM,
    JWKS_REF,
    METADATA_REF,
    TOKEN_REF,
    oauth_error_response,
)
from api.schemas.problem import problem_responses
from governance.access import Scope, Unauthenticated, UnknownScope
from governance.callers import Callers, KeysUnavailable
from governance.tokens import IssuedToken
from kit.keyring import KeyRing, Purpose

_FORM = "application/x-www-form-urlencoded"
_NEVER_KEPT = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_KEPT_A_WHILE = {"Cache-Control": "public, max-age=300"}
_MAX_FIELDS = 20


class _Refused(Exception):
    """An answer of RFC 6749, section 5.2. Its text never repeats what was sent."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(error)
        self.error = error
        self.description = description

    def response(self) -> Response:
        body = orjson.dumps({"error": self.error, "error_description": self.description})
        if self.error != "invalid_client":
            return Response(body, HTTPStatus.BAD_REQUEST, _NEVER_KEPT, "application/json")
        headers = {**_NEVER_KEPT, "WWW-Authenticate": 'Basic realm="customer360"'}
        return Response(body, HTTPStatus.UNAUTHORIZED, headers, "application/json")


def oauth_router(callers: Callers, ring: KeyRing, issuer: str) -> APIRouter:
    """Routes that are open: one asks for credentials of its own, the others say nothing secret."""
    router = APIRouter(tags=["tokens"])

    @router.post(
        EXCHANGE_PATH,
        operation_id="create_token",
        summary="Get an access token",
        description=(
            "Exchanges an API key for a short-lived access token (RFC 6749, grant `client_credentials`). `client_id` is the id of the key or of its "
            "principal, `client_secret` the key, sent by HTTP Basic or in the form. `scope` narrows the token. The token ends with its key, "
            "with its principal, and with what these may."
        ),
        response_class=Response,
        response_description="The token.",
        openapi_extra={"requestBody": {"required": True, "content": {_FORM: CREDENTIALS_FORM}}},
        responses={
            200: {"content": {"application/json": {"schema": TOKEN_REF, "example": _EXAMPLE}}},
            400: oauth_error_response(
                HTTPStatus.BAD_REQUEST,
                invalid_request="send a form with grant_type, and each parameter once",
                unsupported_grant_type="this server grants client_credentials only",
                invalid_scope="name at least one scope; choose from profiles:read",
            ),
            401: oauth_error_response(
                HTTPStatus.UNAUTHORIZED, invalid_client="this API key is not valid, or was revoked"
            ),
            **problem_responses(KeysUnavailable("API keys cannot be checked at present; try again in a few seconds")),
        },
    )
    async def create_token(request: Request) -> Response:
        try:
            issued = _grant(callers, request.headers, await request.body())
        except _Refused as refused:
            return refused.response()
        body = {
            "access_token": issued.token,
            "token_type": "Bearer",
            "expires_in": issued.expires_in,
            "scope": " ".join(sorted(issued.scopes)),
        }
        return Response(orjson.dumps(body), headers=_NEVER_KEPT, media_type="application/json")

    @router.get(
        JWKS_PATH,
        operation_id="get_signing_keys",
        summary="Public keys of access tokens",
        description="The keys that access tokens are signed with, the current one first (RFC 7517). Needs no key.",
        response_class=Response,
        response_description="The keys.",
        responses={200: {"content": {"application/json": {"schema": JWKS_REF, "example": {"keys": [_EXAMPLE_JWK]}}}}},
    )
    async def get_signing_keys() -> Response:
        keys = [_jwk(key_id, key.public_bytes_raw()) for key_id, key in ring.public_keys(Purpose.TOKENS).items()]
        return Response(orjson.dumps({"keys": keys}), headers=_KEPT_A_WHILE, media_type="application/json")

    metadata = _metadata(issuer)

    @router.get(
        METADATA_PATH,
        operation_id="get_token_metadata",
        summary="How to get access tokens",
        description="Metadata of the authorization server (RFC 8414). Needs no key.",
        response_class=Response,
        response_description="The metadata.",
        responses={
            200: {
                "content": {"application/json": {"schema": METADATA_REF, "example": _metadata("https://c360.example")}}
            }
        },
    )
    async def get_token_metadata() -> Response:
        return Response(orjson.dumps(metadata), headers=_KEPT_A_WHILE, media_type="application/json")

    return router


def _grant(callers: Callers, headers: Any, body: bytes) -> IssuedToken:
    form = _form(headers.get("content-type", ""), body)
    if "grant_type" not in form:
        raise _Refused("invalid_request", "send a form with grant_type, and each parameter once")
    if form["grant_type"] != "client_credentials":
        raise _Refused("unsupported_grant_type", "this server grants client_credentials only")
    client_id, secret = _client(headers.get("authorization"), form)
    try:
        return callers.exchange(client_id, secret, form.get("scope"))
    except Unauthenticated as error:
        raise _Refused("invalid_client", error.message) from None
    except UnknownScope as error:
        raise _Refused("invalid_scope", error.message) from None


def _form(media_type: str, body: bytes) -> dict[str, str]:
    """The parameters that have a value; RFC 6749 takes one without for one that was not sent, and refuses repetition."""
    if media_type.partition(";")[0].strip().lower() != _FORM:
        raise _Refused("invalid_request", f"send the parameters as {_FORM}")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise _Refused("invalid_request", "the form is not percent-encoded UTF-8, or too long") from None
    if len({name for name, _ in pairs}) != len(pairs):
        raise _Refused("invalid_request", "send a form with grant_type, and each parameter once")
    return {name: value for name, value in pairs if value}


def _client(authorization: str | None, form: dict[str, str]) -> tuple[str, str]:
    """The client's id and secret: by HTTP Basic, or in the form, not both."""
    if authorization is None:
        if "client_id" not in form or "client_secret" not in form:
            raise _Refused("invalid_client", "send client_id and client_secret, by HTTP Basic or in the form")
        return form["client_id"], form["client_secret"]
    if "client_secret" in form:
        raise _Refused("invalid_request", "send the client's credentials one way only: by HTTP Basic or in the form")
    kind, _, encoded = authorization.partition(" ")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        decoded = ""
    client_id, colon, secret = decoded.partition(":")
    if kind.lower() != "basic" or not colon:
        raise _Refused("invalid_client", "send client_id and client_secret, by HTTP Basic or in the form")
    client_id = unquote_plus(client_id)
    if form.get("client_id", client_id) != client_id:
        raise _Refused("invalid_request", "the client_id of the form is not that of HTTP Basic")
    return client_id, unquote_plus(secret)


def _jwk(key_id: str, raw: bytes) -> dict[str, str]:
    encoded = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    return {"kty": "OKP", "crv": "Ed25519", "x": encoded, "kid": key_id, "use": "sig", "alg": "EdDSA"}


def _metadata(issuer: str) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "token_endpoint": issuer + EXCHANGE_PATH,
        "jwks_uri": issuer + JWKS_PATH,
        "scopes_supported": sorted(scope.value for scope in Scope),
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "service_documentation": issuer + "/docs",
    }


_EXAMPLE = {
    "access_token": "eyJhbGciOiJFZERTQSIs…",
    "token_type": "Bearer",
    "expires_in": 600,
    "scope": "profiles:read",
}
_EXAMPLE_JWK = _jwk("tokens-5f3a9c01", bytes(32))
