"""How errors look in the OpenAPI document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from api.errors import MEDIA_TYPE, STATUS_OF_KIND, TYPE_PREFIX
from kit.errors import C360Error

PROBLEM_REF = {"$ref": "#/components/schemas/Problem"}

PROBLEM_SCHEMA = {
    "type": "object",
    "description": "An error as RFC 9457 has it. `code` is stable: decide by it. `detail` is for people.",
    "required": ["type", "title", "status", "detail", "code", "instance", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": f"`{TYPE_PREFIX}` and the code."},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong and what to do; never holds a value you sent."},
        "code": {"type": "string"},
        "instance": {"type": "string", "description": "Path of the request."},
        "request_id": {"type": "string", "description": "Names this request in our logs; also in `X-Request-ID`."},
    },
}


def problem_responses(*errors: C360Error) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses for these errors, each an example under its status."""
    by_status: dict[HTTPStatus, dict[str, tuple[str, Mapping[str, Any]]]] = defaultdict(dict)
    for error in errors:
        by_status[STATUS_OF_KIND[error.kind]][error.code] = (error.message, {})
    return {int(status): problem_response(status, examples) for status, examples in by_status.items()}


def problem_response(
    status: HTTPStatus, examples: Mapping[str, tuple[str, Mapping[str, Any]]], path: str = "/customers/C0000042"
) -> dict[str, Any]:
    """One OpenAPI response; ``examples`` maps codes to (detail, additional members), seen at ``path``."""
    return {
        "description": status.phrase,
        "content": {
            MEDIA_TYPE: {
                "schema": PROBLEM_REF,
                "examples": {
                    code: {"value": _example(status, code, detail, path, extra)}
                    for code, (detail, extra) in examples.items()
                },
            }
        },
    }


def _example(status: HTTPStatus, code: str, detail: str, path: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": TYPE_PREFIX + code,
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
        "code": code,
        "instance": path,
        "request_id": "5b0c8e6f2a9d41c7b3e85f10",
        **extra,
    }
