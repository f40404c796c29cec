"""``c360 maintain``: small files brought together; old ones removed only where that was said and nobody needs them."""

from __future__ import annotations

from pathlib import Path

from tests.fixtures.command import Command
from tests.lake_state import contents, tables

AS_OF = "2026-06-01"
METRICS = "quality.expectations"


def files(lake: Path) -> int:
    return sum(1 for path in tables(lake).values() for _ in path.glob("*.parquet"))


def test_maintenance_changes_no_row_and_removes_only_what_nobody_needs(tmp_path: Path, c360: Command) -> None:
    lake = tmp_path / "lake"
    for until in ("2026-04-30", "2026-05-31"):
        assert c360(tmp_path, "land", "sample", "--customers", "12", "--until", until).code == 0
        assert c360(tmp_path, "pipeline", "run", "daily", "--as-of", AS_OF).code == 0
    before, files_before = contents(lake), files(lake)

    done = c360(tmp_path, "maintain", "--json").document
    orders = done["tables"]["bronze.ecommerce_orders"]
    assert done["state"] == "succeeded"
    assert orders["version_after"] == orders["version_before"] + 1
    assert (contents(lake), files(lake) > files_before) == (before, True)
    again = c360(tmp_path, "maintain", "--json").document["tables"]
    assert [name for name, item in again.items() if item["version_before"] != item["version_after"]] == []

    assert c360(tmp_path, "maintain", "--vacuum", "--json").error["code"] == "cli.not_confirmed"
    short = c360(tmp_path, "maintain", "--vacuum", "--yes", "--retention-hours", "24", "--json").error
    assert short["code"] == "lakehouse.retention_too_short"
    behind = c360(tmp_path, "maintain", "--vacuum", "--yes", "--json").error
    assert behind["code"] == "pipeline.readers_behind"
    assert "c360 pipeline run daily" in behind["message"]

    assert c360(tmp_path, "pipeline", "run", "daily", "--as-of", AS_OF, "--json").document["commits"] == 0
    caught_up = contents(lake)
    assert {**caught_up, METRICS: None} == {**before, METRICS: None}, (
        "whole tables are measured anew; no row is another"
    )
    assert c360(tmp_path, "maintain", "--vacuum", "--yes", "--json").document["state"] == "succeeded"
    assert contents(lake) == caught_up
