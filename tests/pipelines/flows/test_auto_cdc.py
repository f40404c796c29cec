"""AUTO CDC end to end against a model: whatever the order and the batches in which events come, the tables end the same.

Each run is over hundreds of generated histories at once, a key each. Events come shuffled, split into batches at random, some
twice; there are deletes, re-inserts, ties that only the second sequence column or the content breaks, equal versions, events
without a sequence. The model sorts and folds one history in plain Python.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from lakehouse.catalog import Catalog
from lakehouse.dataset import Action, AutoCdc, AutoLoader, Column, Dataset, Expectation, NoSubject
from lakehouse.engine import Engine
from lakehouse.spark.engine import SparkEngine
from pipelines.catalog import load_catalog
from pipelines.runner import run_pipeline
from pipelines.sources import INGEST_COLUMNS
from tests.platform import Platform

AS_OF = date(2026, 3, 1)
REASON = NoSubject("made up")
KEY = Column("key", "STRING", "Key.", nullable=False)
CONTENT = (
    Column("tier", "STRING", "Tracked."),
    Column("place", "STRUCT<city: STRING, number: INT>", "Tracked."),
    Column("note", "STRING", "Not tracked."),
)
BRONZE = Dataset(
    name="bronze.events",
    comment="Events.",
    columns=(
        replace(KEY, nullable=True),
        *CONTENT,
        Column("at", "BIGINT", "First sequence column."),
        Column("tie", "INT", "Second."),
        Column("op", "STRING", "d for a delete."),
        *INGEST_COLUMNS,
    ),
    flow=AutoLoader("events/*.json", "json", "shop"),
    subject=REASON,
)
TYPE_1 = Dataset(
    name="silver.current",
    comment="Newest states.",
    columns=(KEY, *CONTENT),
    keys=("key",),
    flow=AutoCdc(keys=("key",), sequence_by=("at", "tie"), apply_as_deletes="op = 'd'"),
    subject=REASON,
    expectations=(Expectation("sequence_present", "at IS NOT NULL", Action.QUARANTINE),),
    query="SELECT key, tier, place, note, at, tie, op FROM bronze.events",
)
TYPE_2 = replace(
    TYPE_1,
    name="silver.history",
    comment="All states.",
    columns=(
        *TYPE_1.columns,
        Column("__START_AT", "BIGINT", "From.", nullable=False),
        Column("__END_AT", "BIGINT", "Until."),
    ),
    keys=("key", "__START_AT"),
    flow=AutoCdc(
        keys=("key",),
        sequence_by=("at", "tie"),
        apply_as_deletes="op = 'd'",
        stored_as_scd_type=2,
        except_column_list=("at", "tie", "op"),
        track_history_except_column_list=("note",),
    ),
)
QUALITY = ("quality.expectations", "quality.quarantine")


@dataclass(frozen=True)
class Event:
    at: int | None
    tie: int | None
    deletes: bool
    tier: str | None
    place: tuple[str | None, int | None] | None
    note: str | None

    @property
    def order(self) -> tuple[Any, ...]:
        """Sequence, a delete after what it is tied with, then what it says; nothing comes before something."""
        city, number = self.place or (None, None)
        said = [self.at, self.tie, self.deletes, self.tier, self.place is not None, city, number, self.note]
        return tuple((value is not None, value if value is not None else 0) for value in said)

    @property
    def tracked(self) -> tuple[Any, ...]:
        return self.tier, self.place

    @property
    def stored(self) -> tuple[Any, ...]:
        return self.tier, self.place, self.note

    def line(self, key: str) -> str:
        place = None if self.place is None else {"city": self.place[0], "number": self.place[1]}
        record = {"key": key, "tier": self.tier, "place": place, "note": self.note, "at": self.at, "tie": self.tie}
        return json.dumps({**record, "op": "d" if self.deletes else "u"})


def model_type_1(history: Sequence[Event]) -> list[tuple[Any, ...]]:
    newest = max((event for event in history if event.at is not None), key=lambda event: event.order, default=None)
    return [] if newest is None or newest.deletes else [newest.stored]


def model_type_2(history: Sequence[Event]) -> list[tuple[Any, ...]]:
    rows: list[list[Any]] = []  # tier and so on, start, end
    open_row: list[Any] | None = None
    last_of_instant = {
        event.at: event for event in sorted(history, key=lambda event: event.order) if event.at is not None
    }
    for at, event in last_of_instant.items():
        if event.deletes:
            if open_row is not None:
                open_row[4] = at
            open_row = None
        elif open_row is not None and (open_row[0], open_row[1]) == event.tracked:
            open_row[2] = event.note
        else:
            if open_row is not None:
                open_row[4] = at
            open_row = [*event.stored, at, None]
            rows.append(open_row)
    return [tuple(row) for row in rows]


def generated(chance: random.Random) -> list[Event]:
    def event() -> Event:
        return Event(
            at=chance.choice([None, *range(1, 6)]) if chance.random() < 0.1 else chance.randint(1, 6),
            tie=chance.choice([None, 1, 1, 2]),
            deletes=chance.random() < 0.25,
            tier=chance.choice(["gold", "Gold", "é", None]),
            place=chance.choice([None, (None, None), ("Łódź", 1), ("Łódź", None)]),
            note=chance.choice(["x", "y", None]),
        )

    events = [event() for _ in range(chance.randint(1, 9))]
    again = [chance.choice(events) for _ in range(chance.randint(0, 2))]
    return [*events, *again]


@dataclass
class Histories:
    """Many histories, and in which batch each of their events comes."""

    seed: int
    count: int
    batches: int
    events: dict[str, list[Event]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        chance = random.Random(self.seed)
        self.events = {f"k{number}": generated(chance) for number in range(self.count)}
        self._arrivals: list[list[str]] = [[] for _ in range(self.batches)]
        for key, history in self.events.items():
            for event in history:
                self._arrivals[chance.randrange(self.batches)].append(event.line(key))
        for arrival in self._arrivals:
            chance.shuffle(arrival)

    def land(self, landing: Path, batch: int) -> None:
        path = landing / "events" / f"{batch}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(line + "\n" for line in self._arrivals[batch]), encoding="utf-8")
        instant = 1_767_225_600_000_000_000 + random.Random(batch).randrange(10**9)
        os.utime(path, ns=(instant, instant))


def run(platform: Platform, engine: Engine, buckets: int = 0) -> None:
    catalog = Catalog([BRONZE, TYPE_1, TYPE_2, *map(load_catalog().get, QUALITY)])
    context = replace(platform.context(engine, AS_OF, buckets=buckets), catalog=catalog)
    run_pipeline("daily", context, platform.store)


def stored(platform: Platform, dataset: Dataset) -> dict[str, Counter[Any]]:
    found: dict[str, Counter[Any]] = {}
    for row in DeltaTable(platform.home / "lake" / dataset.name.replace(".", "/")).to_pyarrow_table().to_pylist():
        place = row["place"] and (row["place"]["city"], row["place"]["number"])
        rest = [row[name] for name in dataset.column_names[3:]]
        found.setdefault(row["key"], Counter())[row["tier"], place, *rest] += 1
    return found


def assert_as_modelled(platform: Platform, histories: Histories) -> None:
    for dataset, model in ((TYPE_1, model_type_1), (TYPE_2, model_type_2)):
        found = stored(platform, dataset)
        expected = {key: rows for key, events in histories.events.items() if (rows := Counter(model(events)))}
        wrong = [key for key in histories.events if found.get(key) != expected.get(key)]
        assert not wrong, f"{dataset.name}: {histories.events[wrong[0]]} became {found.get(wrong[0])}"
        assert found.keys() == expected.keys()
    held = DeltaTable(platform.home / "lake/quality/quarantine").to_pyarrow_table(columns=["dataset", "rules"])
    without = sum(event.at is None for events in histories.events.values() for event in events)
    assert Counter(row["dataset"] for row in held.to_pylist()) == {TYPE_1.name: without, TYPE_2.name: without}


@pytest.mark.parametrize("seed", [1, 2])
def test_any_batches_in_any_order_lead_to_the_states_of_the_model(seed: int, tmp_path: Path) -> None:
    histories = Histories(seed, count=200, batches=3)
    with Platform(tmp_path) as platform, platform.installation.engine() as engine:
        for batch in range(histories.batches):
            histories.land(platform.landing, batch)
            run(platform, engine, buckets=1 + batch)
        assert_as_modelled(platform, histories)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 16))
def test_thousands_of_histories(seed: int, tmp_path: Path) -> None:
    histories = Histories(seed, count=1000, batches=2 + seed % 5)
    with Platform(tmp_path) as platform, platform.installation.engine() as engine:
        for batch in range(histories.batches):
            histories.land(platform.landing, batch)
            run(platform, engine, buckets=1 + batch % 3)
        assert_as_modelled(platform, histories)


@pytest.mark.xdist_group("spark")
def test_spark_leads_to_the_same_states(spark: Any, tmp_path: Path) -> None:
    histories = Histories(3, count=150, batches=2)
    with Platform(tmp_path) as platform:
        settings = platform.installation.settings
        engine = SparkEngine(settings.lake, spark, settings.scratch)
        for batch in range(histories.batches):
            histories.land(platform.landing, batch)
            run(platform, engine)
        assert_as_modelled(platform, histories)


def test_a_late_upsert_older_than_the_delete_does_not_resurrect(tmp_path: Path) -> None:
    """The one history by hand, so that a reader need not trust the model."""
    gold, basic = (Event(1, 1, False, tier, None, None) for tier in ("gold", "basic"))
    history = [replace(gold, at=10), Event(30, 1, True, None, None, None), replace(basic, at=20), replace(gold, at=40)]
    with Platform(tmp_path) as platform, platform.installation.engine() as engine:
        for number, event in enumerate(history):
            path = platform.landing / "events" / f"{number}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(event.line("k") + "\n", encoding="utf-8")
            run(platform, engine)
            if number == 2:
                assert stored(platform, TYPE_1) == {}
                assert stored(platform, TYPE_2) == {
                    "k": Counter([("gold", None, None, 10, 20), ("basic", None, None, 20, 30)])
                }
        assert stored(platform, TYPE_1) == {"k": Counter([("gold", None, None)])}
        assert ("gold", None, None, 40, None) in stored(platform, TYPE_2)["k"]
