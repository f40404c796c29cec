"""What a flow works with, and what it reports back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from lakehouse.catalog import Catalog
from lakehouse.checkpoints import Checkpoints
from lakehouse.dataset import Dataset
from lakehouse.engine import Commit, CommitConflict, Engine
from lakehouse.lease import Lease, Leases
from pipelines.job import RunStopped

T = TypeVar("T")

ATTEMPTS = 5
"""How often a batch is computed when other writers keep committing first."""

Progress = Callable[[str, str], None]
"""Called with (dataset, what is happening to it now)."""


class Export(Protocol):
    """Rows that a part of the installation keeps, in the order of positions: integers from 1 that only grow."""

    def end(self) -> int:
        """The last position that is settled: no row will ever come to be at or before it. 0 while there is none."""

    def rows(self, after: int, upto: int) -> Iterator[pa.RecordBatch]:
        """The rows of positions (after, upto] as the declared columns; the same whenever it is asked."""


@dataclass(frozen=True, slots=True)
class FlowContext:
    """One run's means: where to read, compute, commit, and on whose behalf.

    ``buckets`` is how many pieces a whole table is computed in; 0 chooses by the size of its inputs. ``exports`` are the keepers
    of rows that `Exported` datasets name. ``stopping`` says whether the run has been asked to stop: a flow looks
    between its batches and returns early, with its lease given back in good order.
    """

    engine: Engine
    catalog: Catalog
    checkpoints: Checkpoints
    leases: Leases
    landing: Path
    run_id: str
    as_of: date
    owner: str
    full_refresh: bool = False
    buckets: int = 0
    batch_max_bytes: int = 1 << 30
    exports: Mapping[str, Export] = field(default_factory=dict)
    progress: Progress = field(default=lambda _dataset, _step: None)
    stopping: Callable[[], bool] = field(default=lambda: False)

    def check_stop(self) -> None:
        """Raises RunStopped once the run has been asked to stop."""
        if self.stopping():
            raise RunStopped(
                f"run {self.run_id} was stopped; what it had committed stays, the next run goes on from there"
            )

    @contextmanager
    def writing(self, table: str) -> Iterator[Lease]:
        """Hold the one right to write a table. A lease taken over from a writer that vanished is first made known to the
        table itself, so that nothing of that writer can still arrive."""
        with self.leases.acquire(table, self.owner, wait=self.leases.seconds * 2 + 10) as lease:
            if lease.taken_over:
                self.engine.claim(table, lease)
            yield lease

    def begin_anew(self, dataset: Dataset, lease: Lease) -> None:
        """The table has vanished: forget what its flow has done, and what was built upon it by all that read it. Versions of
        the table that is built next must not be taken for those that others have seen."""
        stale = {dataset.name}
        for reader in self.catalog:  # in order, so that readers of readers are found
            if reader.name not in stale and not stale.isdisjoint(self.catalog.inputs(reader)):
                stale.add(reader.name)
                with self.writing(reader.name) as held:
                    self.checkpoints.reset(reader.name, lease=held)
        self.checkpoints.reset(dataset.name, lease=lease)

    def commit(self, flow: str, batch: int, lease: Lease) -> Commit:
        """Identity of a commit of this run."""
        return Commit(flow, batch, lease, {"run_id": self.run_id, "as_of": self.as_of.isoformat()})


@dataclass(slots=True)
class FlowResult:
    """What one flow did in one run. Counts are of rows; ``expectations`` maps a name to its failures; ``inputs`` are the versions of
    the tables that the dataset now stands on."""

    dataset: str
    version_before: int | None = None
    version_after: int | None = None
    inputs: dict[str, int] = field(default_factory=dict)
    batches: int = 0
    rows_in: int = 0
    rows_out: int = 0
    rows_written: int = 0
    rows_deleted: int = 0
    dropped: int = 0
    quarantined: int = 0
    expectations: dict[str, int] = field(default_factory=dict)
    files: int = 0
    unreadable_files: int = 0
    seconds: float = 0.0

    @property
    def flow_progress(self) -> dict[str, Any]:
        """The flow's end in the shape of Lakeflow's event log (``details.flow_progress``); a held-back row counts as dropped."""
        expectations = [
            {
                "name": name,
                "dataset": self.dataset,
                "passed_records": self.rows_in - failed,
                "failed_records": failed,
            }
            for name, failed in self.expectations.items()
        ]
        return {
            "status": "COMPLETED",
            "metrics": {"num_output_rows": self.rows_out},
            "data_quality": {"dropped_records": self.dropped + self.quarantined, "expectations": expectations},
        }

    def count_failures(self, failures: Mapping[str, int]) -> None:
        for name, failed in failures.items():
            self.expectations[name] = self.expectations.get(name, 0) + failed


def retried(attempt: Callable[[], T]) -> T:
    """Run ``attempt`` again, from its own beginning, when another writer committed first."""
    for _ in range(ATTEMPTS - 1):
        try:
            return attempt()
        except CommitConflict:
            continue
    return attempt()
