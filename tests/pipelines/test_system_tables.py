"""System tables: Databricks' names and columns, rows from what was recorded here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cli.working import _sweeping
from governance.audit import Event
from lakehouse.query import run_query
from pipelines.catalog import load_catalog
from pipelines.runner import run_pipeline
from tests.fixtures.runs import Runs
from tests.governance.audit.trails import breaks, kept, read, trail_of
from tests.lake_state import versions
from tests.platform import Platform
from workers import queue

AS_OF = date(2026, 3, 1)

AUDIT = {
    "account_id", "workspace_id", "version", "event_time", "event_date", "source_ip_address", "user_agent", "session_id", "user_identity",
    "service_name", "action_name", "request_id", "request_params", "response", "audit_level", "event_id", "identity_metadata",
}  # fmt: skip
JOB_RUN_TIMELINE = {
    "account_id", "workspace_id", "job_id", "run_id", "period_start_time", "period_end_time", "trigger_type", "result_state", "run_type",
    "run_name", "compute_ids", "termination_code", "job_parameters", "source_task_run_id", "root_task_run_id", "compute", "termination_type",
    "setup_duration_seconds", "queue_duration_seconds", "run_duration_seconds", "cleanup_duration_seconds", "execution_duration_seconds",
}  # fmt: skip
"""The columns of Databricks' tables, as their documentation has them."""


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with Platform(tmp_path) as platform:
        yield platform


def run_system(platform: Platform) -> None:
    with platform.installation.engine() as engine:
        run_pipeline("system", platform.context(engine, AS_OF), platform.store)


def ask(platform: Platform, question: str) -> list[dict[str, Any]]:
    with platform.installation.engine() as engine:
        return run_query(engine, platform.installation.catalog, question, AS_OF).rows.to_pylist()


@pytest.mark.parametrize(
    ("table", "columns"),
    [("system.access.audit", AUDIT), ("system.lakeflow.job_run_timeline", JOB_RUN_TIMELINE)],
)
def test_the_tables_have_databricks_columns(table: str, columns: set[str]) -> None:
    assert set(load_catalog().get(table).column_names) == columns


def test_what_ran_is_asked_in_sql(platform: Platform) -> None:
    runs = Runs(platform.installation.database)
    asked = runs.enqueue(parameters={"buckets": "4"})
    runs.do(queue.cancel, asked.id)
    for _ in range(2):
        run_system(platform)
    (row,) = ask(platform, "SELECT * FROM system.lakeflow.job_run_timeline")
    assert (row["run_id"], row["job_id"], row["result_state"]) == (asked.id, "daily", "CANCELLED")
    assert dict(row["job_parameters"]) == {"buckets": "4"}
    assert row["compute"] is None


def test_what_was_recorded_is_asked_in_sql(platform: Platform) -> None:
    database, ring = platform.installation.database, platform.installation.key_ring
    denied = Event("audit", "list_audit_events", "key_2", 403, "access.missing_scope", "r1", source="192.0.2.1")
    with trail_of(database, ring) as trail:
        for event in (read(1), read(2), read(1), denied):
            trail.record(event)
    run_system(platform)
    before = versions(platform.home / "lake")
    run_system(platform)
    assert versions(platform.home / "lake") == before
    (row,) = ask(platform, "SELECT * FROM system.access.audit WHERE response.status_code = 403")
    assert (row["user_identity"]["subject_name"], row["request_id"]) == ("key_2", "r1")
    assert (row["action_name"], row["response"]["error_message"]) == ("list_audit_events", "access.missing_scope")
    assert [name for name, _ in row["request_params"]] == ["source_hash"]
    hashes = ask(
        platform,
        "SELECT request_params['customer_hash'] AS who FROM system.access.audit WHERE service_name = 'customers'",
    )
    assert len(hashes) == 3
    assert len({each["who"] for each in hashes}) == 2
    everything = repr(ask(platform, "SELECT * FROM system.access.audit"))
    assert "192.0.2.1" not in everything
    assert "'C1'" not in everything


def test_what_the_table_has_is_swept_and_what_it_has_not_is_kept(platform: Platform) -> None:
    database, ring = platform.installation.database, platform.installation.key_ring
    platform.installation.settings = platform.installation.settings.model_copy(update={"audit_retention_days": 0})
    sweep_audit = _sweeping(platform.installation)
    with trail_of(database, ring) as trail:
        trail.record(read(1))
    sweep_audit(database)
    assert len(kept(database)) == 1, "the table has nothing yet"
    run_system(platform)
    with trail_of(database, ring) as trail:
        trail.record(read(2))
    sweep_audit(database)
    assert [row.action for row in kept(database)] == ["get_customer", "sweep"]
    assert breaks(database, ring) == []
    run_system(platform)
    rows = ask(platform, "SELECT event_id FROM system.access.audit WHERE action_name = 'get_customer'")
    assert len({row["event_id"] for row in rows}) == len(rows) == 2
