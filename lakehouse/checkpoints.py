"""How far each flow has come: batches planned on pinned inputs, and the landing files they took.

A batch is planned before anything is computed and marked when its commit is in the table. What a crash leaves planned is
done again with the same inputs under the same number, which the table refuses to take twice.

If the control database is lost and the lake kept, a flow finds no last batch: computed tables are computed anew and only
differences are written (numbers go on after the table's own); landing files are ingested again, as new bronze rows that
silver recognises as versions it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from kit.clock import now
from kit.db import Database
from lakehouse.files.listing import LandingFile
from lakehouse.models import FlowBatchRow, LandingFileRow

_PLANNED, _COMMITTED, _ABANDONED = "planned", "committed", "abandoned"
_TAKEN, _UNREADABLE = "taken", "unreadable"


@dataclass(frozen=True, slots=True)
class Batch:
    """A flow's unit of work. ``inputs`` maps tables to the versions it reads; ``definition`` is the declaration's digest."""

    flow: str
    batch: int
    inputs: Mapping[str, int]
    as_of: date
    definition: str
    planned_at: datetime
    target_version: int | None = None


class Checkpoints:
    """The flows' progress, in the control database. One flow is worked on by one process at a time: its table's lease."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def planned(self, flow: str) -> Batch | None:
        """The batch a crash left behind; None if there is none."""
        return self._newest(flow, _PLANNED)

    def last(self, flow: str) -> Batch | None:
        """The newest committed batch."""
        return self._newest(flow, _COMMITTED)

    def plan(
        self, flow: str, *, inputs: Mapping[str, int], as_of: date, definition: str, after: int, run_id: str
    ) -> Batch:
        """A new batch, numbered above every known one and above ``after``, the table's own last."""
        with self._database.transaction() as session:
            return self._plan(session, flow, inputs, as_of, definition, after, run_id)

    def plan_files(
        self, flow: str, files: Sequence[LandingFile], *, as_of: date, definition: str, after: int, run_id: str
    ) -> Batch:
        """A new batch that takes these files: they are its own from here on, whatever happens."""
        with self._database.transaction() as session:
            batch = self._plan(session, flow, {}, as_of, definition, after, run_id)
            paths = [file.path for file in files]
            for start in range(0, len(paths), 500):
                session.execute(
                    delete(LandingFileRow).where(
                        LandingFileRow.flow == flow, LandingFileRow.path.in_(paths[start : start + 500])
                    )
                )
            session.execute(
                insert(LandingFileRow),
                [
                    {
                        "flow": flow,
                        "path": file.path,
                        "size": file.size,
                        "mtime_ns": file.mtime_ns,
                        "state": _TAKEN,
                        "batch": batch.batch,
                        "reason": None,
                        "seen_at": batch.planned_at,
                    }
                    for file in files
                ],
            )
            return batch

    def files(self, batch: Batch) -> list[LandingFile]:
        """The files of a batch, by (modification time, path)."""
        with self._database.transaction() as session:
            rows = session.scalars(
                select(LandingFileRow)
                .where(LandingFileRow.flow == batch.flow, LandingFileRow.batch == batch.batch)
                .order_by(LandingFileRow.mtime_ns, LandingFileRow.path)
            )
            return [LandingFile(row.path, row.size, row.mtime_ns) for row in rows]

    def unseen(self, flow: str, listing: Sequence[LandingFile]) -> list[LandingFile]:
        """Files of a listing that no batch has taken, and unreadable ones that have changed since.

        A file that changed after it was ingested is not taken again (Auto Loader's ``allowOverwrites=false``).
        """
        with self._database.transaction() as session:
            seen = {
                row.path: row
                for row in session.execute(
                    select(
                        LandingFileRow.path, LandingFileRow.size, LandingFileRow.mtime_ns, LandingFileRow.state
                    ).where(LandingFileRow.flow == flow)
                )
            }
        return [
            file
            for file in listing
            if (known := seen.get(file.path)) is None
            or (known.state == _UNREADABLE and (known.size, known.mtime_ns) != (file.size, file.mtime_ns))
        ]

    def mark_unreadable(self, flow: str, file: LandingFile, reason: str) -> None:
        """Record why a file brought no rows; it is tried again when it changes."""
        with self._database.transaction() as session:
            session.execute(
                update(LandingFileRow)
                .where(LandingFileRow.flow == flow, LandingFileRow.path == file.path)
                .values(state=_UNREADABLE, reason=reason[:500])
            )

    def unreadable(self) -> list[tuple[str, str]]:
        """(path, reason) of files that could not be read and have not changed since."""
        with self._database.transaction() as session:
            rows = session.execute(
                select(LandingFileRow.path, LandingFileRow.reason)
                .where(LandingFileRow.state == _UNREADABLE)
                .order_by(LandingFileRow.path)
            )
            return [(row.path, row.reason or "unknown") for row in rows]

    def mark(self, batch: Batch, *, target_version: int) -> None:
        """The batch is in the table (or had nothing to write)."""
        self._end(batch, _COMMITTED, target_version)

    def abandon(self, batch: Batch) -> None:
        """The batch cannot succeed as planned; the next run plans anew. Its number is not used again."""
        self._end(batch, _ABANDONED, None)

    def _newest(self, flow: str, state: str) -> Batch | None:
        with self._database.transaction() as session:
            row = session.scalar(
                select(FlowBatchRow)
                .where(FlowBatchRow.flow == flow, FlowBatchRow.state == state)
                .order_by(FlowBatchRow.batch.desc())
                .limit(1)
            )
            return None if row is None else _batch(row)

    @staticmethod
    def _plan(
        session: Session, flow: str, inputs: Mapping[str, int], as_of: date, definition: str, after: int, run_id: str
    ) -> Batch:
        known = session.scalar(select(func.max(FlowBatchRow.batch)).where(FlowBatchRow.flow == flow)) or 0
        row = FlowBatchRow(
            flow=flow,
            batch=max(known, after) + 1,
            state=_PLANNED,
            inputs=dict(inputs),
            as_of=as_of,
            definition=definition,
            run_id=run_id,
            planned_at=now(),
        )
        session.add(row)
        session.flush()
        return _batch(row)

    def _end(self, batch: Batch, state: str, target_version: int | None) -> None:
        with self._database.transaction() as session:
            session.execute(
                update(FlowBatchRow)
                .where(
                    FlowBatchRow.flow == batch.flow, FlowBatchRow.batch == batch.batch, FlowBatchRow.state == _PLANNED
                )
                .values(state=state, committed_at=now(), target_version=target_version)
            )


def _batch(row: FlowBatchRow) -> Batch:
    return Batch(row.flow, row.batch, row.inputs, row.as_of, row.definition, row.planned_at, row.target_version)
