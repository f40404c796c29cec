"""seed: reference rows that come with the code; the table is replaced when they differ from what it holds."""

from __future__ import annotations

from lakehouse.catalog import definition
from lakehouse.dataset import Dataset, Seed
from pipelines.flows.context import FlowContext, FlowResult, retried


def run_seed(context: FlowContext, dataset: Dataset) -> FlowResult:
    """Put the declared rows in the table's place, once per content."""
    result = FlowResult(dataset.name)
    with context.writing(dataset.name) as lease:
        result.version_before = result.version_after = context.engine.version(dataset.name)
        if result.version_before is None and context.checkpoints.last(dataset.name) is not None:
            context.begin_anew(dataset, lease)
        batch = context.checkpoints.planned(dataset.name)
        if batch is None:
            last = context.checkpoints.last(dataset.name)
            if last is not None and last.definition == definition(dataset) and result.version_before is not None:
                return result
            batch = context.checkpoints.plan(
                dataset.name,
                inputs={},
                as_of=context.as_of,
                definition=definition(dataset),
                after=context.engine.batch(dataset.name, dataset.name),
                run_id=context.run_id,
                lease=lease,
            )
        flow = dataset.flow
        assert isinstance(flow, Seed)  # noqa: S101 - the caller's dispatch, for the type checker
        rows = flow.rows()

        def write() -> int:
            with context.engine.session(batch.as_of) as session:
                session.load("__rows", rows)
                commit = context.commit(dataset.name, batch.batch, lease)
                return session.replace(dataset, "SELECT * FROM __rows", commit).version

        version = retried(write)
        context.checkpoints.mark(batch, target_version=version)
        result.version_after, result.batches = version, 1
        result.rows_in = result.rows_out = result.rows_written = rows.num_rows
    return result
