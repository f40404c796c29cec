"""auto_loader: each landing file once, into bronze, over any crash.

A batch is planned first (which files, in the control database), then committed as one append with (flow, batch), then marked.
After a crash the planned batch is done again with the same files and the same instant, and is a no-op where its commit had
reached the table. Files that cannot be read are recorded with their reason, are tried again when they change, and stop
nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from kit.faults import boundary
from lakehouse.checkpoints import Batch
from lakehouse.dataset import AutoLoader, Dataset
from lakehouse.files.listing import LandingFile, list_files
from lakehouse.files.reader import FileSpoiled, read_files
from lakehouse.lease import Lease
from pipelines.flows.arrival import bring
from pipelines.flows.context import FlowContext, FlowResult


def run_auto_loader(context: FlowContext, dataset: Dataset) -> FlowResult:
    """Append the records of all files not seen before, in batches of at most ``batch_max_bytes``."""
    flow = dataset.flow
    assert isinstance(flow, AutoLoader)  # noqa: S101 - the caller's dispatch, for the type checker
    result = FlowResult(dataset.name)
    with context.writing(dataset.name) as lease:
        result.version_before = context.engine.version(dataset.name)
        if result.version_before is None:
            if context.checkpoints.last(dataset.name) is not None:
                context.begin_anew(dataset, lease)
            context.engine.create(dataset, lease)
        if (left := context.checkpoints.planned(dataset.name)) is not None:
            _ingest(context, dataset, left, lease, result)
        unseen = context.checkpoints.unseen(dataset.name, list_files(context.landing, flow.path))
        boundary("ingest.files_seen")
        for files in _batches(unseen, context.batch_max_bytes):
            if context.stopping():
                break
            batch = context.checkpoints.plan_files(
                dataset.name,
                files,
                as_of=context.as_of,
                definition="files",
                after=context.engine.batch(dataset.name, dataset.name),
                run_id=context.run_id,
                lease=lease,
            )
            boundary("ingest.batch_planned")
            _ingest(context, dataset, batch, lease, result)
        result.version_after = context.engine.version(dataset.name)
    return result


def _ingest(context: FlowContext, dataset: Dataset, batch: Batch, lease: Lease, result: FlowResult) -> None:
    """Bring a planned batch in. Begins again without a file that turns out to be unreadable half-way: nothing of it may stay."""

    def unreadable(file: LandingFile, reason: str) -> None:
        context.checkpoints.mark_unreadable(dataset.name, file, reason)
        result.unreadable_files += 1

    while True:
        files = context.checkpoints.files(batch)
        context.progress(dataset.name, f"reading {len(files)} files")
        read = partial(read_files, context.landing, files, dataset, batch.planned_at, unreadable)
        try:
            bring(context, dataset, batch, lease, result, read)
        except FileSpoiled:
            continue  # it has left the batch
        result.files += len(files)
        return


def _batches(files: list[LandingFile], limit: int) -> Iterator[list[LandingFile]]:
    """Files in their order, cut so that a batch stays within ``limit`` bytes (one larger file is a batch of its own)."""
    batch: list[LandingFile] = []
    size = 0
    for file in files:
        if batch and size + file.size > limit:
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size
    if batch:
        yield batch
