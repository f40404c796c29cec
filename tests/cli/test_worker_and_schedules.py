"""``c360 worker`` and ``c360 schedule``, from the outside."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from kit.code_version import code_version
from kit.db import Database
from kit.settings import Settings
from pipelines.sample import land_sample
from tests.fixtures.command import Command, serving
from workers import queue
from workers.migrate import upgrade
from workers.states import FINAL, RunState


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_a_worker_carries_out_what_is_asked_for_and_leaves_in_good_order(home: Path) -> None:
    land_sample(home / "landing", customers=10, seed=7, until=date(2026, 5, 31))
    database = Database(Settings(home=home, database_url="").control_database_url)
    upgrade(database)
    with database.transaction() as session:
        run = queue.enqueue(
            session,
            pipeline="daily",
            as_of=date(2026, 6, 1),
            trigger="test",
            requested_by="test",
            parameters={"buckets": "2"},
        )
    with serving(home, "worker", C360_ONLINE_MAP_MB="64") as (worker, said):
        while run.state not in FINAL:
            assert worker.poll() is None
            time.sleep(0.05)
            with database.reading() as session:
                run = queue.get_run(session, run.id)
        with database.reading() as session:
            assert queue.presences(session).alive == 1
        worker.terminate()
        assert worker.wait() == 0
    with database.reading() as session:
        assert queue.presences(session).alive == 0, "it has left in good order"
    assert (run.state, run.worker, run.error_code) == (RunState.SUCCEEDED, said["worker"], None)
    assert run.record is not None
    assert run.record["online"]["customers"]["written"] > 0
    assert run.versions_out is not None
    assert run.versions_out["gold.customer_360"] >= 0
    assert run.versions_in is not None
    assert run.versions_in["silver.customers"] == run.versions_out["silver.customers"]
    assert (run.code_version or "").startswith(code_version().removesuffix(".dirty"))
    database.close()


class TestSchedules:
    def test_they_are_made_listed_paused_and_forgotten(self, home: Path, c360: Command) -> None:
        made = c360(
            home, "schedule", "create", "mornings", "--cron", "30 7 * * 1-5", "--time-zone", "Europe/Berlin", "--json"
        ).document
        assert (made["pipeline"], made["cron"], made["time_zone"]) == ("daily", "30 7 * * 1-5", "Europe/Berlin")
        assert datetime.fromisoformat(made["next_tick_at"]) > datetime.now(UTC)
        assert c360(home, "schedule", "pause", "mornings", "--json").document["paused_at"]
        listed = c360(home, "schedule", "list", "--json").document["schedules"]
        assert [schedule["name"] for schedule in listed] == ["daily", "declarative", "mornings", "system"]
        shown = c360(home, "schedule", "list").stdout
        assert "mornings" in shown
        assert "paused" in shown
        assert c360(home, "schedule", "resume", "mornings", "--json").document["paused_at"] is None
        assert "next due" in c360(home, "schedule", "resume", "mornings").stdout
        clash = c360(home, "schedule", "create", "mornings", "--cron", "0 9 * * *", "--json")
        assert clash.error["code"] == "schedule.exists"
        c360(home, "schedule", "create", "mornings", "--cron", "0 9 * * *", "--replace", "--json")
        shown = c360(home, "schedule", "show", "mornings", "--json").document
        assert (shown["cron"], shown["time_zone"], len(shown["next_ticks"])) == ("0 9 * * *", "UTC", 5)
        assert c360(home, "schedule", "delete", "mornings", "--json").document == {"deleted": "mornings"}
        assert c360(home, "schedule", "pause", "mornings", "--json").error["code"] == "schedule.unknown"

    def test_what_is_wrong_is_said(self, home: Path, c360: Command) -> None:
        for arguments, code in (
            (("--cron", "at dawn"), "schedule.invalid"),
            ((), "schedule.invalid"),
            (("--cron", "0 6 * * *", "--pipeline", "nightly"), "pipeline.unknown"),
        ):
            assert c360(home, "schedule", "create", "x", *arguments, "--json").error["code"] == code

    def test_a_continuous_one_has_no_expression(self, home: Path, c360: Command) -> None:
        made = c360(home, "schedule", "create", "stream", "--continuous", "--json").document
        assert (made["kind"], made["cron"], made["next_tick_at"]) == ("continuous", None, None)
