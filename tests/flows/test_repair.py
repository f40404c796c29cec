"""What was held back, repaired and replayed: once, by the ordinary way, and never against what the source says later."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from tests.fixtures.command import Command, c360_process
from tests.help_desk import HelpDesk, ticket
from tests.lake_state import batch_commits

AS_OF = "2026-03-01"
HEADER = "order_id,line_number,customer_id,order_ts,quantity,unit_price,currency,status\n"


class Desk:
    """One who repairs, on the command line."""

    def __init__(self, home: Path, c360: Command) -> None:
        self.home, self._c360, self._files = home, c360, 0

    def orders(self, *lines: str) -> None:
        self._files += 1
        path = self.home / "landing/ecommerce/orders" / f"{self._files}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEADER + "".join(line + "\n" for line in lines), encoding="utf-8")
        instant = 1_767_225_600 + self._files
        os.utime(path, (instant, instant))

    def run(self) -> Any:
        return self._said("pipeline", "run", "daily", "--as-of", AS_OF)

    def held(self) -> list[dict[str, Any]]:
        return list(self._said("quarantine", "list")["rows"])

    def repair(self, row: dict[str, Any], *values: str) -> None:
        options = [option for value in values for option in ("--set", value)]
        self._said("quarantine", "repair", row["quarantine_id"], *options)

    def replay(self) -> int:
        return sum(source["corrected"] for source in self._said("quarantine", "replay")["sources"])

    def said(self, *arguments: str) -> Any:
        return self._c360(self.home, *arguments)

    def rows(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        found = DeltaTable(self.home / "lake" / table).to_pyarrow_table(columns=list(columns)).to_pylist()
        return sorted((tuple(row[name] for name in columns) for row in found), key=repr)

    def _said(self, *arguments: str) -> Any:
        finished = self._c360(self.home, *arguments, "--json")
        assert finished.code == 0, finished.stdout + finished.stderr
        return finished.document


@pytest.fixture
def desk(tmp_path: Path, c360: Command) -> Desk:
    return Desk(tmp_path, c360)


def test_a_repaired_record_enters_once_and_the_original_stays(desk: Desk) -> None:
    desk.orders("o1,1,c1,2026-01-15,1,2.50,GBP,payed", ",1,c2,2026-01-15,1,9.00,GBP,paid")
    record = desk.run()
    quality = record["datasets"]["silver.orders"]["flow_progress"]["data_quality"]
    assert quality["dropped_records"] == 2
    assert {"name": "status_known", "dataset": "silver.orders", "passed_records": 1, "failed_records": 1} in quality[
        "expectations"
    ]
    held = {row["rules"][0]: row for row in desk.held()}
    assert set(held) == {"status_known", "line_identified"}
    desk.repair(held["status_known"], "status=PAID")
    desk.repair(held["line_identified"], "order_id= o2 ", "quantity=3")
    assert all(row["repaired"] for row in desk.held())
    assert desk.replay() == 2
    assert desk.replay() == 0
    desk.run()
    assert desk.rows("silver/orders", "order_id", "quantity", "status") == [("o1", 1, "paid"), ("o2", 3, "paid")]
    assert desk.held() == []
    bronze = desk.rows("bronze/ecommerce_orders", "order_id", "status", "_source_file", "_row_number", "_correction")
    file = "ecommerce/orders/1.csv"
    assert bronze == sorted(
        [
            (" o2 ", "paid", file, 2, 1),
            (None, "paid", file, 2, None),
            ("o1", "PAID", file, 1, 1),
            ("o1", "payed", file, 1, None),
        ],
        key=repr,
    )
    (batch,) = {instant for (instant,) in desk.rows("bronze/ecommerce_orders", "_ingested_at")}
    assert batch is not None
    assert desk.run()["commits"] == 0


def test_a_newer_version_of_the_source_counts_over_a_correction(desk: Desk) -> None:
    desk.orders("o1,1,c1,2026-01-15,1,2.50,GBP,payed")
    desk.run()
    (row,) = desk.held()
    desk.orders("o1,1,c1,2026-01-15,7,2.50,GBP,shipped")
    desk.repair(row, "status=paid")
    assert desk.replay() == 1
    desk.run()
    assert desk.rows("silver/orders", "quantity", "status") == [(7, "shipped")]
    assert desk.held() == []


def test_a_repair_that_does_not_help_is_held_back_and_can_be_repaired(desk: Desk) -> None:
    desk.orders("o1,1,c1,2026-01-15,1,2.50,GBP,payed")
    desk.run()
    desk.repair(desk.held()[0], "status=pade")
    desk.repair(desk.held()[0], "status=payd")  # takes the place of the one before
    assert desk.replay() == 1
    desk.run()
    (again,) = desk.held()
    assert again["repaired"] is False
    desk.repair(again, "status=paid")
    assert desk.replay() == 1
    desk.run()
    assert desk.held() == []
    assert desk.rows("bronze/ecommerce_orders", "status", "_correction") == [("paid", 2), ("payd", 1), ("payed", None)]


def test_versions_and_changes_are_repaired_alike(desk: Desk) -> None:
    """A CRM version without its instant finds its place in history; a ticket's change is taken up."""
    folder = desk.home / "landing/crm/customers"
    folder.mkdir(parents=True)
    versions = [("gold", "2026-01-01"), ("silver", None), ("basic", "2026-01-20")]
    lines = [json.dumps({"customer_id": "c1", "loyalty_tier": tier, "updated_at": at}) for tier, at in versions]
    (folder / "1.json").write_text("\n".join(lines) + "\n", encoding="utf-8")
    help_desk = HelpDesk(desk.home / "landing")
    help_desk.create([ticket("t1")])
    desk.run()
    help_desk.upsert(ticket("t1", priority="Prio 1", status="closed"))
    desk.run()
    for row in desk.held():
        desk.repair(row, "priority=urgent" if row["dataset"] == "silver.support_tickets" else "updated_at=2026-01-10")
    assert desk.replay() == 2
    desk.run()
    assert desk.held() == []
    assert [tier for _, tier in desk.rows("silver/customers_history", "__START_AT", "loyalty_tier")] == [
        "gold",
        "silver",
        "basic",
    ]
    assert desk.rows("silver/support_tickets", "ticket_id", "priority", "status") == [("t1", "critical", "closed")]


def test_what_does_not_fit_is_refused_and_never_shown(desk: Desk) -> None:
    desk.orders("o1,1,c1,2026-01-15,1,2.50,GBP,payed")
    desk.run()
    (row,) = desk.held()
    for values, said in (
        ("quantity=secret-one", "bronze.ecommerce_orders.quantity: the new value is no INT"),
        ("_row_number=1", "only order_id, line_number"),
        ("status", "write --set column=value"),
    ):
        refused = desk.said("quarantine", "repair", row["quarantine_id"], "--set", values)
        assert refused.code != 0
        assert said in " ".join(refused.stderr.split())
        assert "secret-one" not in refused.stderr
    assert desk.said("quarantine", "show", "nothing").code != 0
    shown = desk.said("quarantine", "show", row["quarantine_id"][:10]).document
    assert shown["original"]["status"] == "payed"
    (read,) = desk.said("audit", "list", "--customer", "c1", "--json").document["events"]
    assert (read["action"], read["params"]["row"]) == ("quarantine show", row["quarantine_id"])
    assert {"customer_id", "status"} <= set(read["params"]["fields"].split())
    assert "payed" not in str(read), "names of fields, no values"
    assert "payed" not in desk.said("quarantine", "list").stdout


QUICK = ("commit.written",)
BOUNDARIES = ("flow.batch_planned", "commit.fence_checked", *QUICK, "flow.target_committed", "flow.batch_marked")


@pytest.mark.parametrize(
    "boundary", [pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in BOUNDARIES]
)
def test_a_replay_killed_anywhere_corrects_once(boundary: str, desk: Desk) -> None:
    desk.orders("o1,1,c1,2026-01-15,1,2.50,GBP,payed")
    desk.run()
    desk.repair(desk.held()[0], "status=paid")
    killed = c360_process(desk.home, "quarantine", "replay", C360_CRASH_AT=boundary, C360_LEASE_SECONDS="1")
    assert killed.code == -signal.SIGKILL, killed.stderr
    again = c360_process(desk.home, "quarantine", "replay", C360_LEASE_SECONDS="1")
    assert again.code == 0, again.stderr
    desk.run()
    assert desk.rows("bronze/ecommerce_orders", "status", "_correction") == [("paid", 1), ("payed", None)]
    assert desk.rows("silver/orders", "order_id", "status") == [("o1", "paid")]
    assert set(batch_commits(desk.home / "lake/bronze/ecommerce_orders").values()) == {1}
