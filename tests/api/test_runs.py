"""Runs over HTTP: asked for, listed, read, cancelled, repeated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kit.clock import today
from tests.fixtures.runs import Runs
from tests.fixtures.serving import Served
from workers import claims


@pytest.fixture
def runs(served: Served) -> Runs:
    """The queue behind the API."""
    return Runs(served.database)


def ask(served: Served, **wishes: Any) -> Any:
    response = served.post("/pipelines/daily/runs", served.officer, wishes or None)
    assert response.status_code == 202, response.text
    return response.json()


class TestPipelines:
    def test_are_listed_with_their_graph(self, served: Served) -> None:
        items = {item["name"]: item for item in served.get("/pipelines", served.officer).json()["items"]}
        assert {"daily", "system"} <= set(items)
        datasets = {dataset["name"]: dataset for dataset in items["daily"]["datasets"]}
        assert datasets["bronze.crm_customers"]["flow"] == "auto_loader"
        assert datasets["bronze.crm_customers"]["source"] == "crm/customers/*.json"
        assert "silver.customers" in datasets["gold.customer_360"]["inputs"]
        assert datasets["gold.customer_360"]["is_served"] is True
        names = list(datasets)
        for name, dataset in datasets.items():
            assert all(names.index(read) < names.index(name) for read in dataset["inputs"]), name
        assert served.get("/pipelines/daily", served.officer).json() == items["daily"]

    def test_an_unknown_one(self, served: Served) -> None:
        for response in (
            served.get("/pipelines/weekly", served.officer),
            served.post("/pipelines/weekly/runs", served.officer),
        ):
            assert (response.status_code, response.json()["code"]) == (404, "pipeline.unknown")


class TestCreate:
    def test_a_run_is_in_the_queue_when_the_answer_comes(self, served: Served, runs: Runs) -> None:
        response = served.post("/pipelines/daily/runs", served.officer)
        run = response.json()
        assert (response.status_code, response.headers["location"]) == (202, f"/runs/{run['id']}")
        assert (run["state"], run["pipeline"], run["as_of"], run["trigger"]) == (
            "queued", "daily", today().isoformat(), "api",
        )  # fmt: skip
        assert runs.must_claim().id == run["id"]
        assert served.get(response.headers["location"], served.officer).json()["state"] == "running"

    def test_wishes_are_kept(self, served: Served) -> None:
        before = datetime.now(UTC)
        wishes = {"as_of": "2026-01-31", "full_refresh": True, "engine": "spark", "priority": 2, "delay_seconds": 3600}
        run = ask(served, **wishes)
        assert {name: run[name] for name in wishes if name != "delay_seconds"} | {"delay_seconds": 3600} == wishes
        assert datetime.fromisoformat(run["not_before"]) >= before + timedelta(hours=1)

    @pytest.mark.parametrize(
        "wishes",
        [
            {"as_of": "yesterday"},
            {"as_of": "1815-12-10"},
            {"priority": 10},
            {"engine": "abacus"},
            {"delay_seconds": -1},
            {"delay_seconds": 10**9},
            {"surname": "Lovelace"},
            ["daily"],
        ],
    )
    def test_what_makes_no_sense_is_refused_without_an_echo(self, served: Served, wishes: Any) -> None:
        response = served.post("/pipelines/daily/runs", served.officer, wishes)
        assert (response.status_code, response.json()["code"]) == (422, "http.invalid_request")
        assert "Lovelace" not in response.text
        assert "abacus" not in response.text
        assert served.get("/runs", served.officer).json()["items"] == []

    def test_unless_one_is_active_that_does_the_same(self, served: Served) -> None:
        first = ask(served, unless_active=True)
        assert ask(served, unless_active=True)["id"] == first["id"]
        assert ask(served, unless_active=True, full_refresh=True)["id"] != first["id"]
        assert ask(served)["id"] != first["id"]


class TestList:
    def test_pages_show_each_run_once_newest_first(self, served: Served) -> None:
        asked = [ask(served)["id"] for _ in range(5)]
        seen: list[str] = []
        cursor = ""
        while cursor is not None:
            page = served.get(f"/runs?limit=2{cursor and f'&cursor={cursor}'}", served.officer).json()
            seen += [run["id"] for run in page["items"]]
            cursor = page["next_cursor"]
        assert seen == sorted(asked, reverse=True)

    def test_filters_combine_and_belong_to_the_cursor(self, served: Served, runs: Runs) -> None:
        first, second, third = (ask(served)["id"] for _ in range(3))
        claimed = runs.must_claim()
        runs.do(claims.fail, claimed, code="x", message="it failed")
        served.post(f"/runs/{second}/cancel", served.officer)

        def ids(query: str) -> set[str]:
            return {run["id"] for run in served.get(f"/runs?{query}", served.officer).json()["items"]}

        ended = {claimed.id, second}
        assert ids("state=failed&state=cancelled") == ended
        assert ids("state=queued&pipeline=daily&trigger=api") == {first, second, third} - ended
        assert ids("pipeline=system") == ids("trigger=cli") == ids("parent_id=run_1") == set()
        cursor = served.get("/runs?limit=1&state=queued&state=failed", served.officer).json()["next_cursor"]
        assert served.get(f"/runs?limit=1&state=failed&state=queued&cursor={cursor}", served.officer).status_code == 200
        refused = served.get(f"/runs?limit=1&cursor={cursor}", served.officer)
        assert (refused.status_code, refused.json()["code"]) == (400, "api.invalid_cursor")


class TestRead:
    def test_what_came_of_it(self, served: Served, runs: Runs) -> None:
        run = ask(served)
        part = runs.enqueue("system", parent_id=run["id"], keys=[])
        claimed = runs.must_claim(run_id=run["id"])
        flow = {"inputs": {"bronze.x": 1}, "version_after": 2, "rows_in": 5, "rows_written": 3, "quarantined": 2}
        record = {"commits": 2, "datasets": {"silver.x": flow | {"expectations": {"known": 2, "sane": 0}}}}
        runs.do(claims.finish, claimed, record)
        read = served.get(f"/runs/{run['id']}", served.officer).json()
        assert (read["state"], read["record"], read["children"]) == ("succeeded", record, [part.id])
        assert read["outcome"] == {
            "rows_in": 5,
            "rows_out": 0,
            "rows_written": 3,
            "rows_deleted": 0,
            "dropped": 0,
            "quarantined": 2,
            "failed": {"silver.x.known": 2},
        }
        assert read["duration_seconds"] >= 0
        assert read["waited_seconds"] >= 0
        assert (read["versions_in"], read["versions_out"]) == ({"bronze.x": 1}, {"silver.x": 2})
        assert read["finished_at"].endswith("Z")

    def test_why_it_failed(self, served: Served, runs: Runs) -> None:
        run = ask(served)
        runs.do(claims.fail, runs.must_claim(), code="delta.unreadable", message="the table cannot be read")
        read = served.get(f"/runs/{run['id']}", served.officer).json()
        assert read["error"] == {
            "code": "delta.unreadable",
            "message": "the table cannot be read",
            "error_class": "permanent",
        }

    @pytest.mark.parametrize(
        ("method", "path"), [("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry")]
    )
    def test_an_unknown_one(self, served: Served, method: str, path: str) -> None:
        headers = {"Authorization": f"Bearer {served.officer}"}
        response = served.client.request(method, f"/runs/run_none{path}", headers=headers)
        assert (response.status_code, response.json()["code"]) == (404, "run.unknown")


class TestCancelAndRetry:
    def test_a_queued_run_is_cancelled_at_once_and_may_be_repeated(self, served: Served) -> None:
        run = ask(served, as_of="2026-01-31", priority=1)
        for _ in range(2):
            response = served.post(f"/runs/{run['id']}/cancel", served.officer)
            assert (response.status_code, response.json()["state"]) == (202, "cancelled")
        response = served.post(f"/runs/{run['id']}/retry", served.officer)
        again = response.json()
        assert (response.status_code, response.headers["location"]) == (202, f"/runs/{again['id']}")
        assert (again["retry_of"], again["as_of"], again["priority"]) == (run["id"], "2026-01-31", 1)

    def test_a_running_one_is_told_to_stop(self, served: Served, runs: Runs) -> None:
        run = ask(served)
        claimed = runs.must_claim()
        refused = served.post(f"/runs/{run['id']}/retry", served.officer)
        assert (refused.status_code, refused.json()["code"]) == (409, "run.active")
        response = served.post(f"/runs/{run['id']}/cancel", served.officer)
        assert (response.status_code, response.json()["state"]) == (202, "running")
        assert response.json()["cancel_requested_at"] is not None
        assert runs.do(claims.heartbeat, claimed, seconds=60)
        runs.do(claims.finish, claimed, {})
        refused = served.post(f"/runs/{run['id']}/cancel", served.officer)
        assert (refused.status_code, refused.json()["code"]) == (409, "run.ended")


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/pipelines", "pipelines:read"),
        ("GET", "/pipelines/daily", "pipelines:read"),
        ("POST", "/pipelines/daily/runs", "runs:write"),
        ("GET", "/runs", "runs:read"),
        ("GET", "/runs/run_1", "runs:read"),
        ("GET", "/runs/run_1/events", "runs:read"),
        ("POST", "/runs/run_1/cancel", "runs:write"),
        ("POST", "/runs/run_1/retry", "runs:write"),
    ],
)
def test_who_may(served: Served, method: str, path: str, scope: str) -> None:
    response = served.client.request(method, path, headers={"Authorization": f"Bearer {served.reader}"})
    assert response.status_code == 403
    assert f'scope="{scope}"' in response.headers["www-authenticate"]
