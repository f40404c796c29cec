"""The help desk's change feed: every commit once, whatever its writer does, and nothing lost in silence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse.changes.source import FeedGap, NoChangeFeed
from lakehouse.engine import UnreadableTable
from pipelines.flows.change_feed import run_change_feed
from pipelines.flows.context import FlowContext, FlowResult
from pipelines.flows.derive import run_derived
from tests.help_desk import OPENED, HelpDesk, ticket
from tests.platform import Platform

AS_OF = date(2026, 3, 1)
BRONZE, SILVER = "bronze.support_tickets", "silver.support_tickets"


class Tickets:
    """The two datasets of support tickets, run alone."""

    def __init__(self, platform: Platform, context: FlowContext) -> None:
        self.platform, self.context = platform, context
        self.desk = HelpDesk(platform.landing)

    def run(self, *, resync: bool = False, **changes: Any) -> FlowResult:
        context = replace(self.context, **changes)
        result = run_change_feed(context, context.catalog.get(BRONZE), resync=resync)
        run_derived(context, context.catalog.get(SILVER))
        return result

    def bronze(self, *columns: str) -> list[tuple[Any, ...]]:
        return self._rows("bronze/support_tickets", columns)

    def changes(self) -> list[tuple[Any, ...]]:
        """(version, change, ticket) of every row of bronze."""
        return self.bronze("_source_commit_version", "_source_change_type", "ticket_id")

    def silver(self) -> dict[str, str]:
        """Status of every ticket; ``deleted`` where the help desk has deleted it."""
        rows = self._rows("silver/support_tickets", ("ticket_id", "status", "is_deleted"))
        return {ticket_id: "deleted" if deleted else status for ticket_id, status, deleted in rows}

    def _rows(self, table: str, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
        rows = DeltaTable(self.platform.home / "lake" / table).to_pyarrow_table(columns=list(columns)).to_pylist()
        return sorted((tuple(row[name] for name in columns) for row in rows), key=repr)


@pytest.fixture
def tickets(tmp_path: Path) -> Iterator[Tickets]:
    with Platform(tmp_path) as platform, platform.installation.engine("embedded") as engine:
        yield Tickets(platform, platform.context(engine, AS_OF))


def test_a_snapshot_comes_first_and_then_every_change_with_both_images(tickets: Tickets) -> None:
    tickets.desk.create([ticket("t1")])
    tickets.desk.insert(ticket("t2"))
    tickets.run()
    assert tickets.changes() == [(1, "insert", "t1"), (1, "insert", "t2")]
    tickets.desk.upsert(ticket("t1", status="closed"))
    tickets.desk.delete("t2")
    result = tickets.run()
    assert tickets.changes()[2:] == [
        (2, "update_postimage", "t1"),
        (2, "update_preimage", "t1"),
        (3, "delete", "t2"),
    ]
    assert (result.batches, result.rows_written) == (1, 3)
    assert tickets.silver() == {"t1": "closed", "t2": "deleted"}


def test_nothing_new_commits_nothing(tickets: Tickets) -> None:
    tickets.run()  # no help desk yet
    tickets.desk.create([ticket("t1")])
    tickets.run()
    again = tickets.run()
    assert (again.batches, again.version_before) == (0, again.version_after)
    tickets.desk.table.optimize.compact()
    tickets.desk.table.alter.set_table_properties({"delta.checkpointInterval": "7"})
    after = tickets.run()
    assert (after.rows_written, after.version_before) == (0, after.version_after)
    assert len(tickets.changes()) == 1


def test_a_deleted_ticket_that_is_inserted_again_lives_again(tickets: Tickets) -> None:
    tickets.desk.create([ticket("t1"), ticket("t2")])
    tickets.run()
    tickets.desk.delete("t1", "t2")
    tickets.desk.insert(ticket("t1", status="reopened"))
    tickets.run()
    assert tickets.silver() == {"t1": "open", "t2": "deleted"}


def test_an_overwrite_is_deletes_and_inserts_of_one_commit(tickets: Tickets) -> None:
    tickets.desk.create([ticket("t1"), ticket("t2")])
    tickets.run()
    tickets.desk.overwrite(ticket("t2", status="pending"), ticket("t3"))
    tickets.run()
    assert [change for change in tickets.changes() if change[0] == 1] == [
        (1, "delete", "t1"),
        (1, "delete", "t2"),
        (1, "insert", "t2"),
        (1, "insert", "t3"),
    ]
    assert tickets.silver() == {"t1": "deleted", "t2": "pending", "t3": "open"}


def test_batches_are_pieces_of_bounded_size(tickets: Tickets) -> None:
    tickets.desk.create()
    for number in range(5):
        tickets.desk.insert(ticket(f"t{number}"))
    assert tickets.run(batch_max_bytes=1).batches == 5  # a snapshot of five files
    for number in range(3):
        tickets.desk.upsert(ticket(f"t{number}", status="closed"))
    assert tickets.run(batch_max_bytes=1).batches == 3  # never less than a version
    assert len(tickets.changes()) == 5 + 3 * 2


def test_an_empty_table_is_a_snapshot_too(tickets: Tickets) -> None:
    tickets.desk.create()
    tickets.run()
    tickets.desk.insert(ticket("t1"))
    tickets.run()
    assert tickets.changes() == [(1, "insert", "t1")]


def test_a_partitioned_table_with_odd_values(tickets: Tickets) -> None:
    categories = ["a/b c", "100%", "é=ü", None]
    tickets.desk.create(
        [ticket(f"t{number}", category=category) for number, category in enumerate(categories)],
        partition_by=["category"],
    )
    tickets.run()
    tickets.desk.upsert(ticket("t0", category="a/b c", status="closed"))
    tickets.run()
    assert tickets.bronze("ticket_id", "category")[-1] == ("t3", None)
    assert {row[1] for row in tickets.bronze("ticket_id", "category")} == set(categories)
    assert tickets.silver()["t0"] == "closed"


class TestWhatDoesNotFit:
    def test_a_new_column_is_rescued(self, tickets: Tickets) -> None:
        tickets.desk.create([ticket("t1")])
        tickets.run()
        write_deltalake(
            tickets.desk.folder,
            pa.table({"ticket_id": ["t2"], "Priority_Reason": ["sla"], "escalated": [True]}),
            mode="append",
            schema_mode="merge",
        )
        tickets.run()
        rescued = dict(tickets.bronze("ticket_id", "_rescued_data"))
        assert rescued["t1"] is None
        assert json.loads(rescued["t2"]) == {"Priority_Reason": "sla", "escalated": True}

    def test_values_of_other_types_are_read_or_rescued(self, tickets: Tickets) -> None:
        rows = pa.table(
            {
                "TICKET_ID": pa.array([7, 8], pa.int64()),
                "satisfaction_score": pa.array(["5", "great"]),
                "created_at": pa.array(["2026-01-05T10:00:00+01:00", "soon"]),
                "updated_at": pa.array([OPENED.replace(tzinfo=None)] * 2, pa.timestamp("us")),
                "status": pa.array([None, True]),
            }
        )
        write_deltalake(tickets.desk.folder, rows, configuration={"delta.enableChangeDataFeed": "true"})
        tickets.run()
        read = tickets.bronze("ticket_id", "satisfaction_score", "created_at", "updated_at", "status", "_rescued_data")
        assert read[0][:5] == ("7", 5, OPENED, OPENED, None)
        assert read[1][:5] == ("8", None, None, OPENED, "true")
        assert read[0][5] is None
        assert json.loads(read[1][5]) == {"satisfaction_score": "great", "created_at": "soon"}


class TestAGap:
    """Loud, without effect, and healed by a resync."""

    def refused(self, tickets: Tickets, said: str) -> None:
        before = tickets.changes()
        for _ in range(2):  # and again, until somebody acts
            with pytest.raises(FeedGap, match=f"{said}.*run c360 pipeline resync bronze.support_tickets"):
                tickets.run()
        assert tickets.changes() == before

    def test_a_cleaned_log(self, tickets: Tickets) -> None:
        tickets.desk.create([ticket("t1"), ticket("t2"), ticket("t3")])
        tickets.run()
        tickets.desk.delete("t1")
        tickets.desk.upsert(ticket("t2", status="closed"), ticket("t4"))
        tickets.desk.forget_version(1)
        self.refused(tickets, "version 1 is not in the log any more")
        tickets.run(resync=True)
        assert tickets.silver() == {"t1": "deleted", "t2": "closed", "t3": "open", "t4": "open"}
        assert (2, "delete", "t1") in tickets.changes()
        tickets.desk.delete("t3")
        tickets.run()
        assert tickets.silver()["t3"] == "deleted"

    def test_a_vacuumed_file(self, tickets: Tickets) -> None:
        tickets.desk.create([ticket("t1")])
        tickets.run()
        tickets.desk.upsert(ticket("t1", status="closed"))
        shutil.rmtree(tickets.desk.folder / "_change_data")
        self.refused(tickets, "a file of version 1 is gone")
        tickets.run(resync=True)
        assert tickets.silver() == {"t1": "closed"}

    def test_a_table_created_anew(self, tickets: Tickets) -> None:
        tickets.desk.create([ticket("t1"), ticket("t2")])
        for number in range(3):
            tickets.desk.upsert(ticket("t2", agent_id=str(number)))
        tickets.run()
        tickets.desk.recreate([ticket("t2", status="closed"), ticket("t3")])
        self.refused(tickets, "another table than the one read before")
        tickets.run(resync=True)
        assert tickets.silver() == {"t1": "deleted", "t2": "closed", "t3": "open"}
        tickets.desk.upsert(ticket("t2", status="open"))  # version 1: less than before, and yet newer
        tickets.run()
        assert tickets.silver()["t2"] == "open"

    def test_a_table_that_is_gone(self, tickets: Tickets) -> None:
        tickets.desk.create([ticket("t1")])
        tickets.run()
        shutil.rmtree(tickets.desk.folder)
        self.refused(tickets, "holds no Delta table any more")

    def test_a_feed_that_was_off(self, tickets: Tickets) -> None:
        tickets.desk.create([ticket("t1"), ticket("t2")])
        tickets.run()
        tickets.desk.table.alter.set_table_properties({"delta.enableChangeDataFeed": "false"})
        tickets.desk.delete("t1")
        tickets.desk.table.alter.set_table_properties({"delta.enableChangeDataFeed": "true"})
        self.refused(tickets, "the change data feed is off from version 1")
        tickets.run(resync=True)
        assert tickets.silver() == {"t1": "deleted", "t2": "open"}

    def test_a_resync_without_a_gap_changes_nothing_in_silver(self, tickets: Tickets) -> None:
        tickets.desk.create([ticket("t1"), ticket("t2")])
        tickets.desk.delete("t2")
        tickets.run()
        before = tickets.silver()
        tickets.run(resync=True)
        tickets.run(resync=True, batch_max_bytes=1, buckets=3)
        assert tickets.silver() == before == {"t1": "open"}

    def test_a_lost_position_is_a_resync(self, tickets: Tickets) -> None:
        """The control database is lost, the lake is not."""
        tickets.desk.create([ticket("t1"), ticket("t2")])
        tickets.run()
        tickets.desk.delete("t1")
        with tickets.context.writing(BRONZE) as lease:
            tickets.context.checkpoints.reset(BRONZE, lease=lease)
        tickets.run()
        assert tickets.silver() == {"t1": "deleted", "t2": "open"}


class TestRefused:
    def test_a_table_without_change_data(self, tickets: Tickets) -> None:
        tickets.desk.create([ticket("t1")], feed=False)
        with pytest.raises(NoChangeFeed, match=r"sets delta\.enableChangeDataFeed = true"):
            tickets.run()

    def test_an_unknown_feature(self, tickets: Tickets) -> None:
        tickets.desk.create([ticket("t1")])
        tickets.run()
        protocol = {
            "minReaderVersion": 3,
            "minWriterVersion": 7,
            "readerFeatures": ["variantType"],
            "writerFeatures": ["variantType"],
        }
        append_commit(tickets.desk, {"protocol": protocol})
        with pytest.raises(UnreadableTable, match="variantType"):
            tickets.run()

    def test_deletion_vectors(self, tickets: Tickets) -> None:
        tickets.desk.create([ticket("t1")])
        tickets.run()
        (path,) = (action["path"] for action in pa.table(tickets.desk.table.get_add_actions()).to_pylist())
        vector = {
            "storageType": "u",
            "pathOrInlineDv": "ab^-aqEH.-t@S}K{vb[*k^",
            "offset": 1,
            "sizeInBytes": 36,
            "cardinality": 1,
        }
        append_commit(
            tickets.desk,
            {"remove": {"path": path, "dataChange": True, "deletionTimestamp": 0}},
            {
                "add": {
                    "path": path,
                    "partitionValues": {},
                    "size": 1,
                    "modificationTime": 0,
                    "dataChange": True,
                    "deletionVector": vector,
                }
            },
        )
        with pytest.raises(UnreadableTable, match="version 1 has deletion vectors"):
            tickets.run()

    def test_a_link_out_of_the_landing_zone(self, tickets: Tickets, tmp_path: Path) -> None:
        elsewhere = HelpDesk(tmp_path, "elsewhere")
        elsewhere.create([ticket("t1")])
        tickets.desk.folder.parent.mkdir(parents=True)
        tickets.desk.folder.symlink_to(elsewhere.folder)
        with pytest.raises(UnreadableTable, match="leads out of the landing zone"):
            tickets.run()


class TestSilver:
    def test_cleans_and_closes_its_lists(self, tickets: Tickets) -> None:
        tickets.desk.create(
            [
                ticket(" t1 ", customer_id=" c1 ", priority="URGENT", status=" On-Hold ", category="Late Delivery"),
                ticket("t2", priority="whatever"),
                ticket("t3", status="lost"),
                ticket("t4", satisfaction_score=6),
                ticket("  "),
                ticket("t5", customer_id=None, satisfaction_score=1),
            ]
        )
        tickets.run()
        table = DeltaTable(tickets.platform.home / "lake/silver/support_tickets").to_pyarrow_table()
        kept = {row["ticket_id"]: row for row in table.to_pylist()}
        assert set(kept) == {"t1", "t5"}
        one = kept["t1"]
        assert (one["customer_id"], one["priority"], one["status"], one["category"], one["is_open"]) == (
            "c1",
            "critical",
            "on_hold",
            "late_delivery",
            True,
        )
        held = DeltaTable(tickets.platform.home / "lake/quality/quarantine").to_pyarrow_table().column("rules")
        assert sorted(held.to_pylist()) == [
            ["priority_known"],
            ["satisfaction_in_range"],
            ["status_known"],
            ["ticket_id_present"],
        ]

    def test_says_when_a_ticket_was_deleted_even_one_it_held_back(self, tickets: Tickets) -> None:
        tickets.desk.create([ticket("t1"), ticket("t2", priority="whatever")])
        tickets.run()
        tickets.desk.delete("t1", "t2")
        tickets.run()
        table = DeltaTable(tickets.platform.home / "lake/silver/support_tickets").to_pyarrow_table()
        rows = {row["ticket_id"]: row for row in table.to_pylist()}
        committed = datetime.fromtimestamp(tickets.desk.table.history(1)[0]["timestamp"] / 1000, UTC)
        for row in rows.values():
            assert (row["is_deleted"], row["is_open"], row["deleted_at"]) == (True, False, committed)
        assert set(rows) == {"t1", "t2"}


def append_commit(desk: HelpDesk, *actions: dict[str, Any]) -> None:
    """A commit as another writer would make it."""
    version = desk.table.version() + 1
    text = "".join(json.dumps(action) + "\n" for action in actions)
    (desk.folder / f"_delta_log/{version:020}.json").write_text(text)
