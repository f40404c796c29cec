"""The JSON schema of a profile, derived from the declaration of the dataset that is served.

Values are encoded by `lakehouse.online.encode`; a test holds the two together.
"""

from __future__ import annotations

from typing import Any

from lakehouse.dataset import Column, Dataset
from lakehouse.schema import DataType

PROFILE_REF = {"$ref": "#/components/schemas/CustomerProfile"}

META_SCHEMA = {
    "type": "object",
    "description": "What all profiles of one publication have in common.",
    "required": ["as_of", "version", "published_at", "withheld"],
    "properties": {
        "as_of": {"type": "string", "format": "date", "description": "Date at whose start (00:00Z) all windows end."},
        "version": {"type": "integer", "description": "Version of the gold table the profile was read at."},
        "published_at": {"type": "string", "format": "date-time", "description": "When it was published."},
        "withheld": {"type": "array", "items": {"type": "string"}, "description": "Fields your key may not read."},
    },
}

_SCALARS: dict[str, dict[str, Any]] = {
    "STRING": {"type": "string"},
    "BOOLEAN": {"type": "boolean"},
    "INT": {"type": "integer", "format": "int32"},
    "BIGINT": {"type": "integer", "format": "int64"},
    "DOUBLE": {"type": "number", "format": "double"},
    "DATE": {"type": "string", "format": "date"},
    "TIMESTAMP": {"type": "string", "format": "date-time"},
}
_EXAMPLES: dict[str, Any] = {
    "STRING": "text",
    "BOOLEAN": True,
    "INT": 12,
    "BIGINT": 12,
    "DOUBLE": 0.5,
    "DATE": "1990-04-17",
    "TIMESTAMP": "2026-01-31T09:30:00Z",
}
_TOLD_BY_NAME = {
    "customer_id": "C0000042",
    "email": "ada@example.com",
    "first_name": "Ada",
    "last_name": "Example",
    "phone": "+442079460018",
    "street": "1 Example Street",
    "city": "London",
    "state": "England",
    "postal_code": "N1 9GU",
    "country": "GB",
    "currency": "GBP",
    "reporting_currency": "GBP",
    "loyalty_tier": "gold",
    "top_category": "Books",
}


def profile_schema(dataset: Dataset) -> dict[str, Any]:
    """The schema of one profile with ``meta``. Fields with a ``pii.*`` class are not required: they may be withheld."""
    properties = {column.name: _column_schema(column) for column in dataset.columns}
    properties["meta"] = {"$ref": "#/components/schemas/ProfileMeta"}
    required = [column.name for column in dataset.columns if not column.is_pii]
    return {"type": "object", "description": dataset.comment, "required": [*required, "meta"], "properties": properties}


def example_profile(dataset: Dataset) -> dict[str, Any]:
    """A profile of a person who does not exist, as a caller who may read everything sees it."""
    profile = {column.name: _example(column.name, column.data_type) for column in dataset.columns}
    meta = {"as_of": "2026-02-01", "version": 7, "published_at": "2026-02-01T02:15:04Z", "withheld": []}
    return {**profile, "meta": meta}


def _column_schema(column: Column) -> dict[str, Any]:
    schema = _type_schema(column.data_type, nullable=column.nullable)
    schema["description"] = column.comment
    if column.is_pii:
        schema["x-class"] = column.cls
    return schema


def _type_schema(kind: DataType, *, nullable: bool = True) -> dict[str, Any]:
    if kind.fields:
        members = {name: _type_schema(member) for name, member in kind.fields}
        schema: dict[str, Any] = {"type": "object", "required": list(members), "properties": members}
    elif kind.element is not None:
        schema = {"type": "array", "items": _type_schema(kind.element)}
    elif kind.sql.startswith("DECIMAL"):
        scale = kind.arrow.scale
        schema = {"type": "string", "format": "decimal", "pattern": rf"^-?\d+\.\d{{{scale}}}$" if scale else r"^-?\d+$"}
    else:
        schema = dict(_SCALARS[kind.sql])
    if nullable:
        schema["type"] = [schema["type"], "null"]
    return schema


def _example(name: str, kind: DataType) -> Any:
    if kind.fields:
        return {member: _example(member, member_kind) for member, member_kind in kind.fields}
    if kind.element is not None:
        return [_example(name, kind.element)]
    if kind.sql.startswith("DECIMAL"):
        return f"{1234.5:.{kind.arrow.scale}f}"
    return _TOLD_BY_NAME.get(name, _EXAMPLES[kind.sql])
