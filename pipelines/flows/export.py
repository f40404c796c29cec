"""exported: what another part of the installation keeps (audit events, ended runs, lineage) as a table, each row once.

A batch is planned first: all positions after the last batch's, up to where the keeper's rows are settled now. It is committed as
one append with (flow, batch), then marked. After a crash the planned batch is done again over the same positions, and is a
no-op where its commit had reached the table.
"""

from __future__ import annotations

from itertools import chain

import pyarrow as pa

from kit.errors import Invalid
from kit.faults import boundary
from lakehouse.checkpoints import Batch, Checkpoints
from lakehouse.dataset import Dataset, Exported
from lakehouse.lease import Lease
from lakehouse.properties import arrow_schema
from pipelines.flows.context import Export, FlowContext, FlowResult, retried


class MissingExport(Invalid):
    """The run was not handed the keeper of an exported dataset's rows."""

    code = "flow.missing_export"


def run_exported(context: FlowContext, dataset: Dataset) -> FlowResult:
    """Append what the keeper has gained. A table that vanished is built anew from all that the keeper still has."""
    export = _export(context, dataset)
    result = FlowResult(dataset.name)
    with context.writing(dataset.name) as lease:
        result.version_before = context.engine.version(dataset.name)
        if result.version_before is None:
            if context.checkpoints.last(dataset.name) is not None:
                context.begin_anew(dataset, lease)
            context.engine.create(dataset, lease)
        if (left := context.checkpoints.planned(dataset.name)) is not None:
            _append(context, dataset, export, left, lease, result)
        after, upto = exported_upto(context.checkpoints, dataset), export.end()
        if upto > after:
            batch = context.checkpoints.plan(
                dataset.name,
                inputs={_source(dataset): upto},
                as_of=context.as_of,
                definition="export",
                after=context.engine.batch(dataset.name, dataset.name),
                run_id=context.run_id,
                lease=lease,
            )
            boundary("flow.batch_planned")
            _append(context, dataset, export, batch, lease, result)
        result.version_after = context.engine.version(dataset.name)
    return result


def _append(
    context: FlowContext, dataset: Dataset, export: Export, batch: Batch, lease: Lease, result: FlowResult
) -> None:
    after, upto = exported_upto(context.checkpoints, dataset), batch.inputs[_source(dataset)]

    def write() -> tuple[int, int]:
        if context.engine.batch(dataset.name, dataset.name) >= batch.batch:
            return context.engine.version(dataset.name) or 0, 0
        counted = _Counted()
        batches = map(counted, export.rows(after, upto))
        first = next(batches, None)
        if first is None:  # positions without a row of this table
            return context.engine.version(dataset.name) or 0, 0
        rows = pa.RecordBatchReader.from_batches(arrow_schema(dataset), chain((first,), batches))
        with context.engine.session(batch.as_of) as session:
            committed = session.append_rows(dataset, rows, context.commit(dataset.name, batch.batch, lease))
        return committed.version, counted.rows

    version, written = retried(write)
    boundary("flow.target_committed")
    context.checkpoints.mark(batch, target_version=version)
    boundary("flow.batch_marked")
    result.batches += 1
    result.rows_in += written
    result.rows_out += written
    result.rows_written += written


def exported_upto(checkpoints: Checkpoints, dataset: Dataset) -> int:
    """The position up to which the keeper's rows are in the table."""
    last = checkpoints.last(dataset.name)
    return 0 if last is None else last.inputs[_source(dataset)]


def _export(context: FlowContext, dataset: Dataset) -> Export:
    source = _source(dataset)
    if source not in context.exports:
        handed = ", ".join(sorted(context.exports)) or "none"
        raise MissingExport(
            f"{dataset.name} is exported from {source}; hand it to the run as one of its exports (handed are: {handed})"
        )
    return context.exports[source]


def _source(dataset: Dataset) -> str:
    assert isinstance(dataset.flow, Exported)  # noqa: S101 - the caller's dispatch, for the type checker
    return dataset.flow.source


class _Counted:
    """Counts the rows of the batches that pass."""

    def __init__(self) -> None:
        self.rows = 0

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        self.rows += batch.num_rows
        return batch
