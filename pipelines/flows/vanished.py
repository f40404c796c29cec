"""What a resync's snapshot has not: rows that bronze holds alive and the source lost while nobody could see it.

They are appended as deletes of the snapshot's version, so that whatever is built on bronze alone ends as the source is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lakehouse.checkpoints import Batch
from lakehouse.dataset import ChangeFeed, Dataset
from lakehouse.engine import Restriction
from lakehouse.lease import Lease
from pipelines.flows.context import FlowContext

_DELETES = "__vanished"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The snapshot that a resync took: its version in the source, when that was committed, and the generation it began."""

    version: int
    timestamp: datetime
    generation: int


def delete(context: FlowContext, dataset: Dataset, batch: Batch, lease: Lease, snapshot: Snapshot) -> int:
    """Append a delete, with the last image, for every row whose newest change is older than the snapshot's generation.

    Returns the table's version. Computed in buckets of the key, as a whole table is.
    """
    flow = dataset.flow
    assert isinstance(flow, ChangeFeed)  # noqa: S101 - the caller's dispatch, for the type checker
    current = context.engine.version(dataset.name) or 0
    buckets = context.buckets or context.engine.pieces({dataset.name: dataset.column_names})
    with context.engine.session(batch.as_of) as session:
        for bucket in range(buckets):
            part = Restriction(flow.keys, bucket=bucket, buckets=buckets) if buckets > 1 else None
            session.bind("__bronze", dataset.name, current, part)
            sql = _deletes(dataset, flow, batch, snapshot)
            found = session.extend(_DELETES, sql) if bucket else session.materialize(_DELETES, sql)
            context.progress(dataset.name, f"{found} rows vanished")
        columns = ", ".join(dataset.column_names)
        commit = context.commit(dataset.name, batch.batch, lease)
        return session.append(dataset, f"SELECT {columns} FROM {_DELETES}", commit).version


def _deletes(dataset: Dataset, flow: ChangeFeed, batch: Batch, snapshot: Snapshot) -> str:
    keys = ", ".join(flow.keys)
    said = {
        "_source_change_type": "'delete'",
        "_source_commit_version": str(snapshot.version),
        "_source_commit_timestamp": _instant(snapshot.timestamp),
        "_source_generation": str(snapshot.generation),
        "_ingested_at": _instant(batch.planned_at),
        "_file_modification_time": _instant(snapshot.timestamp),
        "_correction": "CAST(NULL AS BIGINT)",
    }
    columns = ", ".join(f"{said[name]} AS {name}" if name in said else name for name in dataset.column_names)
    present = " AND ".join(f"{key} IS NOT NULL" for key in flow.keys)
    return f"""
    SELECT {columns} FROM (
      SELECT *, row_number() OVER (
        PARTITION BY {keys}
        ORDER BY _source_generation DESC, _source_commit_version DESC, CASE WHEN _source_change_type = 'delete' THEN 1 ELSE 0 END,
          _source_file DESC, _row_number DESC, _correction DESC
      ) AS __age
      FROM __bronze
      WHERE _source_change_type <> 'update_preimage' AND {present}
    ) AS newest
    WHERE __age = 1 AND _source_change_type <> 'delete' AND _source_generation < {snapshot.generation}
    """


def _instant(moment: datetime) -> str:
    return f"timestamp_micros({round(moment.timestamp() * 1_000_000)})"
