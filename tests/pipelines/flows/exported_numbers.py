"""An exported table of numbers, and a process that brings it up to date, for tests to kill.

Arguments: the installation's home, how many numbers there are by now, how many a batch of the keeper's holds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable

from lakehouse.catalog import Catalog
from lakehouse.dataset import Column, Dataset, Exported, NoSubject
from lakehouse.properties import arrow_schema
from pipelines.runner import PipelineResult, run_pipeline
from tests.platform import Platform

AS_OF = date(2026, 3, 1)

NUMBERS = Dataset(
    name="system.tests.numbers",
    comment="Numbers.",
    columns=(Column("number", "BIGINT", "The number.", nullable=False),),
    flow=Exported("numbers"),
    subject=NoSubject("made up"),
)


@dataclass
class Numbers:
    """Keeps a row for every position that is no multiple of ``skip``."""

    count: int
    size: int = 1000
    skip: int = 10**9

    def end(self) -> int:
        return self.count

    def rows(self, after: int, upto: int) -> Iterator[pa.RecordBatch]:
        kept = [number for number in range(after + 1, upto + 1) if number % self.skip]
        for start in range(0, len(kept), self.size):
            yield pa.record_batch([pa.array(kept[start : start + self.size], pa.int64())], schema=arrow_schema(NUMBERS))


def export(platform: Platform, numbers: Numbers | None) -> PipelineResult:
    """Run the pipeline ``system`` over this table alone."""
    handed = {} if numbers is None else {"numbers": numbers}
    with platform.installation.engine() as engine:
        context = platform.context(engine, AS_OF)
        context = replace(context, catalog=Catalog([NUMBERS]), exports=handed)
        return run_pipeline("system", context, platform.store)


def exported(home: Path) -> list[int]:
    """What the table holds."""
    rows = DeltaTable(home / "lake" / "system" / "tests" / "numbers").to_pyarrow_table().to_pylist()
    return sorted(row["number"] for row in rows)


if __name__ == "__main__":
    with Platform(Path(sys.argv[1]), lease_seconds=1) as opened:
        export(opened, Numbers(int(sys.argv[2]), int(sys.argv[3])))
