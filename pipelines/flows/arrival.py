"""One batch of source rows into bronze: appended once, counted, marked. What every source's flow ends in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

import pyarrow as pa

from kit.errors import C360Error
from kit.faults import boundary
from lakehouse.checkpoints import Batch
from lakehouse.dataset import Dataset
from lakehouse.lease import Lease
from lakehouse.properties import arrow_schema
from pipelines.flows import quality
from pipelines.flows.context import FlowContext, FlowResult, retried
from pipelines.flows.expectations import Quality, measure

Rows = Callable[[], Iterator[pa.RecordBatch]]
"""Yields a batch's rows from their beginning, in the declared columns: it is called again when another writer came first."""


def bring(context: FlowContext, dataset: Dataset, batch: Batch, lease: Lease, result: FlowResult, rows: Rows) -> None:
    """Append a planned batch's rows unless they are in the table already, count its expectations, and mark it."""
    version = retried(lambda: _append(context, dataset, batch, lease, rows))
    finish(context, dataset, batch, version, result)


def finish(context: FlowContext, dataset: Dataset, batch: Batch, version: int, result: FlowResult) -> None:
    """Count the expectations of a batch that is in the table, and mark it."""
    boundary("flow.target_committed")
    counts = _measure(context, dataset, batch, version)
    if counts.total:
        retried(lambda: quality.record_metrics(context, dataset, batch, counts))
    boundary("flow.metrics_committed")
    context.checkpoints.mark(batch, target_version=version)
    boundary("flow.batch_marked")
    result.batches += 1
    result.rows_in += counts.total
    result.rows_out += counts.total
    result.rows_written += counts.total
    result.count_failures(counts.failures)


def _append(context: FlowContext, dataset: Dataset, batch: Batch, lease: Lease, rows: Rows) -> int:
    """The table's version with the batch in it; a batch without rows commits nothing."""
    reached = context.engine.batch(dataset.name, dataset.name) >= batch.batch
    batches = iter(()) if reached else rows()
    first = next(batches, None)
    if first is None:
        return context.engine.version(dataset.name) or 0
    broken: list[C360Error] = []

    def watched() -> Iterator[pa.RecordBatch]:
        try:
            yield from chain((first,), batches)
        except C360Error as error:
            broken.append(error)  # the engine says only that its source broke
            raise

    whole = pa.RecordBatchReader.from_batches(arrow_schema(dataset), watched())
    with context.engine.session(batch.as_of) as session:
        try:
            return session.append_rows(dataset, whole, context.commit(dataset.name, batch.batch, lease)).version
        except Exception:
            if broken:
                raise broken[0] from None
            raise


def _measure(context: FlowContext, dataset: Dataset, batch: Batch, version: int) -> Quality:
    """Count the expectations over the rows of one batch, which its instant tells from all others."""
    if not dataset.expectations:
        return Quality()
    instant = int(batch.planned_at.timestamp() * 1_000_000)
    with context.engine.session(batch.as_of) as session:
        session.bind("__bronze", dataset.name, version)
        session.define("__arrived", f"SELECT * FROM __bronze WHERE unix_micros(_ingested_at) = {instant}")
        return measure(session, dataset, "__arrived")
