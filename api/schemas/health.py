"""How health answers look in the OpenAPI document."""

from __future__ import annotations

HEALTH_REF = {"$ref": "#/components/schemas/Health"}
READINESS_REF = {"$ref": "#/components/schemas/Readiness"}

HEALTH_SCHEMA = {
    "type": "object",
    "description": "The process answers.",
    "required": ["status"],
    "properties": {"status": {"const": "ok"}},
}
READINESS_SCHEMA = {
    "type": "object",
    "description": "What was checked.",
    "required": ["status", "checks"],
    "properties": {
        "status": {"const": "ready"},
        "checks": {
            "type": "object",
            "description": "Per check, `null` or what is missing and what to do.",
            "additionalProperties": {"type": ["string", "null"]},
        },
    },
}
