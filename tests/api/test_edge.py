"""What every response has, whatever it answers; and what no response and no log line ever has."""

from __future__ import annotations

import logging

import pytest
from fastapi import Query
from starlette.testclient import TestClient

from lakehouse.online.store import DamagedProfile, OnlineStoreUnavailable
from tests.fixtures.serving import Served

SECRET = "ada@example.com"
EVERYWHERE = [
    "/customers/C1",
    "/customers/nobody",
    "/nothing",
    "/healthz",
    "/readyz",
    "/docs",
    "/docs/start.js",
    "/docs/none",
    "/openapi.json",
    "/",
]


@pytest.mark.parametrize("path", EVERYWHERE)
@pytest.mark.parametrize("with_key", [True, False])
def test_every_response_has_an_id_and_the_protective_headers(served: Served, path: str, with_key: bool) -> None:
    response = served.get(path, served.reader if with_key else None)
    assert len(response.headers["x-request-id"]) == 24
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["cache-control"]
    if response.status_code >= 400:
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["request_id"] == response.headers["x-request-id"]
        assert response.json()["status"] == response.status_code


@pytest.mark.parametrize(
    ("sent", "taken"),
    [("abc-1.2_Z", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("a@b", False), ("", False)],
)
def test_a_callers_own_request_id_is_taken_if_it_is_harmless(served: Served, sent: str, taken: bool) -> None:
    assert (served.get("/healthz", **{"X-Request-ID": sent}).headers["x-request-id"] == sent) is taken


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_a_method_that_is_not_there_is_a_405_problem(served: Served, method: str) -> None:
    response = served.client.request(method, "/customers/C1", headers={"X-API-Key": served.reader})
    assert (response.status_code, response.json()["code"]) == (405, "http.method_not_allowed")
    assert response.headers["allow"] == "GET"


def test_bodies_are_limited_and_must_say_their_length(served: Served) -> None:
    large = served.client.post("/customers/C1", content=b"x" * (2 << 20), headers={"X-API-Key": served.reader})
    assert (large.status_code, large.json()["code"]) == (413, "http.body_too_large")
    chunked = served.client.post("/customers/C1", content=iter([b"x"]), headers={"X-API-Key": served.reader})
    assert (chunked.status_code, chunked.json()["code"]) == (411, "http.length_required")


def test_what_nobody_foresaw_says_nothing_to_the_caller_and_no_value_to_the_log(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(view: str, key: str) -> None:
        raise RuntimeError(f"could not read {SECRET}")

    monkeypatch.setattr(served.store, "get", fail)
    response = served.get("/customers/C1", served.reader)
    assert (response.status_code, response.json()["code"]) == (500, "fault")
    assert SECRET not in response.text
    assert SECRET not in caplog.text
    (line,) = [record.getMessage() for record in caplog.records if record.name == "api.edge"]
    assert response.headers["x-request-id"] in line
    assert "RuntimeError in fail" in line


def test_a_fault_of_ours_is_logged_with_its_code_and_told_without_its_text(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(view: str, key: str) -> None:
        raise DamagedProfile("inner workings")

    monkeypatch.setattr(served.store, "get", fail)
    response = served.get("/customers/C1", served.reader)
    assert (response.status_code, response.json()["code"]) == (500, "online.damaged_profile")
    assert "inner workings" not in response.text
    assert caplog.records[-1].levelno == logging.ERROR
    assert "inner workings" in caplog.text


def test_a_part_that_does_not_answer_is_a_503_that_says_when_to_come_back(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(view: str, key: str) -> None:
        raise OnlineStoreUnavailable("the online store cannot be read")

    monkeypatch.setattr(served.store, "get", fail)
    response = served.get("/customers/C1", served.reader)
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")


def test_a_request_of_the_wrong_form_is_told_where_and_never_what(served: Served) -> None:
    @served.app.get("/docs/probes/one")
    async def probe(day: int = Query()) -> None: ...

    client = TestClient(served.app)
    response = client.get("/docs/probes/one", params={"day": SECRET})
    assert (response.status_code, response.json()["code"]) == (422, "http.invalid_request")
    assert response.json()["errors"] == [{"location": ["query", "day"], "type": "int_parsing"}]
    assert SECRET not in response.text
