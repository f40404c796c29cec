from __future__ import annotations

import logging
import time

import pytest
from fastapi import FastAPI

from api.auth import HotRoute, InvalidRoute, ScopedRoute
from governance.access import Scope
from governance.api_keys import create_key, revoke_key
from governance.models import Principal
from tests.fixtures.serving import Served


@pytest.mark.parametrize("path", ["/customers/C1", "/customers/nobody", "/nothing", "/docsx", "/healthz/", "/Healthz"])
def test_every_path_that_is_not_open_wants_a_key_even_one_that_does_not_exist(served: Served, path: str) -> None:
    response = served.get(path)
    assert (response.status_code, response.json()["code"]) == (401, "auth.unauthenticated")
    assert response.headers["www-authenticate"] == 'Bearer realm="customer360"'
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["/%63ustomers/C1", "/docs/../customers/C1", "/docs/%2e%2e/customers/C1", "/healthz%2F..%2Fcustomers%2FC1"]
)
def test_another_spelling_of_a_path_is_no_way_around_the_gate(served: Served, path: str) -> None:
    response = served.get(path)
    assert response.status_code in {401, 404}
    assert "customer_id" not in response.text


def test_a_key_is_taken_from_either_header(served: Served) -> None:
    for headers in ({"Authorization": f"bearer  {served.reader}"}, {"X-API-Key": served.reader}):
        assert served.get("/customers/C1", **headers).status_code == 200
    basic_beside_it = {"Authorization": "Basic YTpi", "X-API-Key": served.reader}
    assert served.get("/customers/C1", **basic_beside_it).status_code == 200


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Basic YTpi", "Bearer \xff", "Bearer a b", "c360_x"])
def test_other_credentials_are_refused_and_not_repeated(served: Served, header: str) -> None:
    response = served.get("/customers/C1", Authorization=header.encode("latin-1"))  # type: ignore[arg-type]
    assert response.status_code == 401
    assert "YTpi" not in response.text


def test_a_mistyped_key_is_told_apart_from_one_that_is_not_valid(served: Served) -> None:
    mistyped = served.get("/customers/C1", served.reader[:-1] + ("a" if served.reader[-1] != "a" else "b"))
    assert mistyped.json()["code"] == "auth.malformed_key"
    assert mistyped.headers["www-authenticate"].endswith('error="invalid_token"')


def test_a_revoked_key_stops_working_while_the_server_runs(served: Served) -> None:
    with served.database.transaction() as session:
        issued = create_key(session, name="short", scopes=[Scope.PROFILES_READ])
    _until(served, issued.secret, 200)
    with served.database.transaction() as session:
        revoke_key(session, issued.id)
    _until(served, issued.secret, 401)


def test_a_key_without_the_scope_is_told_which_one_is_missing(served: Served) -> None:
    with served.database.transaction() as session:
        issued = create_key(session, name="from another release", scopes=[Scope.PROFILES_READ])
        session.get_one(Principal, issued.principal_id).scopes = "shares:read"
    _until(served, issued.secret, 403)
    response = served.get("/customers/C1", issued.secret)
    assert response.json()["code"] == "access.missing_scope"
    assert response.headers["www-authenticate"].endswith('error="insufficient_scope", scope="profiles:read"')


@pytest.mark.parametrize("route_class", [ScopedRoute, HotRoute])
def test_a_route_that_names_no_scope_cannot_be_made(route_class: type[ScopedRoute]) -> None:
    with pytest.raises(InvalidRoute, match="says no scope"):
        FastAPI().router.add_api_route("/open", lambda: None, route_class_override=route_class)


def test_no_log_line_holds_a_key_or_an_id(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        for key in (served.reader, served.reader + "x", "c360_nope"):
            served.get("/customers/C1", key)
            served.get("/customers/%ff", key)
    ours = "\n".join(
        record.getMessage() for record in caplog.records if not record.name.startswith(("http", "asyncio"))
    )
    assert served.reader not in ours
    assert "C1" not in ours


def _until(served: Served, secret: str, status: int) -> None:
    deadline = time.monotonic() + 20
    while served.get("/customers/C1", secret).status_code != status:
        assert time.monotonic() < deadline, f"it did not become {status}"
        time.sleep(0.05)
