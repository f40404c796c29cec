from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from starlette.testclient import TestClient

from api.app import create_app
from api.compose import build, open_store
from api.routers.health import Check, health_router
from governance.audit import AuditTrail
from governance.callers import Callers
from governance.tokens import Tokens
from kit.db import Database
from kit.keyring import KeyRing
from kit.settings import Settings
from kit.telemetry import Telemetry
from lakehouse.online.encode import ProfileEncoder
from lakehouse.online.store import Header, OnlineStoreUnavailable
from pipelines.gold.customer_360 import dataset
from tests.fixtures.serving import PUBLISHED_AT, Served, rows_of


def test_the_process_is_alive_whatever_it_lacks(unpublished: Served) -> None:
    response = unpublished.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_it_is_not_ready_before_the_first_publication_and_says_what_to_do(unpublished: Served) -> None:
    response = unpublished.get("/readyz")
    assert (response.status_code, response.json()["code"]) == (503, "service.not_ready")
    assert response.json()["checks"] == {
        "online_store": "no customers are published yet; run the pipeline",
        "callers": None,
        "audit": None,
    }
    unpublished.publish([], version=1)
    response = unpublished.get("/readyz")
    assert (response.status_code, response.json()) == (
        200,
        {"status": "ready", "checks": {"online_store": None, "callers": None, "audit": None}},
    )


def test_it_is_alive_but_not_ready_without_a_control_database(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "none", database_url="")
    with TestClient(build(settings)) as client:
        assert client.get("/healthz").status_code == 200
        assert "migrated" in client.get("/readyz").json()["checks"]["callers"]
        assert client.get("/customers/C1", headers={"X-API-Key": "c360_x"}).status_code == 503


def test_a_server_started_before_the_first_publication_finds_the_store_when_it_comes(
    served: Served, tmp_path: Path
) -> None:
    settings = served.settings.model_copy(update={"home": tmp_path / "other", "database_url": served.database.url})
    with TestClient(build(settings)) as client:
        key = {"X-API-Key": served.reader}
        assert client.get("/customers/C1", headers=key).json()["code"] == "customer.not_published"
        encoder = ProfileEncoder(dataset)
        header = Header(dataset.name, 1, date(2026, 2, 1), PUBLISHED_AT, encoder.fields)
        with open_store(settings, writable=True) as writer:
            writer.apply(encoder.view, encoder.encode(rows_of(dataset, ["C1"])), (), header, after=None)
        assert client.get("/customers/C1", headers=key).json()["customer_id"] == "C1"
        assert client.get("/readyz").status_code == 200


def test_checks_that_are_handed_in_count_and_may_fail() -> None:
    def unreachable() -> str | None:
        raise OnlineStoreUnavailable("it does not answer")

    checks = [Check("good", lambda: None), Check("bad", lambda: "do this"), Check("gone", unreachable)]
    database, ring = Database("sqlite://"), KeyRing(Path("nowhere"))
    app = create_app(
        routers=[health_router(checks)],
        callers=Callers(database, Tokens(ring, "https://c360.example")),
        trail=AuditTrail(database, ring, name="test"),
        telemetry=Telemetry(),
        profiles=dataset,
    )
    response = TestClient(app).get("/readyz")
    assert response.json()["detail"] == "not ready: bad, gone"
    assert response.json()["checks"] == {"good": None, "bad": "do this", "gone": "it does not answer"}


def test_opening_for_reading_creates_nothing(tmp_path: Path) -> None:
    with open_store(Settings(home=tmp_path / "none")) as store:
        assert store.header("customers") is None
    assert not (tmp_path / "none").exists()


def test_the_documentation_refers_to_no_other_host_and_all_it_refers_to_is_there(served: Served) -> None:
    assert served.get("/").headers["location"] == "docs"
    page = served.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "unsafe-inline" not in page.headers["content-security-policy"].partition("style-src")[0]
    assert "://" not in page.text
    references = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(references) == 4
    for reference in references:
        assert served.get(f"/{reference}").status_code == 200
    assert b"SwaggerUIBundle" in served.get("/docs/swagger-ui-bundle.js").content
    assert "validatorUrl: null" in served.get("/docs/start.js").text
    assert served.get("/docs/..%2Fmain.py").status_code == 404
