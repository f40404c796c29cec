"""Expectations by their effects: what a table keeps, what the quarantine holds, what is counted, and what a failure leaves."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from lakehouse.catalog import Catalog
from lakehouse.checkpoints import Checkpoints
from lakehouse.dataset import Action, AutoLoader, ByKey, Column, Dataset, Expectation, Subject
from pipelines.catalog import load_catalog
from pipelines.flows import quality
from pipelines.flows.expectations import ExpectationFailed
from pipelines.runner import PipelineResult, run_pipeline
from pipelines.sources import INGEST_COLUMNS, INGEST_EXPECTATIONS
from tests.lake_state import versions
from tests.platform import Platform

AS_OF = date(2026, 3, 1)

BRONZE = Dataset(
    name="bronze.items",
    comment="Items.",
    columns=(
        Column("item_id", "STRING", "Key."),
        Column("owner_id", "STRING", "Customer.", "subject_key"),
        Column("amount", "INT", "Amount."),
        *INGEST_COLUMNS,
    ),
    flow=AutoLoader("items/*.json", "json", "shop"),
    subject=Subject("owner_id"),
    expectations=INGEST_EXPECTATIONS,
)
SILVER = Dataset(
    name="silver.items",
    comment="The newest version of each item.",
    columns=(
        Column("item_id", "STRING", "Key.", nullable=False),
        Column("owner_id", "STRING", "Customer.", "subject_key"),
        Column("amount", "INT", "Amount."),
    ),
    keys=("item_id",),
    flow=ByKey(keys=("item_id",)),
    subject=Subject("owner_id"),
    expectations=(
        Expectation("small", "amount < 100", Action.WARN),
        Expectation("identified", "item_id IS NOT NULL", Action.QUARANTINE),
        Expectation("owned", "owner_id <> 'nobody'", Action.QUARANTINE),
        Expectation("positive", "amount > 0", Action.DROP),
        Expectation("sane", "amount < 1000 OR amount IS NULL", Action.FAIL),
    ),
    query="""
    WITH versions AS (
      SELECT *, row_number() OVER (
        PARTITION BY item_id, CASE WHEN item_id IS NULL THEN _row_number END
        ORDER BY _file_modification_time DESC, _row_number DESC
      ) AS age
      FROM bronze.items
    )
    SELECT item_id, owner_id, amount FROM versions WHERE age = 1
    """,
)
QUALITY = ("quality.expectations", "quality.quarantine")


class Items:
    """An installation of these two datasets."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.catalog = Catalog([BRONZE, SILVER, *map(load_catalog().get, QUALITY)])
        self._landed = 0

    def land(self, *rows: tuple[str | None, str | None, int | None] | str) -> None:
        """One file of (item, owner, amount), later than all before; a text is a line as it is."""
        self._landed += 1
        path = self.platform.landing / "items" / f"{self._landed}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        names = ("item_id", "owner_id", "amount")
        lines = (row if isinstance(row, str) else json.dumps(dict(zip(names, row, strict=True))) for row in rows)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        instant = 1_767_225_600_000_000_000 + self._landed * 10**9
        os.utime(path, ns=(instant, instant))

    def run(self, **options: Any) -> PipelineResult:
        with self.platform.installation.engine() as engine:
            context = replace(self.platform.context(engine, AS_OF, **options), catalog=self.catalog)
            return run_pipeline("daily", context, self.platform.store)

    def silver(self, **options: Any) -> Any:
        """The run's result of silver.items."""
        return next(flow for flow in self.run(**options).datasets if flow.dataset == "silver.items")

    def rows(self, table: str) -> list[dict[str, Any]]:
        found = DeltaTable(self.platform.home / "lake" / table.replace(".", "/")).to_pyarrow_table().to_pylist()
        return sorted(found, key=repr)

    def kept(self) -> list[str]:
        return [row["item_id"] for row in self.rows("silver.items")]

    def versions(self) -> dict[str, int]:
        return versions(self.platform.home / "lake")

    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.platform.installation.database)


@pytest.fixture
def items(tmp_path: Path) -> Iterator[Items]:
    with Platform(tmp_path) as platform:
        yield Items(platform)


@pytest.fixture(params=[quality._PART_ROWS, 1], ids=["at once", "in parts"])
def part_rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows held back are looked at all together, and in as many parts as there are digits."""
    monkeypatch.setattr(quality, "_PART_ROWS", request.param)


def test_each_action_does_what_it_says(items: Items) -> None:
    items.land(
        ("kept", "ann", 1),
        ("warned", "ann", 500),
        ("dropped", "ann", -1),
        ("dropped too", "ann", None),  # NULL > 0 is not TRUE
        ("held", "nobody", 1),
        ("held too", None, 1),  # NULL <> 'nobody' is not TRUE
        ("held, not dropped", "nobody", -1),
        (None, "nobody", -1),
    )
    result = items.silver(buckets=3)
    assert items.kept() == ["kept", "warned"]
    assert (result.rows_in, result.rows_out, result.dropped, result.quarantined) == (8, 2, 2, 4)
    assert result.rows_in == result.rows_out + result.dropped + result.quarantined
    assert result.expectations == {"small": 2, "identified": 1, "owned": 4, "positive": 4, "sane": 0}


def test_metrics_have_a_row_per_rule_and_batch(items: Items) -> None:
    items.land(("a", "ann", 1), ("b", "nobody", -1))
    items.run()
    items.land(("c", "ann", 500), "{not json")
    items.run()
    items.run()  # nothing new: no batch, no metrics
    found = {
        (row["dataset"], row["batch"], row["name"]): (row["action"], row["passed_records"], row["failed_records"])
        for row in items.rows("quality.expectations")
    }
    assert len(found) == len(items.rows("quality.expectations"))
    assert found == {
        ("bronze.items", 1, "record_parses"): ("warn", 2, 0),
        ("bronze.items", 1, "every_field_fits"): ("warn", 2, 0),
        ("bronze.items", 2, "record_parses"): ("warn", 1, 1),
        ("bronze.items", 2, "every_field_fits"): ("warn", 2, 0),
        ("silver.items", 1, "small"): ("warn", 2, 0),
        ("silver.items", 1, "identified"): ("quarantine", 2, 0),
        ("silver.items", 1, "owned"): ("quarantine", 1, 1),
        ("silver.items", 1, "positive"): ("drop", 1, 1),
        ("silver.items", 1, "sane"): ("fail", 2, 0),
        # the second batch looks at what changed: item c, and the line that is none
        ("silver.items", 2, "small"): ("warn", 0, 2),
        ("silver.items", 2, "identified"): ("quarantine", 1, 1),
        ("silver.items", 2, "owned"): ("quarantine", 1, 1),
        ("silver.items", 2, "positive"): ("drop", 1, 1),
        ("silver.items", 2, "sane"): ("fail", 2, 0),
    }


def test_the_quarantine_holds_the_row_its_rules_and_its_subject(items: Items) -> None:
    items.land(("a", "ann", 1), ("b", "nobody", 7), (None, "nobody", None))
    items.run()
    held = {row["record"]: row for row in items.rows("quality.quarantine")}
    assert set(held) == {
        '{"item_id":"b","owner_id":"nobody","amount":7}',
        '{"item_id":null,"owner_id":"nobody","amount":null}',
    }
    row = held['{"item_id":null,"owner_id":"nobody","amount":null}']
    assert (row["dataset"], row["rules"], row["batch"]) == ("silver.items", ["identified", "owned"], 1)
    assert row["customer_id"] == "nobody"  # the dataset's subject key, whatever it is called there
    assert row["run_id"].startswith("run_")
    assert len({row["key_hash"] for row in held.values()}) == len({row["quarantine_id"] for row in held.values()}) == 2


@pytest.mark.usefixtures("part_rows")
def test_the_quarantine_holds_a_row_once_and_equal_rows_each(items: Items) -> None:
    items.land(("b", "nobody", 7), (None, "ann", 1), (None, "ann", 1))
    items.run()
    first = items.rows("quality.quarantine")
    assert len(first) == 3
    assert len({row["quarantine_id"] for row in first}) == 3
    items.land(("b", "nobody", 7))  # the same again, in a newer version
    items.run()
    items.run(full_refresh=True, buckets=2)
    assert items.rows("quality.quarantine") == first  # with the batch and the run that held them back first


@pytest.mark.usefixtures("part_rows")
def test_a_repaired_row_leaves_the_quarantine_and_a_broken_one_takes_its_place(items: Items) -> None:
    items.land(("a", "nobody", 1), ("b", "ann", 1))
    items.run()
    items.land(("a", "ann", 1), ("b", "nobody", 2))
    items.run()
    assert items.kept() == ["a"]
    assert [row["record"] for row in items.rows("quality.quarantine")] == [
        '{"item_id":"b","owner_id":"nobody","amount":2}'
    ]


def test_fail_writes_nothing_and_the_next_run_plans_anew(items: Items) -> None:
    items.land(("a", "ann", 1), ("b", "nobody", 1))
    items.run()
    before, last = items.versions(), items.checkpoints().last("silver.items")
    assert last is not None
    items.land(("a", "ann", 2), ("c", "nobody", 1), ("secret", "ann", 4711))
    with pytest.raises(ExpectationFailed, match=r"^silver\.items: 1 rows fail sane; nothing was written$"):
        items.run()
    written = {name for name, version in items.versions().items() if version != before[name]}
    assert written == {"bronze.items", "quality.expectations"}  # the metrics of bronze, which keeps every row
    assert not any(row["dataset"] == "silver.items" and row["batch"] > 1 for row in items.rows("quality.expectations"))
    assert items.checkpoints().planned("silver.items") is None
    assert items.checkpoints().last("silver.items") == last

    items.land(("secret", "ann", 47))
    result = items.silver()
    assert items.kept() == ["a", "secret"]
    assert (result.batches, result.rows_written) == (1, 2)
    planned = items.checkpoints().last("silver.items")
    assert planned is not None
    assert planned.batch > last.batch + 1  # the failed batch's number is not used again
    assert planned.inputs == {"bronze.items": items.versions()["bronze.items"]}
    assert len(items.rows("quality.quarantine")) == 2


def test_fail_before_the_table_exists_creates_none(items: Items) -> None:
    items.land(("a", "ann", 4711))
    with pytest.raises(ExpectationFailed):
        items.run()
    assert set(items.versions()) == {"bronze.items", "quality.expectations"}


def test_no_rows_at_all_are_counted_as_none(items: Items) -> None:
    result = items.silver()
    assert (result.rows_in, result.dropped, result.quarantined) == (0, 0, 0)
    assert items.kept() == []
