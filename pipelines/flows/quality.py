"""What a batch leaves in quality.expectations and quality.quarantine.

The quarantine is a state, not a log: it holds the rows of a dataset that are held back *now*. A row whose key is computed
again and passes, or is gone from the inputs, leaves it, and so does one whose record has been repaired since (pipelines.repair);
a row that was there already is not written twice.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import product
from typing import Any

import orjson
import pyarrow as pa

from kit.faults import boundary
from lakehouse.catalog import Catalog
from lakehouse.checkpoints import Batch
from lakehouse.dataset import SUBJECT_KEY, Dataset, Derived
from lakehouse.engine import CHANGE, Session
from lakehouse.properties import arrow_schema
from pipelines.flows.context import FlowContext, retried
from pipelines.flows.expectations import Quality, failed_rules, quarantined_rows
from pipelines.flows.scope import Scope

EXPECTATIONS, QUARANTINE, REPAIRS = "quality.expectations", "quality.quarantine", "quality.repairs"
ORIGIN = ("source_file", "file_modification_time", "row_number", "correction")
"""What tells a record from all others of its source; bronze and the queries have the names with a leading underscore."""

_HELD, _KNOWN, _MINE = "__held_back", "__known", "__mine"
_PART_ROWS = 20_000
"""About how many rows held back are objects of Python at one time."""

Origin = tuple[str, datetime, int]


def collect(session: Session, dataset: Dataset, candidates: str, bucket: int) -> None:
    """Keep the candidates that go to quarantine, until `record`."""
    if not failed_rules(dataset):
        return
    flags = ", ".join(f"{fails} AS __f{position}" for position, (_, fails) in enumerate(failed_rules(dataset)))
    held = f"SELECT *, {_key_hash(_flow_keys(dataset))} AS __key_hash, {flags} FROM {candidates} WHERE {quarantined_rows(dataset)}"
    if bucket == 0:
        session.materialize(_HELD, held)
    else:
        session.extend(_HELD, held)


def record(
    context: FlowContext, session: Session, dataset: Dataset, batch: Batch, quality: Quality, scope: Scope
) -> None:
    """Commit a batch's quarantine and metrics; what a crash had committed already stays as it is."""
    if not dataset.expectations:
        return
    if failed_rules(dataset):
        retried(lambda: _record_quarantine(context, session, dataset, batch, quality, scope))
    boundary("flow.quarantine_committed")
    if quality.total:
        retried(lambda: record_metrics(context, dataset, batch, quality))
    boundary("flow.metrics_committed")


def record_metrics(context: FlowContext, dataset: Dataset, batch: Batch, quality: Quality) -> None:
    """Append one row per expectation to quality.expectations."""
    target = context.catalog.get(EXPECTATIONS)
    rows = [
        {
            "run_id": context.run_id,
            "dataset": dataset.name,
            "batch": batch.batch,
            "name": expectation.name,
            "action": expectation.action.value,
            "passed_records": quality.total - quality.failures.get(expectation.name, 0),
            "failed_records": quality.failures.get(expectation.name, 0),
            "recorded_at": batch.planned_at,
        }
        for expectation in dataset.expectations
    ]
    with context.writing(EXPECTATIONS) as lease, context.engine.session(batch.as_of) as session:
        session.load("__metrics", pa.Table.from_pylist(rows, schema=arrow_schema(target)))
        session.append(target, "SELECT * FROM __metrics", context.commit(dataset.name, batch.batch, lease))


def _record_quarantine(
    context: FlowContext, session: Session, dataset: Dataset, batch: Batch, quality: Quality, scope: Scope
) -> None:
    target = context.catalog.get(QUARANTINE)
    with context.writing(QUARANTINE) as lease:
        if context.engine.batch(QUARANTINE, dataset.name) >= batch.batch:
            return
        corrected = _corrected(context, session, dataset, batch)
        parts = _Rewriting(context, session, dataset, batch, scope, corrected).parts(quality.quarantined)
        schema = pa.schema([pa.field(CHANGE, pa.string()), *arrow_schema(target)])
        changes = pa.Table.from_batches([pa.RecordBatch.from_pylist(part, schema=schema) for part in parts], schema)
        if not changes.num_rows:
            return
        session.load("__quarantine_changes", changes)
        commit = context.commit(dataset.name, batch.batch, lease)
        context.engine.create(target, lease)
        session.merge(target, "SELECT * FROM __quarantine_changes", commit)


@dataclass(frozen=True, slots=True)
class _Rewriting:
    """What a batch changes in the quarantine, in parts of the key's digest: as objects of Python, rows take ten times what they take as
    columns, and nobody knows how many are held back."""

    context: FlowContext
    session: Session
    dataset: Dataset
    batch: Batch
    scope: Scope
    corrected: dict[Origin, int]

    def parts(self, held_rows: int) -> Iterator[list[dict[str, Any]]]:
        known_rows = self._bind_known()
        for start in _starts(held_rows + known_rows):
            arrived = {key: row for key, row in self._held(start).items() if not _is_superseded(row, self.corrected)}
            known = self._known(start) if known_rows else {}
            changes = [{CHANGE: "upsert", **row} for key, row in arrived.items() if key not in known]
            yield changes + [{CHANGE: "delete", **row} for key, row in known.items() if key not in arrived]

    def _held(self, start: str) -> dict[str, dict[str, Any]]:
        rules = [name for name, _ in failed_rules(self.dataset)]
        subject = next((column.name for column in self.dataset.columns if column.cls == SUBJECT_KEY), None)
        seen: Counter[str] = Counter()
        held = {}
        source = source_of(self.context.catalog, self.dataset)
        for row in self._rows(_HELD, "__key_hash", start):
            failed = [name for position, name in enumerate(rules) if row[f"__f{position}"]]
            text = orjson.dumps(
                {name: row.get(name) for name in self.dataset.column_names if name in row}, default=_as_text
            ).decode()
            origin = {name: row.get(f"_{name}") for name in ORIGIN} if source and "_source_file" in row else {}
            digest = "\x1f".join((self.dataset.name, *failed, text, *map(str, origin.values())))
            seen[digest] += 1  # rows that are equal in every column are told apart by how many there are
            identity = hashlib.sha256(f"{digest}\x1f{seen[digest]}".encode()).hexdigest()
            held[identity] = {
                "quarantine_id": identity,
                "dataset": self.dataset.name,
                "rules": failed,
                "batch": self.batch.batch,
                "run_id": self.context.run_id,
                "key_hash": row["__key_hash"],
                "source": source if origin else None,
                **{name: origin.get(name) for name in ORIGIN},
                "customer_id": row.get(subject) if subject else None,
                "record": text,
                "quarantined_at": self.batch.planned_at,
            }
        return held

    def _bind_known(self) -> int:
        """Rows in quarantine now whose keys the batch has computed, or whose records have been repaired: how many, at the most."""
        version = self.context.engine.version(QUARANTINE)
        if version is None:
            return 0
        self.session.bind("__quarantine", QUARANTINE, version)
        mine = f"SELECT * FROM __quarantine WHERE dataset = '{self.dataset.name}'"
        if self.scope.touched is None:
            return self.session.materialize(_KNOWN, mine)
        keys = [f"k{position}" for position in range(len(_flow_keys(self.dataset)))]
        reached = f"{mine} AND key_hash IN (SELECT {_key_hash(keys)} FROM {self.scope.touched})"
        found = self.session.materialize(_KNOWN, reached)
        return found + (self.session.materialize(_MINE, mine) if self.corrected else 0)

    def _known(self, start: str) -> dict[str, dict[str, Any]]:
        rows = self._rows(_KNOWN, "key_hash", start)
        if self.scope.touched is not None and self.corrected:
            rows += [row for row in self._rows(_MINE, "key_hash", start) if _is_superseded(row, self.corrected)]
        return {row["quarantine_id"]: row for row in rows}

    def _rows(self, view: str, digest: str, start: str) -> list[dict[str, Any]]:
        found = self.session.fetch(f"SELECT * FROM {view} WHERE left({digest}, {len(start)}) = '{start}'")
        rows: list[dict[str, Any]] = found.to_pylist()
        return rows


def _starts(rows: int) -> Iterator[str]:
    """The first digits of digests by which so many rows fall into parts of few."""
    digits = 0
    while rows > _PART_ROWS << 4 * digits:
        digits += 1
    return map("".join, product("0123456789abcdef", repeat=digits))


def source_of(catalog: Catalog, dataset: Dataset) -> str | None:
    """The one bronze dataset whose records the dataset's rows are; None where there are several."""
    sources = [name for name in catalog.inputs(dataset) if name.startswith("bronze.")]
    return sources[0] if len(sources) == 1 else None


def _corrected(context: FlowContext, session: Session, dataset: Dataset, batch: Batch) -> dict[Origin, int]:
    """The newest correction of every record of the dataset's source that has one."""
    source = source_of(context.catalog, dataset)
    if source is None or context.engine.version(REPAIRS) is None or batch.inputs[source] < 0:
        return {}
    session.bind("__source", source, batch.inputs[source])
    rows = session.fetch(
        "SELECT _source_file, _file_modification_time, _row_number, max(_correction) AS newest FROM __source "
        "WHERE _correction IS NOT NULL GROUP BY _source_file, _file_modification_time, _row_number"
    ).to_pylist()
    return {(row["_source_file"], row["_file_modification_time"], row["_row_number"]): row["newest"] for row in rows}


def _is_superseded(row: dict[str, Any], corrected: dict[Origin, int]) -> bool:
    newest = corrected.get((row["source_file"], row["file_modification_time"], row["row_number"]), 0)
    return newest > (row["correction"] or 0)


def _flow_keys(dataset: Dataset) -> tuple[str, ...]:
    """What a held-back row is found again by; a flow that has no keys looks at all rows each time."""
    assert isinstance(dataset.flow, Derived)  # noqa: S101 - the caller's dispatch, for the type checker
    return dataset.flow.keys or dataset.keys


def _key_hash(keys: tuple[str, ...] | list[str]) -> str:
    """A digest that tells NULL from every string."""
    parts = ", ".join(f"coalesce(concat('=', CAST({key} AS STRING)), '-')" for key in keys)
    return f"sha2(concat_ws('|', {parts}), 256)"


def _as_text(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"a value of type {type(value).__name__} has no JSON form")
