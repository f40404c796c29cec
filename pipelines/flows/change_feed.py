"""change_feed: the changes of a Delta table of others, each commit once, into bronze, over any crash.

A snapshot comes first, at the table's newest version v: every row as an insert, in pieces of bounded size. Then the changes of
v+1, v+2, …, in batches of whole versions. Each batch is planned with its versions pinned, committed as one append with
(flow, batch), then marked; a crash repeats the same work under the same number, and the table refuses it twice. The last
batch *is* the position; its ``definition`` is the id of the source table it read.

A gap is an error that stops the flow (`FeedGap`), since changes are lost that nothing can bring back. A *resync* begins anew: a
new snapshot, and a delete for every row that bronze holds alive and the snapshot has not. Versions count within such a
*generation*, so that a source table that was created anew, and numbers from 0, comes after all that went before. A flow whose
position is lost with the control database begins anew too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from kit.errors import C360Error
from kit.faults import boundary
from lakehouse.changes.rows import Arrival, read_changes
from lakehouse.changes.source import ChangeSource, FeedGap, SourceCommit
from lakehouse.checkpoints import Batch
from lakehouse.dataset import ChangeFeed, Dataset
from lakehouse.engine import CommitConflict, StaleFence, UnreadableTable
from lakehouse.lease import Lease
from pipelines.flows import vanished
from pipelines.flows.arrival import bring, finish
from pipelines.flows.context import FlowContext, FlowResult, retried


def run_change_feed(context: FlowContext, dataset: Dataset, *, resync: bool = False) -> FlowResult:
    """Append every change committed since the last run. Raises FeedGap, with what to do, where some are lost for good.

    ``resync`` takes a new snapshot first, wherever the flow stands.
    """
    result = FlowResult(dataset.name)
    with context.writing(dataset.name) as lease, _telling_what_to_do(dataset):
        result.version_before = context.engine.version(dataset.name)
        if result.version_before is None:
            if context.checkpoints.last(dataset.name) is not None:
                context.begin_anew(dataset, lease)
            context.engine.create(dataset, lease)
        feed = _Feed(context, dataset, lease, result)
        feed.finish_planned(resync=resync)
        feed.advance(resync=resync)
        result.version_after = context.engine.version(dataset.name)
    return result


@contextmanager
def _telling_what_to_do(dataset: Dataset) -> Iterator[None]:
    try:
        yield
    except FeedGap as gap:
        raise FeedGap(f"{gap.message}; run c360 pipeline resync {dataset.name}") from None


@dataclass(frozen=True, slots=True)
class _Step:
    """What one batch does, pinned.

    ``snapshot``: files [first, after) of the ``of`` files that version ``upto`` has. ``vanished``: deletes of what that snapshot
    has not. ``changes``: versions (first, upto]. A snapshot's first batch has ``generation`` 0: it begins the one of its own number.
    """

    kind: str
    upto: int
    first: int = 0
    after: int = 0
    of: int = 0
    resync: int = 0
    generation: int = 0

    def inputs(self) -> dict[str, int]:
        """The step as a batch's pinned inputs."""
        numbers: dict[str, Any] = asdict(self)
        return {numbers.pop("kind"): numbers.pop("upto"), **numbers}

    @classmethod
    def read(cls, batch: Batch) -> _Step:
        numbers = dict(batch.inputs)
        kind = next(kind for kind in ("snapshot", "vanished", "changes") if kind in numbers)
        numbers["generation"] = numbers["generation"] or batch.batch
        return cls(kind, numbers.pop(kind), **numbers)

    def __str__(self) -> str:
        return {
            "snapshot": f"reading files {self.first + 1} to {self.after} of {self.of} of version {self.upto}",
            "vanished": f"looking for rows that version {self.upto} has not",
            "changes": f"reading versions {self.first + 1} to {self.upto}",
        }[self.kind]


class _Feed:
    """One run of the flow, under the table's lease."""

    def __init__(self, context: FlowContext, dataset: Dataset, lease: Lease, result: FlowResult) -> None:
        flow = dataset.flow
        assert isinstance(flow, ChangeFeed)  # noqa: S101 - the caller's dispatch, for the type checker
        self._context, self._dataset, self._flow, self._lease, self._result = context, dataset, flow, lease, result
        self._source = ChangeSource.open(context.landing, flow.path)

    def finish_planned(self, *, resync: bool) -> None:
        """Do what a crash left planned. Before a resync it may as well prove impossible."""
        if (batch := self._context.checkpoints.planned(self._dataset.name)) is None:
            return
        try:
            self._carry_out(batch)
        except (FeedGap, UnreadableTable):
            if not resync:
                raise

    def advance(self, *, resync: bool) -> None:
        """Plan and carry out batch after batch until there is nothing new."""
        while (planned := self._next(resync=resync)) is not None:
            table_id, step = planned
            batch = self._context.checkpoints.plan(
                self._dataset.name,
                inputs=step.inputs(),
                as_of=self._context.as_of,
                definition=table_id,
                after=self._reached(),
                run_id=self._context.run_id,
                lease=self._lease,
            )
            boundary("feed.batch_planned")
            self._carry_out(batch)
            resync = False

    def _next(self, *, resync: bool) -> tuple[str, _Step] | None:
        """The id of the source table and what to read of it next; None where there is nothing new."""
        source, last = self._source, self._context.checkpoints.last(self._dataset.name)
        if source is None:
            if last is None:
                return None
            raise FeedGap(f"{self._flow.path} holds no Delta table any more")
        boundary("feed.position_read")
        if last is None or resync:
            begun_before = self._reached() > 0
            return source.table_id, self._piece(source, _Step("snapshot", source.version, resync=int(begun_before)))
        done = _Step.read(last)
        if last.definition != source.table_id:
            raise FeedGap(f"{self._flow.path} is another table than the one read before (was it created anew?)")
        if source.version < done.upto:
            raise FeedGap(f"{self._flow.path} has version {source.version}, and {done.upto} was read before")
        if done.kind == "snapshot" and done.after < done.of:
            return source.table_id, self._piece(source, done)
        if done.kind == "snapshot" and done.resync:
            return source.table_id, _Step("vanished", done.upto, generation=done.generation)
        return None if source.version == done.upto else (source.table_id, self._changes(source, done))

    def _piece(self, source: ChangeSource, done: _Step) -> _Step:
        """The files of a snapshot that come after those of ``done``, as many as fit a batch, at least one."""
        files = source.snapshot(done.upto).files
        size, after = 0, done.after
        for file in files[done.after :]:
            size += file.size
            if size > self._context.batch_max_bytes and after > done.after:
                break
            after += 1
        return _Step("snapshot", done.upto, done.after, after, len(files), done.resync, done.generation)

    def _changes(self, source: ChangeSource, done: _Step) -> _Step:
        """The versions that come after ``done``, as many as fit a batch, at least one."""
        size, upto = 0, done.upto
        for commit in source.commits(done.upto, source.version):
            size += commit.size
            if size > self._context.batch_max_bytes and upto > done.upto:
                break
            upto = commit.version
        return _Step("changes", upto, first=done.upto, generation=done.generation)

    def _carry_out(self, batch: Batch) -> None:
        """Commit one planned batch; one that cannot succeed any more is given up, and the next run looks anew."""
        step = _Step.read(batch)
        self._context.progress(self._dataset.name, str(step))
        try:
            if step.kind == "vanished":
                version = retried(lambda: self._delete_vanished(batch, step))
                finish(self._context, self._dataset, batch, version, self._result)
            else:
                bring(self._context, self._dataset, batch, self._lease, self._result, lambda: self._rows(batch, step))
        except (StaleFence, CommitConflict):
            raise
        except C360Error:
            self._context.checkpoints.abandon(batch, lease=self._lease)
            raise

    def _rows(self, batch: Batch, step: _Step) -> Iterator[pa.RecordBatch]:
        source = self._source
        if source is None or source.table_id != batch.definition:
            raise FeedGap(f"{self._flow.path} is not the table any more that was to be read")
        if step.kind == "snapshot":
            whole = source.snapshot(step.upto)
            commits = iter([SourceCommit(whole.version, whole.timestamp, whole.files[step.first : step.after])])
        else:
            commits = source.commits(step.first, step.upto)
        arrival = Arrival(batch.planned_at, step.generation)
        return read_changes(self._context.landing, self._dataset, commits, arrival)

    def _delete_vanished(self, batch: Batch, step: _Step) -> int:
        if self._reached() >= batch.batch:
            return self._context.engine.version(self._dataset.name) or 0
        timestamp = self._source.timestamp(step.upto) if self._source else batch.planned_at
        vanishing = vanished.Snapshot(step.upto, timestamp, step.generation)
        return vanished.delete(self._context, self._dataset, batch, self._lease, vanishing)

    def _reached(self) -> int:
        """The last batch of the flow that is in the table."""
        return self._context.engine.batch(self._dataset.name, self._dataset.name)
