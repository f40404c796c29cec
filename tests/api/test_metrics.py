"""The figures that Prometheus reads: right, few, and without an id."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from kit.logging import correlation
from kit.telemetry import BOUNDS, Telemetry, gauge
from tests.fixtures.serving import Served
from workers import queue
from workers.presence import Presence

LOOKUP = {"method": "GET", "route": "/customers/{customer_id}", "status": "200"}


def figures(rendered: str) -> list[tuple[str, Mapping[str, str], float]]:
    families = text_string_to_metric_families(rendered)
    return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]


def scraped(served: Served) -> list[tuple[str, Mapping[str, str], float]]:
    response = served.get("/metrics", served.officer)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    return figures(response.text)


def value(found: list[tuple[str, Mapping[str, str], float]], name: str, **labels: str) -> float:
    (one,) = [number for seen, of, number in found if seen == name and dict(of) == labels]
    return one


def test_requests_are_counted_by_route_and_status(served: Served) -> None:
    for customer in ("C1", "C2", "nobody"):
        served.get(f"/customers/{customer}", served.reader)
    served.get("/customers/C1")
    found = scraped(served)
    name = "c360_http_request_seconds_count"
    assert value(found, name, **LOOKUP) == 2
    assert value(found, name, **{**LOOKUP, "status": "404"}) == 1
    assert value(found, name, method="GET", route="none", status="401") == 1
    assert value(found, "c360_http_request_seconds_bucket", le="+Inf", **LOOKUP) == 2


def test_no_label_holds_an_id_and_paths_that_do_not_exist_make_no_new_ones(served: Served) -> None:
    for number in range(20):
        served.get(f"/customers/X{number}", served.reader)
        served.get(f"/nowhere/{number}", served.reader)
    labels = [tuple(of.items()) for name, of, _ in scraped(served) if name == "c360_http_request_seconds_count"]
    assert len(labels) <= 3
    assert "X1" not in json.dumps(labels)


def test_the_figures_of_the_parts_are_there(served: Served) -> None:
    with served.database.transaction() as session:
        queue.enqueue(session, pipeline="daily", as_of=date(2026, 1, 1), trigger="test", requested_by="test")
    with served.database.transaction() as session:
        session.query(queue.Run).one().not_before -= timedelta(hours=1)
    Presence("w1", 2).show(served.database)
    found = scraped(served)
    assert value(found, "c360_workers", state="alive") == 1
    assert value(found, "c360_workers", state="silent") == 0
    assert 0 <= value(found, "c360_worker_heartbeat_age_seconds") < 30
    assert value(found, "c360_runs", state="queued") == 1
    assert value(found, "c360_runs", state="running") == 0
    assert value(found, "c360_queue_wait_seconds") >= 3600
    assert value(found, "c360_online_version") == 7
    assert value(found, "c360_audit_lag_seconds") >= 0
    assert {of["of"]: number for name, of, number in found if name == "c360_figures_failed"} == {
        "audit": 0,
        "online_store": 0,
        "queue": 0,
    }


def test_a_part_that_fails_keeps_no_other_back(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Any:
        raise ValueError("ada@example.org")

    telemetry = Telemetry()
    telemetry.figures.add("broken", broken)
    telemetry.figures.add("whole", lambda: [gauge("c360_whole", "Whole.", 3)])
    found = figures(telemetry.render().decode())
    assert value(found, "c360_whole") == 3
    assert value(found, "c360_figures_failed", of="broken") == 1
    assert "ada@example.org" not in caplog.text


@pytest.mark.parametrize(("seconds", "bound"), [(BOUNDS[0], BOUNDS[0]), (BOUNDS[0] * 1.01, BOUNDS[1]), (99.0, "+Inf")])
def test_a_latency_counts_in_the_first_bucket_that_holds_it(seconds: float, bound: float | str) -> None:
    telemetry = Telemetry()
    telemetry.requests.observe("GET", "/x", 200, seconds)
    buckets = [
        (of["le"], number) for name, of, number in figures(telemetry.render().decode()) if name.endswith("_bucket")
    ]
    assert next(le for le, number in buckets if number == 1) == str(bound)


def test_a_key_without_the_scope_reads_no_figures(served: Served) -> None:
    assert served.get("/metrics", served.reader).status_code == 403


def test_the_run_keeps_the_request_that_asked_for_it(served: Served) -> None:
    headers = {"Authorization": f"Bearer {served.officer}", "Idempotency-Key": "k1", "X-Request-Id": "r-4711"}
    answer = served.client.post("/pipelines/daily/runs", json={}, headers=headers)
    assert answer.status_code == 202, answer.text
    with served.database.reading() as session:
        assert session.query(queue.Run).one().request_id == "r-4711"


def test_what_is_logged_in_a_request_has_its_id(served: Served) -> None:
    said: list[tuple[str, str | None]] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append((record.name, correlation("request_id")))

    listener = Listener()
    logging.getLogger("api").addHandler(listener)
    with served.database.transaction() as session:
        session.execute(text("DROP TABLE run"))
    assert served.get("/runs", served.officer, **{"x-request-id": "r-9"}).status_code == 503
    logging.getLogger("api").removeHandler(listener)
    assert said
    assert {of for _, of in said} == {"r-9"}
