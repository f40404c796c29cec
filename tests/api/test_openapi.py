"""The OpenAPI document is a product: complete, current, and what the server does."""

from __future__ import annotations

import re
from http import HTTPStatus
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from fastapi.routing import APIRoute

from api.auth import SECURITY_SCHEMES, ScopedRoute, is_open
from api.compose import describe
from api.schemas.oauth import OAUTH_ERROR_REF
from governance.access import MEANING, Scope
from pipelines.gold.customer_360 import dataset
from tests.fixtures.serving import Served

KEPT = Path(__file__).parents[2] / "docs" / "openapi.json"
DOCUMENT: dict[str, Any] = orjson.loads(describe())
OPERATIONS = [
    (path, method, operation) for path, item in DOCUMENT["paths"].items() for method, operation in item.items()
]
NAMES = [f"{method.upper()} {path}" for path, method, _ in OPERATIONS]


def validator(ref: str) -> jsonschema.protocols.Validator:
    schema = {"$ref": f"#/components/schemas/{ref}", "components": DOCUMENT["components"]}
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


def test_the_kept_document_is_current() -> None:
    assert KEPT.read_bytes() == describe(), "write it anew: python -m api.openapi > docs/openapi.json"


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=NAMES)
class TestEveryOperation:
    def test_it_is_described(self, path: str, method: str, operation: dict[str, Any]) -> None:
        assert operation["summary"]
        assert operation["description"]
        assert operation["operationId"]
        assert operation["tags"]
        assert all(parameter["description"] for parameter in operation.get("parameters", []))

    def test_it_needs_a_key_with_a_scope_unless_it_is_open(
        self, path: str, method: str, operation: dict[str, Any]
    ) -> None:
        if is_open(path):
            assert "security" not in operation
            return
        (scope,) = operation["x-scopes"]
        assert scope in set(Scope)
        assert operation["security"] == [{name: [scope]} for name in SECURITY_SCHEMES]
        assert {"401", "403", "503"} <= set(operation["responses"])

    def test_the_server_refuses_it_without_a_key_unless_it_is_open(
        self, path: str, method: str, operation: dict[str, Any], served: Served
    ) -> None:
        response = served.client.request(method, re.sub(r"\{\w+\}", "C1", path))
        code = response.json().get("code") if response.status_code != HTTPStatus.OK else None
        assert (code == "auth.unauthenticated") is not is_open(path)

    def test_every_answer_with_a_body_has_a_schema_and_examples_that_fit_it(
        self, path: str, method: str, operation: dict[str, Any]
    ) -> None:
        for status, response in operation["responses"].items():
            assert response["description"]
            if status in {"204", "304"}:
                assert "content" not in response
                continue
            ((kind, content),) = response["content"].items()
            if kind in {"text/event-stream", "text/plain"}:
                assert content["example"]
                continue
            is_plain = status.startswith("2") or content["schema"] == OAUTH_ERROR_REF
            assert kind == ("application/json" if is_plain else "application/problem+json")
            examples = (
                [content["example"]]
                if "example" in content
                else [item["value"] for item in content["examples"].values()]
            )
            assert examples
            for example in examples:
                validator(content["schema"]["$ref"].rpartition("/")[2]).validate(example)
                assert is_plain or str(example["status"]) == status


def test_no_route_is_outside_of_the_document_or_without_a_scope_but_the_open_ones(served: Served) -> None:
    documented = {(path, method) for path, method, _ in OPERATIONS}
    for route in served.app.routes:
        assert isinstance(route, APIRoute)
        if is_open(route.path_format):
            continue
        assert isinstance(route, ScopedRoute)
        assert {(route.path_format, method.lower()) for method in route.methods or ()} <= documented


def test_every_field_of_the_profile_is_documented_with_its_comment_and_class() -> None:
    properties = DOCUMENT["components"]["schemas"]["CustomerProfile"]["properties"]
    assert list(properties) == [*dataset.column_names, "meta"]
    for column in dataset.columns:
        assert properties[column.name]["description"] == column.comment
        assert properties[column.name].get("x-class", "public").startswith("pii.") is column.is_pii


@pytest.mark.parametrize("customer_id", [f"C{i}" for i in range(14)])
def test_what_is_served_is_what_is_documented(unpublished: Served, customer_id: str) -> None:
    """Every column is NULL in some of these rows."""
    unpublished.publish([f"C{i}" for i in range(14)], version=1)
    for key in (unpublished.reader, unpublished.officer):
        validator("CustomerProfile").validate(unpublished.get(f"/customers/{customer_id}", key).json())
    validator("Problem").validate(unpublished.get("/customers/nobody", unpublished.reader).json())


def test_the_schema_would_notice(served: Served) -> None:
    body = served.get("/customers/C1", served.officer).json()
    for change in (
        {"gross_amount": 12.5},
        {"gross_amount": "12.5"},
        {"customer_id": None},
        {"orders_count": "3"},
        {"meta": {}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            validator("CustomerProfile").validate(body | change)


def test_every_scope_is_told_in_a_sentence() -> None:
    flow = DOCUMENT["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]
    assert set(flow["scopes"]) == set(MEANING) == set(Scope)
    assert all(f"- `{scope}`: {MEANING[scope]}" in DOCUMENT["info"]["description"] for scope in Scope)


def test_the_served_document_is_the_same(served: Served) -> None:
    assert served.get("/openapi.json").content == describe()
