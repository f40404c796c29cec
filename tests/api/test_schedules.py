"""``/schedules``, from the outside."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from kit.db import Database
from tests.fixtures.serving import Served
from workers import firing
from workers.queue import get_run
from workers.states import RunState

WEEKDAYS = {"pipeline": "daily", "cron": "30 7 * * 1-5", "time_zone": "Europe/Berlin"}


def put(served: Served, name: str, plan: dict[str, Any]) -> Any:
    headers = {"Authorization": f"Bearer {served.officer}"}
    return served.client.put(f"/schedules/{name}", json=plan, headers=headers)


def delete(served: Served, name: str) -> Any:
    return served.client.delete(f"/schedules/{name}", headers={"Authorization": f"Bearer {served.officer}"})


def fired(database: Database) -> dict[str, str]:
    """What is due now, by the schedule that it is requested by."""
    return {run.requested_by: run.id for run in firing.enqueue_due(database)}


def test_a_schedule_is_made_read_changed_and_forgotten(served: Served) -> None:
    made = put(served, "mornings", WEEKDAYS)
    assert (made.status_code, made.headers["location"]) == (201, "/schedules/mornings")
    ticks = [datetime.fromisoformat(tick).astimezone(ZoneInfo("Europe/Berlin")) for tick in made.json()["next_ticks"]]
    assert len(ticks) == 5
    assert min(ticks) > datetime.now(UTC)
    assert {(tick.hour, tick.minute, tick.weekday() < 5) for tick in ticks} == {(7, 30, True)}
    assert served.get("/schedules/mornings", served.officer).json() == made.json()

    again = put(served, "mornings", WEEKDAYS)
    assert (again.status_code, again.json()) == (200, made.json())

    changed = put(served, "mornings", WEEKDAYS | {"cron": "0 9 * * *", "pipeline": "declarative"}).json()
    assert (changed["pipeline"], changed["created_at"]) == ("declarative", made.json()["created_at"])
    assert changed["next_ticks"] != made.json()["next_ticks"]

    assert delete(served, "mornings").status_code == 204
    for gone in (served.get("/schedules/mornings", served.officer), delete(served, "mornings")):
        assert (gone.status_code, gone.json()["code"]) == (404, "schedule.unknown")


def test_a_paused_schedule_says_no_next_tick_and_stays_paused_when_changed(served: Served) -> None:
    put(served, "mornings", WEEKDAYS)
    paused = served.post("/schedules/mornings/pause", served.officer).json()
    assert paused["paused_at"]
    assert paused["next_ticks"] == []
    changed = put(served, "mornings", WEEKDAYS | {"cron": "0 9 * * *"}).json()
    assert (changed["paused_at"], changed["next_ticks"]) == (paused["paused_at"], [])
    resumed = served.post("/schedules/mornings/resume", served.officer).json()
    assert (resumed["paused_at"], resumed["cron"], len(resumed["next_ticks"])) == (None, "0 9 * * *", 5)


def test_a_run_that_is_kept_alive_streams_and_is_begun_again_by_a_new_plan(served: Served) -> None:
    put(served, "live", {"pipeline": "daily", "kind": "continuous"})
    first = fired(served.database)["schedule:live"]
    with served.database.reading() as session:
        assert get_run(session, first).parameters == {"trigger": "streaming"}
    put(served, "live", {"pipeline": "declarative", "kind": "continuous"})
    with served.database.reading() as session:
        assert get_run(session, first).state == RunState.CANCELLED
    second = fired(served.database)["schedule:live"]
    with served.database.reading() as session:
        assert get_run(session, second).pipeline == "declarative"


@pytest.mark.parametrize(
    ("name", "plan", "status", "code", "says"),
    [
        ("x", {"pipeline": "daily", "cron": "at dawn"}, 400, "schedule.invalid", "as in '0 6 * * *'"),
        ("x", {"pipeline": "daily"}, 400, "schedule.invalid", "needs an expression"),
        ("x", WEEKDAYS | {"time_zone": "Europe/Atlantis"}, 400, "schedule.invalid", "Europe/Berlin"),
        ("x", WEEKDAYS | {"kind": "continuous"}, 400, "schedule.invalid", "a continuous one has none"),
        ("Every%20day", WEEKDAYS, 400, "schedule.invalid", "begins with a letter"),
        ("x", WEEKDAYS | {"pipeline": "nightly"}, 404, "pipeline.unknown", "there is daily"),
        ("x", WEEKDAYS | {"every": "day"}, 422, "http.invalid_request", "errors"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_to_do(
    served: Served, name: str, plan: dict[str, Any], status: int, code: str, says: str
) -> None:
    refused = put(served, name, plan)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert refused.headers["content-type"] == "application/problem+json"
    assert says in refused.json()["detail"]
    assert served.get("/schedules/x", served.officer).status_code == 404


def test_the_list_has_pages(served: Served) -> None:
    for number in range(3):
        put(served, f"s{number}", WEEKDAYS)
    names, cursor = [], ""
    while True:
        page = served.get(f"/schedules?limit=2{cursor}", served.officer).json()
        names += [schedule["name"] for schedule in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert names == ["daily", "declarative", "s0", "s1", "s2", "system"]
