"""How far each flow has come: batches planned on pinned inputs, and the landing files they took.

A batch is planned before anything is computed and marked when its commit is in the table. What a crash leaves planned is
done again with the same inputs under the same number, which the table refuses to take twice. Planning and abandoning are
the lease holder's alone, confirmed in the same transaction: a writer that slept through its lease cannot leave a plan behind.

If the control database is lost and the lake kept, a flow finds no last batch: computed tables are computed anew and only
differences are written (numbers go on after the table's own); landing files are ingested again, as new bronze rows that
silver recognises as versions it has. If it is restored from an older copy, what was committed since is treated in the same
way; a batch that the copy holds as planned and the table as committed is marked and not repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from kit.clock import now
from kit.db import Database
from kit.errors import Conflict
from lakehouse.files.listing import LandingFile
from lakehouse.lease import Lease
from lakehouse.models import BatchState, FileState, FlowBatchRow, LandingFileRow

_PATHS_PER_STATEMENT = 500
_REASON_LENGTH = 500


class BatchUnfinished(Conflict):
    """The flow has a planned batch; it has to be finished or abandoned before another is planned."""

    code = "lakehouse.batch_unfinished"


class FilesTaken(Conflict):
    """A batch has some of these files already; list them again."""

    code = "lakehouse.files_taken"


@dataclass(frozen=True, slots=True)
class Batch:
    """A flow's unit of work. ``inputs`` maps tables to the versions it reads; ``definition`` is the declaration's digest.

    ``planned_at`` differs from that of every other batch of the flow.
    """

    flow: str
    batch: int
    inputs: Mapping[str, int]
    as_of: date
    definition: str
    planned_at: datetime
    target_version: int | None = None


class Checkpoints:
    """The flows' progress, in the control database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def planned(self, flow: str) -> Batch | None:
        """The batch a crash left behind; None if there is none."""
        return self._newest(flow, BatchState.PLANNED)

    def last(self, flow: str) -> Batch | None:
        """The newest committed batch."""
        return self._newest(flow, BatchState.COMMITTED)

    def plan(
        self,
        flow: str,
        *,
        inputs: Mapping[str, int],
        as_of: date,
        definition: str,
        after: int,
        run_id: str,
        lease: Lease,
    ) -> Batch:
        """A new batch, numbered above every known one and above ``after``, the table's own last.

        Raises StaleFence when the lease is lost, BatchUnfinished while the flow has a planned batch.
        """
        with self._database.transaction() as session:
            lease.confirm(session)
            return _plan(session, flow, inputs, as_of, definition, after, run_id)

    def plan_files(
        self,
        flow: str,
        files: Sequence[LandingFile],
        *,
        as_of: date,
        definition: str,
        after: int,
        run_id: str,
        lease: Lease,
    ) -> Batch:
        """Like ``plan``, for a batch that takes these files: they are its own from here on, whatever happens.

        Raises FilesTaken when a batch has one of them already. Unreadable ones are taken as they are now.
        """
        with self._database.transaction() as session:
            lease.confirm(session)
            batch = _plan(session, flow, {}, as_of, definition, after, run_id)
            _refuse_taken(session, flow, files)
            _forget(session, flow, files)
            session.execute(insert(LandingFileRow), [_taken(file, batch) for file in files])
            return batch

    def files(self, batch: Batch) -> list[LandingFile]:
        """The files of a batch that have not proved unreadable, by (modification time, path)."""
        with self._database.reading() as session:
            rows = session.execute(
                select(LandingFileRow.path, LandingFileRow.size, LandingFileRow.mtime_ns).where(
                    LandingFileRow.flow == batch.flow,
                    LandingFileRow.batch == batch.batch,
                    LandingFileRow.state == FileState.TAKEN,
                )
            )
            return sorted(
                (LandingFile(row.path, row.size, row.mtime_ns) for row in rows),
                key=lambda file: (file.mtime_ns, file.path),
            )

    def unseen(self, flow: str, listing: Sequence[LandingFile]) -> list[LandingFile]:
        """Files of a listing that no batch has taken, and unreadable ones that have changed since.

        A file that changed after a batch took it is not taken again (Auto Loader's ``allowOverwrites=false``), but is
        noted: ``changed`` tells.
        """
        with self._database.reading() as session:
            query = select(
                LandingFileRow.path,
                LandingFileRow.size,
                LandingFileRow.mtime_ns,
                LandingFileRow.state,
                LandingFileRow.changed_at,
            ).where(LandingFileRow.flow == flow)
            seen = {row.path: row for row in session.execute(query)}
        unseen, changed = [], []
        for file in listing:
            known = seen.get(file.path)
            if known is None:
                unseen.append(file)
            elif (known.size, known.mtime_ns) != (file.size, file.mtime_ns):
                if known.state == FileState.UNREADABLE:
                    unseen.append(file)
                elif known.changed_at is None:
                    changed.append(file.path)
        self._note_changed(flow, changed)
        return unseen

    def mark_unreadable(self, flow: str, file: LandingFile, reason: str) -> None:
        """Record why a file of the planned batch brings no rows; it leaves the batch, and is tried again when it changes."""
        planned = select(FlowBatchRow.batch).where(FlowBatchRow.flow == flow, FlowBatchRow.state == BatchState.PLANNED)
        with self._database.transaction() as session:
            session.execute(
                update(LandingFileRow)
                .where(
                    LandingFileRow.flow == flow,
                    LandingFileRow.path == file.path,
                    LandingFileRow.batch == planned.scalar_subquery(),
                )
                .values(state=FileState.UNREADABLE, reason=reason[:_REASON_LENGTH])
            )

    def unreadable(self) -> list[tuple[str, str]]:
        """(path, reason) of files that could not be read and have not changed since."""
        with self._database.reading() as session:
            rows = session.execute(
                select(LandingFileRow.path, LandingFileRow.reason)
                .where(LandingFileRow.state == FileState.UNREADABLE)
                .order_by(LandingFileRow.path)
            )
            return [(row.path, row.reason or "unknown") for row in rows]

    def changed(self) -> list[str]:
        """Paths of files that have changed after a batch took them; what changed is in no table."""
        with self._database.reading() as session:
            rows = session.scalars(select(LandingFileRow.path).where(LandingFileRow.changed_at.is_not(None)))
            return sorted(set(rows))

    def mark(self, batch: Batch, *, target_version: int) -> None:
        """The batch is in the table (or had nothing to write).

        Needs no lease: it is true whoever says it. Without effect on a batch that is not planned any more.
        """
        with self._database.transaction() as session:
            _end(session, batch, BatchState.COMMITTED, target_version)

    def abandon(self, batch: Batch, *, lease: Lease) -> None:
        """The batch cannot succeed as planned; the next run plans anew. Its number is not used again, its files are
        unseen again."""
        with self._database.transaction() as session:
            lease.confirm(session)
            if _end(session, batch, BatchState.ABANDONED, None):
                session.execute(
                    delete(LandingFileRow).where(LandingFileRow.flow == batch.flow, LandingFileRow.batch == batch.batch)
                )

    def reset(self, flow: str, *, lease: Lease) -> None:
        """Forget what the flow has done, so that it begins anew: no last batch, every landing file unseen.

        Batch numbers go on. The table is the caller's to empty: files that are in it would be ingested a second time.
        """
        with self._database.transaction() as session:
            lease.confirm(session)
            session.execute(
                update(FlowBatchRow)
                .where(FlowBatchRow.flow == flow, FlowBatchRow.state != BatchState.ABANDONED)
                .values(state=BatchState.ABANDONED)
            )
            session.execute(delete(LandingFileRow).where(LandingFileRow.flow == flow))

    def _newest(self, flow: str, state: BatchState) -> Batch | None:
        with self._database.reading() as session:
            row = session.scalar(
                select(FlowBatchRow)
                .where(FlowBatchRow.flow == flow, FlowBatchRow.state == state)
                .order_by(FlowBatchRow.batch.desc())
                .limit(1)
            )
            return None if row is None else _batch(row)

    def _note_changed(self, flow: str, paths: list[str]) -> None:
        if not paths:
            return
        with self._database.transaction() as session:
            for some in _pieces(paths):
                session.execute(
                    update(LandingFileRow)
                    .where(LandingFileRow.flow == flow, LandingFileRow.path.in_(some))
                    .values(changed_at=now())
                )


def _plan(
    session: Session, flow: str, inputs: Mapping[str, int], as_of: date, definition: str, after: int, run_id: str
) -> Batch:
    newest = session.scalar(
        select(FlowBatchRow).where(FlowBatchRow.flow == flow).order_by(FlowBatchRow.batch.desc()).limit(1)
    )
    if newest is not None and newest.state == BatchState.PLANNED:
        raise BatchUnfinished(f"{flow}: batch {newest.batch} is planned and has to be finished first")
    instant = now()
    if newest is not None:
        instant = max(instant, newest.planned_at + timedelta(microseconds=1))
    row = FlowBatchRow(
        flow=flow,
        batch=max(newest.batch if newest else 0, after) + 1,
        state=BatchState.PLANNED,
        inputs=dict(inputs),
        as_of=as_of,
        definition=definition,
        run_id=run_id,
        planned_at=instant,
    )
    session.add(row)
    session.flush()
    return _batch(row)


def _end(session: Session, batch: Batch, state: BatchState, target_version: int | None) -> bool:
    """Whether the batch was planned, and has now ended."""
    ended = session.execute(
        update(FlowBatchRow)
        .where(
            FlowBatchRow.flow == batch.flow,
            FlowBatchRow.batch == batch.batch,
            FlowBatchRow.state == BatchState.PLANNED,
        )
        .values(state=state, ended_at=now(), target_version=target_version)
        .returning(FlowBatchRow.batch)
    )
    return ended.one_or_none() is not None


def _refuse_taken(session: Session, flow: str, files: Sequence[LandingFile]) -> None:
    for some in _pieces([file.path for file in files]):
        taken = session.scalar(
            select(func.count()).where(
                LandingFileRow.flow == flow, LandingFileRow.path.in_(some), LandingFileRow.state == FileState.TAKEN
            )
        )
        if taken:
            raise FilesTaken(f"{flow}: {taken} of the files belong to a batch already; list them again")


def _forget(session: Session, flow: str, files: Sequence[LandingFile]) -> None:
    for some in _pieces([file.path for file in files]):
        session.execute(delete(LandingFileRow).where(LandingFileRow.flow == flow, LandingFileRow.path.in_(some)))


def _taken(file: LandingFile, batch: Batch) -> dict[str, Any]:
    return {
        "flow": batch.flow,
        "path": file.path,
        "size": file.size,
        "mtime_ns": file.mtime_ns,
        "state": FileState.TAKEN,
        "batch": batch.batch,
        "seen_at": batch.planned_at,
    }


def _pieces(paths: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(paths), _PATHS_PER_STATEMENT):
        yield paths[start : start + _PATHS_PER_STATEMENT]


def _batch(row: FlowBatchRow) -> Batch:
    return Batch(row.flow, row.batch, row.inputs, row.as_of, row.definition, row.planned_at, row.target_version)
