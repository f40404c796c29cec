"""A pipeline as one long-lived run of micro-batches: Spark's ``processingTime`` trigger in meaning.

Every ``interval`` seconds what has arrived is brought through to the online store, as a batch run would bring it; where nothing
has, nothing is looked at. What has arrived is known from file notification, and from a look at every source each
``list_every`` seconds, which finds what no notification told. There is no watermark that would drop what is late: a late row is
merged whenever it comes, for rows are computed anew by key from all that is known of it.

The first micro-batch looks at everything, so it finishes what a crash has left. A stop is heeded between micro-batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from lakehouse.catalog import Catalog
from lakehouse.dataset import AutoLoader, ChangeFeed, Exported
from lakehouse.files.arrivals import Arrivals
from lakehouse.online.store import OnlineStore
from pipelines.flows.context import FlowContext, FlowResult
from pipelines.publish import PublishResult
from pipelines.runner import PipelineResult, datasets_of, run_pipeline

INTERVAL_SECONDS = 10.0
LIST_EVERY_SECONDS = 60.0

Wait = Callable[[float], bool]
"""Waits so many seconds; True at once when the run is asked to stop."""


@dataclass(slots=True)
class Totals:
    """What a run's micro-batches did, together: as large after a year as after a minute."""

    batches: int = 0
    commits: int = 0
    datasets: dict[str, FlowResult] = field(default_factory=dict)
    online: dict[str, PublishResult] = field(default_factory=dict)

    def add(self, result: PipelineResult) -> None:
        """Add one micro-batch."""
        self.batches += 1
        self.commits += result.commits
        for flow in result.datasets:
            self.datasets[flow.dataset] = _sum(self.datasets.get(flow.dataset), flow)
        for item in result.published:
            before = self.online.get(item.view, PublishResult(item.view, None))
            self.online[item.view] = replace(
                item,
                written=before.written + item.written,
                deleted=before.deleted + item.deleted,
                unchanged=before.unchanged + item.unchanged,
            )

    @property
    def record(self) -> dict[str, Any]:
        """The run's record, in the form of a batch run's."""
        whole = PipelineResult(list(self.datasets.values()), list(self.online.values())).record
        return {**whole, "commits": self.commits, "batches": self.batches}


OnBatch = Callable[[dict[str, Any]], None]
"""Told of each micro-batch: its number, files, rows, commits and seconds."""


def run_stream(
    name: str,
    context: FlowContext,
    store: OnlineStore,
    wait: Wait,
    *,
    on_batch: OnBatch = lambda _batch: None,
    interval: float = INTERVAL_SECONDS,
    list_every: float = LIST_EVERY_SECONDS,
) -> Totals:
    """Bring a pipeline up to its inputs again and again, until asked to stop; a micro-batch that has begun is finished."""
    folders = _folders(name, context.catalog)
    pulled = {dataset.name for dataset in datasets_of(name, context.catalog) if isinstance(dataset.flow, Exported)}
    sources = folders.keys() | pulled
    totals = Totals()
    context = replace(context, stopping=lambda: False)  # a stop is heeded here, between batches
    with Arrivals(context.landing, folders) as arrivals:
        listed = time.monotonic() - list_every  # again at the second: the watch may have begun after the first look
        arrived: set[str] | None = None
        while True:
            started = time.monotonic()
            if arrived is None or arrived:
                result = run_pipeline(name, context, store, arrived=arrived)
                totals.add(result)
                on_batch(_told(totals.batches, result, time.monotonic() - started))
                context = replace(context, full_refresh=False)
            if wait(max(0.0, started + interval - time.monotonic())):
                return totals
            arrived = arrivals.take()
            if not arrivals.is_watching or time.monotonic() - listed >= list_every:
                arrived, listed = set(sources), time.monotonic()


def _folders(name: str, catalog: Catalog) -> dict[str, str]:
    """Where in the landing zone the files of each source lie."""
    flows = {dataset.name: dataset.flow for dataset in datasets_of(name, catalog)}
    return {
        source: flow.path.split("*", 1)[0].rstrip("/")
        for source, flow in flows.items()
        if isinstance(flow, AutoLoader | ChangeFeed)
    }


def _sum(before: FlowResult | None, flow: FlowResult) -> FlowResult:
    if before is None:
        return flow
    counters = (
        "batches", "rows_in", "rows_out", "rows_written", "rows_deleted", "dropped", "quarantined", "files", "unreadable_files", "seconds",
    )  # fmt: skip
    sums = {counter: getattr(before, counter) + getattr(flow, counter) for counter in counters}
    total = replace(flow, version_before=before.version_before, expectations=dict(before.expectations), **sums)
    total.count_failures(flow.expectations)
    return total


def _told(number: int, result: PipelineResult, seconds: float) -> dict[str, Any]:
    return {
        "batch": number,
        "files": sum(flow.files for flow in result.datasets),
        "rows": sum(flow.rows_in for flow in result.datasets if flow.files),
        "commits": result.commits,
        "seconds": round(seconds, 3),
    }
