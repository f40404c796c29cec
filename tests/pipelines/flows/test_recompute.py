"""What recomputed keys write: only rows that differ, and rows that are all new without a look at the table's files."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

from deltalake import DeltaTable

from lakehouse.catalog import Catalog
from lakehouse.dataset import AutoLoader, ByKey, Column, Dataset, NoSubject
from pipelines.runner import run_pipeline
from pipelines.sources import INGEST_COLUMNS
from tests.platform import Platform

REASON = NoSubject("made up")
BRONZE = Dataset(
    name="bronze.readings",
    comment="Readings.",
    columns=(Column("sensor", "STRING", "Sensor."), Column("value", "BIGINT", "Reading."), *INGEST_COLUMNS),
    flow=AutoLoader("readings/*.json", "json", "plant"),
    subject=REASON,
)
HIGHEST = Dataset(
    name="silver.highest",
    comment="The highest reading of each sensor.",
    columns=(Column("sensor", "STRING", "Sensor.", nullable=False), Column("value", "BIGINT", "Reading.")),
    keys=("sensor",),
    flow=ByKey(keys=("sensor",)),
    subject=REASON,
    query="SELECT sensor, max(value) AS value FROM bronze.readings WHERE sensor IS NOT NULL GROUP BY sensor",
)
CATALOG = Catalog([BRONZE, HIGHEST])


def test_new_keys_leave_the_tables_files_as_they_are(tmp_path: Path) -> None:
    with Platform(tmp_path / "home") as platform:

        def arrive(name: str, **readings: int) -> tuple[set[str], dict[str, int]]:
            folder = platform.landing / "readings"
            folder.mkdir(parents=True, exist_ok=True)
            lines = [json.dumps({"sensor": sensor, "value": value}) for sensor, value in readings.items()]
            (folder / f"{name}.json").write_text("\n".join(lines))
            with platform.installation.engine("embedded") as engine:
                context = replace(platform.context(engine, date(2026, 3, 1)), catalog=CATALOG)
                run_pipeline("daily", context, platform.store)
            table = DeltaTable(platform.installation.settings.lake / "silver" / "highest")
            return set(table.file_uris()), {row["sensor"]: row["value"] for row in table.to_pyarrow_table().to_pylist()}

        first, _ = arrive("first", a=1, b=2)
        second, rows = arrive("second", c=3)
        assert first < second
        assert rows == {"a": 1, "b": 2, "c": 3}
        third, rows = arrive("third", a=5, d=4)
        assert not first & third, "a row that has changed is written anew"
        assert rows == {"a": 5, "b": 2, "c": 3, "d": 4}
        fourth, rows = arrive("fourth", a=0)
        assert fourth == third, "nothing differs"
        assert rows == {"a": 5, "b": 2, "c": 3, "d": 4}
