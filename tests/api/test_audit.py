"""What requests leave in the trail, and what ``GET /audit`` tells of it."""

from __future__ import annotations

import json
import sqlite3
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select
from starlette.testclient import TestClient

from api.app import create_app
from api.routers.customers import customers_router
from governance.audit import AuditTrail
from governance.callers import Callers
from governance.models import ApiKey
from governance.tokens import Tokens
from kit.telemetry import Telemetry
from pipelines.gold.customer_360 import dataset as profiles
from tests.fixtures.command import Command, serving
from tests.fixtures.serving import Served
from tests.governance.audit.trails import breaks, kept, wait_until

PERSONAL = "pii."


def events(served: Served, count: int, **filters: str) -> list[dict[str, Any]]:
    """The newest events once there are so many, oldest first."""
    found: list[dict[str, Any]] = []

    def are_there() -> bool:
        query = "&".join(f"{name}={value}" for name, value in filters.items())
        found[:] = served.get(f"/audit?limit=200&{query}", served.officer).json()["items"]
        return len(found) >= count

    wait_until(are_there)
    return found[::-1]


def test_a_read_says_who_saw_whom_and_which_classes(served: Served) -> None:
    served.get("/customers/C1", served.reader, **{"x-request-id": "r1"})
    tag = served.get("/customers/C1", served.officer, **{"x-request-id": "r2"}).headers["etag"]
    served.get("/customers/C1", served.officer, **{"x-request-id": "r3", "if-none-match": tag})
    served.get("/customers/nobody", served.officer, **{"x-request-id": "r4"})
    plain, personal, unchanged, absent = events(served, 4, action="get_customer")
    assert [event["request_id"] for event in (plain, personal, unchanged, absent)] == ["r1", "r2", "r3", "r4"]
    assert [event["status"] for event in (plain, personal, unchanged, absent)] == [200, 200, 304, 404]
    assert plain["principal"] != personal["principal"] == unchanged["principal"]
    assert PERSONAL not in plain["params"]["classes"]
    assert PERSONAL in personal["params"]["classes"]
    assert personal["params"]["version"] == "7"
    assert plain["customer_hash"] == personal["customer_hash"] != absent["customer_hash"]
    assert absent["error"] == "customer.not_found"


def test_the_trail_of_a_customer_is_found_by_the_id_which_stands_nowhere_in_it(served: Served) -> None:
    for customer in ("C1", "C2", "C1"):
        served.get(f"/customers/{customer}", served.officer)
    assert len(events(served, 2, customer="C1", action="get_customer")) == 2
    assert '"C1"' not in json.dumps(events(served, 3))
    told = [value for row in kept(served.database) for value in vars(row).values() if not isinstance(value, bytes)]
    assert "get_customer" in told
    assert "C1" not in repr(told)  # a digest's 32 bytes may be any


def test_refusals_are_recorded_each_with_what_was_tried(served: Served) -> None:
    served.get("/audit?customer=C1", served.reader)
    served.get("/customers/C1", "c360_wrong")
    served.get("/customers/C1")
    (denied,) = events(served, 1, action="list_audit_events", principal=_principal(served, "reader"))
    assert (denied["status"], denied["error"]) == (403, "access.missing_scope")
    malformed, nothing = [event for event in events(served, 2, action="authenticate") if event["status"] == 401]
    assert (malformed["error"], nothing["error"]) == ("auth.malformed_key", "auth.unauthenticated")
    assert malformed["principal"] is None
    assert malformed["source_hash"]
    assert malformed["source_hash"] == nothing["source_hash"]


def test_uses_of_a_key_that_succeed_are_recorded_by_the_first(served: Served) -> None:
    for _ in range(5):
        served.get("/customers/C1", served.reader)
    reader = _principal(served, "reader")
    assert len(events(served, 1, action="authenticate", principal=reader)) == 1


def test_changes_are_recorded_with_what_was_changed(served: Served) -> None:
    headers = {"Authorization": f"Bearer {served.officer}"}
    made = served.client.post("/principals", json={"name": "robot", "kind": "service"}, headers=headers)
    assert made.status_code == 201, made.text
    refused = served.client.post("/principals", json={"kind": "service"}, headers=headers)
    assert refused.status_code == 422
    (event,) = events(served, 1, action="create_principal")
    assert (event["principal"], event["status"]) == (_principal(served, "officer"), 201)
    assert event["params"]["location"] == made.headers["location"]
    served.client.post(
        "/oauth/token", data={"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"}
    )
    (failed,) = events(served, 1, action="create_token")
    assert failed["status"] >= 400


def test_a_change_is_told_with_it_once_and_a_refused_or_repeated_one_is_none(served: Served) -> None:
    headers = {"Authorization": f"Bearer {served.officer}", "Idempotency-Key": "k1"}
    made, again = (served.client.post("/groups", json={"name": "team_a"}, headers=headers) for _ in range(2))
    assert (made.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    taken = served.client.post("/groups", json={"name": "team_a"}, headers=headers | {"Idempotency-Key": "k2"})
    assert taken.status_code == 409
    assert served.client.delete("/groups/team_a", headers=headers).status_code == 204
    told = [row for row in kept(served.database) if row.service == "groups"]
    assert [(row.action, row.status) for row in told] == [("create_group", 201), ("delete_group", 204)]
    assert json.loads(told[1].params)["group"] == "team_a"
    assert told[1].request_id


def test_reading_the_trail_is_recorded_with_whose_part_was_read(served: Served) -> None:
    served.get("/customers/C1", served.officer)
    (read,) = events(served, 1, action="get_customer", customer="C1")
    assert any(
        event["customer_hash"] == read["customer_hash"] for event in events(served, 2, action="list_audit_events")
    )


def test_pages_follow_each_other_and_keep_their_filters(served: Served) -> None:
    for number in range(5):
        served.get(f"/customers/C{number % 2 + 1}", served.officer)
    everything = events(served, 5, action="get_customer")[::-1]
    listed, query = [], "/audit?action=get_customer&limit=2"
    cursor: str | None = ""
    while cursor is not None:
        page = served.get(query + (f"&cursor={cursor}" if cursor else ""), served.officer).json()
        listed += page["items"]
        cursor = page["next_cursor"]
    assert listed == everything
    first = served.get(query, served.officer).json()["next_cursor"]
    other = served.get(f"/audit?action=other&limit=2&cursor={first}", served.officer)
    assert (other.status_code, other.json()["code"]) == (400, "api.invalid_cursor")


@pytest.mark.parametrize(
    "query",
    [
        "since=0001-01-01T00:00:00%2B23:00",
        "until=9999-12-31T23:59:59-23:00",
        "since=2026-01-01",
        "customer=%00",
        "customer=ü",
    ],
)
def test_any_filter_is_answered(query: str, served: Served) -> None:
    assert served.get(f"/audit?{query}", served.officer).status_code == 200


def test_the_trail_is_whole_and_verified_from_the_command_line(served: Served, c360: Command) -> None:
    served.get("/customers/C1", served.officer)
    events(served, 1, action="get_customer")
    home = served.settings.home
    whole = c360(home, "audit", "verify", "--json")
    assert (whole.code, whole.document["whole"], whole.document["breaks"]) == (0, True, [])
    assert whole.document["rows"] >= 2
    listed = c360(home, "audit", "list", "--customer", "C1", "--json").document["events"]
    assert [event["action"] for event in listed] == ["get_customer"]
    with closing(sqlite3.connect(home / "control.db", timeout=30)) as connection:
        connection.execute("UPDATE audit_event SET principal = 'somebody else' WHERE action = 'get_customer'")
        connection.commit()
    broken = c360(home, "audit", "verify")
    assert broken.code == 1
    assert "is not the row that was written here" in broken.stdout


@pytest.fixture
def unwritable(served: Served) -> FastAPI:
    """The same store behind a trail that cannot be written."""
    ring = served.settings.key_ring()
    trail = AuditTrail(served.database, ring, name="test", refuse_seconds=0.0)
    callers = Callers(served.database, Tokens(ring, "https://c360.example"))
    return create_app(
        routers=[customers_router(served.store, profiles, "customers", trail)],
        callers=callers,
        trail=trail,
        telemetry=Telemetry(),
        profiles=profiles,
        resources=[callers],
    )


def test_personal_data_are_not_given_out_unrecorded(unwritable: FastAPI, served: Served) -> None:
    with TestClient(unwritable) as client:
        response = client.get("/customers/C1", headers={"Authorization": f"Bearer {served.officer}"})
    assert (response.status_code, response.json()["code"]) == (503, "audit.unavailable")
    assert response.headers["retry-after"]


def test_a_server_that_is_told_to_stop_has_recorded_every_answer(served: Served) -> None:
    home = served.settings.home
    with serving(home, "serve", "--port", "0", C360_ONLINE_MAP_MB="64") as (process, said):

        def ask_until_it_stops(client: int) -> tuple[int, int]:
            sent = answered = 0
            while True:
                request = urllib.request.Request(
                    f"{said['url']}/customers/C1",
                    headers={"Authorization": f"Bearer {served.reader}", "X-Request-Id": f"load-{client}-{sent}"},
                )
                sent += 1
                try:
                    with urllib.request.urlopen(request, timeout=30) as answer:
                        answer.read()
                except OSError:
                    return sent, answered
                answered += 1
                if sent == 50 and client == 0:
                    process.terminate()

        with ThreadPoolExecutor(4) as clients:
            counts = list(clients.map(ask_until_it_stops, range(4)))
        process.wait(60)
    recorded = [row for row in kept(served.database) if (row.request_id or "").startswith("load-")]
    answered, sent = sum(count[1] for count in counts), sum(count[0] for count in counts)
    assert answered >= 50
    assert answered <= len(recorded) <= sent
    assert len({row.request_id for row in recorded}) == len(recorded)
    assert breaks(served.database, served.settings.key_ring()) == []


def _principal(served: Served, name: str) -> str:
    """Who holds the key of that name."""
    with served.database.reading() as session:
        return session.scalars(select(ApiKey.principal_id).where(ApiKey.name == name)).one()
