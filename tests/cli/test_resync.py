"""``c360 pipeline resync``: what an operator does after changes were lost."""

from __future__ import annotations

from pathlib import Path

from tests.fixtures.command import Command
from tests.help_desk import HelpDesk, ticket


def test_a_gap_says_what_to_run_and_that_heals_it(tmp_path: Path, c360: Command) -> None:
    desk = HelpDesk(tmp_path / "landing")
    desk.create([ticket("t1"), ticket("t2")])
    assert c360(tmp_path, "pipeline", "run", "daily").code == 0
    desk.delete("t1")
    desk.forget_version(1)
    failed = c360(tmp_path, "pipeline", "run", "daily")
    assert failed.code != 0
    assert "c360 pipeline resync bronze.support_tickets" in " ".join(failed.stderr.split())
    record = c360(tmp_path, "pipeline", "resync", "bronze.support_tickets", "--json").document
    assert (record["state"], record["datasets"]["bronze.support_tickets"]["rows_written"]) == ("succeeded", 2)
    assert c360(tmp_path, "pipeline", "run", "daily").code == 0
    question = "SELECT ticket_id, is_deleted FROM silver.support_tickets ORDER BY ticket_id"
    assert c360(tmp_path, "sql", question, "--json").document["rows"] == [["t1", True], ["t2", False]]


def test_a_dataset_without_a_feed_is_refused(tmp_path: Path, c360: Command) -> None:
    c360(tmp_path, "init")
    refused = c360(tmp_path, "pipeline", "resync", "bronze.crm_customers")
    assert refused.code != 0
    assert "is not fed by a change feed" in " ".join(refused.stderr.split())
