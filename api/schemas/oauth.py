"""How access tokens look in the OpenAPI document: in the forms of RFC 6749, 7517 and 8414."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

TOKEN_REF = {"$ref": "#/components/schemas/AccessToken"}
OAUTH_ERROR_REF = {"$ref": "#/components/schemas/OAuthError"}
JWKS_REF = {"$ref": "#/components/schemas/JsonWebKeySet"}
METADATA_REF = {"$ref": "#/components/schemas/AuthorizationServer"}

CREDENTIALS_FORM = {
    "schema": {
        "type": "object",
        "required": ["grant_type"],
        "properties": {
            "grant_type": {"const": "client_credentials"},
            "client_id": {"type": "string", "description": "Id of the API key, or of its principal."},
            "client_secret": {"type": "string", "description": "The API key."},
            "scope": {"type": "string", "description": "Scopes, separated by spaces; left out: all that the key may."},
        },
    }
}

_STRING = {"type": "string"}
_STRINGS = {"type": "array", "items": _STRING}

OAUTH_SCHEMAS: dict[str, dict[str, Any]] = {
    "AccessToken": {
        "type": "object",
        "description": "A bearer token (a JWT after RFC 9068).",
        "required": ["access_token", "token_type", "expires_in", "scope"],
        "properties": {
            "access_token": _STRING,
            "token_type": {"const": "Bearer"},
            "expires_in": {"type": "integer", "description": "Seconds it lives."},
            "scope": {"type": "string", "description": "What it carries, separated by spaces."},
        },
    },
    "OAuthError": {
        "type": "object",
        "description": "An error as RFC 6749, section 5.2 has it.",
        "required": ["error", "error_description"],
        "properties": {
            "error": {
                "enum": [
                    "invalid_request",
                    "invalid_client",
                    "invalid_grant",
                    "unauthorized_client",
                    "unsupported_grant_type",
                    "invalid_scope",
                ]
            },
            "error_description": {"type": "string", "description": "What is wrong and what to do."},
        },
    },
    "JsonWebKeySet": {
        "type": "object",
        "description": "Public keys (RFC 7517).",
        "required": ["keys"],
        "properties": {
            "keys": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["kty", "crv", "x", "kid", "use", "alg"],
                    "properties": {
                        "kty": {"const": "OKP"},
                        "crv": {"const": "Ed25519"},
                        "x": {"type": "string", "description": "The key, base64url."},
                        "kid": {"type": "string", "description": "Its id, as in the header of a token."},
                        "use": {"const": "sig"},
                        "alg": {"const": "EdDSA"},
                    },
                },
            }
        },
    },
    "AuthorizationServer": {
        "type": "object",
        "description": "Metadata of the authorization server (RFC 8414).",
        "required": ["issuer", "token_endpoint", "jwks_uri", "response_types_supported"],
        "properties": {
            "issuer": _STRING,
            "token_endpoint": _STRING,
            "jwks_uri": _STRING,
            "scopes_supported": _STRINGS,
            "response_types_supported": _STRINGS,
            "grant_types_supported": _STRINGS,
            "token_endpoint_auth_methods_supported": _STRINGS,
            "service_documentation": _STRING,
        },
    },
}


def oauth_error_response(status: HTTPStatus, **descriptions: str) -> dict[str, Any]:
    """One OpenAPI response; an example for each error."""
    examples = {error: {"value": {"error": error, "error_description": text}} for error, text in descriptions.items()}
    return {
        "description": status.phrase,
        "content": {"application/json": {"schema": OAUTH_ERROR_REF, "examples": examples}},
    }
