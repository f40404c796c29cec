"""Repair of what is held back: new values for a record's fields, and the record, so corrected, once more on its way.

A repair is noted first (quality.repairs), then *replayed*: a copy of the bronze record with the new values is appended beside
it, with the record's own file, position and batch instant, and the number of the correction. Silver orders it after the record
it corrects and judges it like any other; the row of the uncorrected one leaves quarantine. The source's record itself stays in
bronze as it was written. What a newer version from the source says counts over a correction of an older one.

A replay is a batch with its repairs pinned, committed as one append with (flow, batch), and a correction that the table has is
not added again: each repair enters once, over any crash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa

from kit.clock import now
from kit.errors import Conflict, Invalid, NotFound
from kit.faults import boundary
from lakehouse.checkpoints import Batch
from lakehouse.dataset import Column, Dataset
from lakehouse.engine import CHANGE, Session
from lakehouse.files.typed import MISFIT, read_value
from lakehouse.lease import Lease
from lakehouse.properties import arrow_schema
from pipelines.flows.context import FlowContext, retried
from pipelines.flows.quality import QUARANTINE, REPAIRS

_IDENTITY = ("source_file", "file_modification_time", "row_number")


class UnknownQuarantineId(NotFound):
    """No row in quarantine has this id, or more than one begins with it."""

    code = "quarantine.unknown"


class NotRepairable(Conflict):
    """The row is not one record of one source; correct it where it is written."""

    code = "quarantine.not_repairable"


class InvalidRepair(Invalid):
    """A new value does not fit; the message names the column, never the value."""

    code = "quarantine.invalid_repair"


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did to one source: corrections appended, and repairs whose record is not in bronze any more."""

    source: str
    corrected: int
    gone: int
    version: int


def held_rows(context: FlowContext, dataset: str | None = None) -> list[dict[str, Any]]:
    """What is in quarantine, oldest first, with ``repaired``: whether a repair waits to be replayed."""
    rows = [row for row in _rows(context, QUARANTINE) if dataset in (None, row["dataset"])]
    waiting = {repair["quarantine_id"] for repair in _rows(context, REPAIRS)}
    ordered = sorted(rows, key=lambda row: (row["quarantined_at"], row["quarantine_id"]))
    return [{**row, "repaired": row["quarantine_id"] in waiting} for row in ordered]


def held_row(context: FlowContext, quarantine_id: str) -> dict[str, Any]:
    """The row whose id is, or alone begins with, ``quarantine_id``, with ``original``: the record as bronze has it."""
    found = [row for row in held_rows(context) if row["quarantine_id"].startswith(quarantine_id)]
    if len(found) != 1:
        raise UnknownQuarantineId(
            f"{len(found)} rows in quarantine have an id that begins so; c360 quarantine list shows them"
        )
    row = found[0]
    if row["source"] is None:
        return {**row, "original": None}
    with context.engine.session(context.as_of) as session:
        records = _records(context, session, row["source"], [row])
    return {**row, "original": records.get((*(row[name] for name in _IDENTITY), row["correction"]))}


def repair(context: FlowContext, quarantine_id: str, changes: Mapping[str, str], requested_by: str) -> str:
    """Note new values (texts, read as a CSV field would be) by column of the source; returns the repair's id.

    Until it is replayed, another repair of the record takes its place.
    """
    row = held_row(context, quarantine_id)
    if row["original"] is None:
        raise NotRepairable(
            f"{row['dataset']}: the row is not one record of one source; correct it where it is written"
        )
    source = context.catalog.get(row["source"])
    for name, text in changes.items():
        _read(source, name, text)
    correction = (row["correction"] or 0) + 1
    identity = "\x1f".join([row["source"], *(str(row[name]) for name in _IDENTITY), str(correction)])
    noted = {
        "repair_id": hashlib.sha256(identity.encode()).hexdigest(),
        "correction": correction,
        "changes": orjson.dumps(dict(changes)).decode(),
        "requested_by": requested_by,
        "requested_at": now(),
        **{name: row[name] for name in ("quarantine_id", "dataset", "source", "customer_id", *_IDENTITY)},
    }
    retried(lambda: _note(context, noted))
    return str(noted["repair_id"])


def replay(context: FlowContext) -> list[Replayed]:
    """Append the correction of every repair noted and not replayed yet."""
    sources = sorted({row["source"] for row in _rows(context, REPAIRS)})
    return [_replay(context, context.catalog.get(source)) for source in sources]


def _note(context: FlowContext, noted: dict[str, Any]) -> None:
    target = context.catalog.get(REPAIRS)
    schema = pa.schema([pa.field(CHANGE, pa.string()), *arrow_schema(target)])
    with context.writing(REPAIRS) as lease, context.engine.session(context.as_of) as session:
        context.engine.create(target, lease)
        session.load("__noted", pa.Table.from_pylist([{CHANGE: "upsert", **noted}], schema=schema))
        commit = context.commit(REPAIRS, context.engine.batch(REPAIRS, REPAIRS) + 1, lease)
        session.merge(target, "SELECT * FROM __noted", commit)


def _replay(context: FlowContext, source: Dataset) -> Replayed:
    flow = f"{source.name}:corrections"
    with context.writing(source.name) as lease:
        left = context.checkpoints.planned(flow)
        result = Replayed(source.name, 0, 0, context.engine.version(source.name) or 0)
        for batch in (left, None) if left else (None,):
            planned = batch or context.checkpoints.plan(
                flow,
                inputs={REPAIRS: context.engine.version(REPAIRS) or 0},
                as_of=context.as_of,
                definition="repairs",
                after=context.engine.batch(source.name, flow),
                run_id=context.run_id,
                lease=lease,
            )
            boundary("flow.batch_planned")
            done = retried(lambda planned=planned: _correct(context, source, planned, lease))  # type: ignore[misc]
            boundary("flow.target_committed")
            context.checkpoints.mark(planned, target_version=done.version)
            boundary("flow.batch_marked")
            result = Replayed(source.name, result.corrected + done.corrected, done.gone, done.version)
    return result


def _correct(context: FlowContext, source: Dataset, batch: Batch, lease: Lease) -> Replayed:
    version = context.engine.version(source.name) or 0
    if context.engine.batch(source.name, batch.flow) >= batch.batch:
        return Replayed(source.name, 0, 0, version)
    with context.engine.session(batch.as_of) as session:
        session.bind("__repairs", REPAIRS, batch.inputs[REPAIRS])
        repairs = session.fetch(f"SELECT * FROM __repairs WHERE source = '{source.name}'").to_pylist()
        found = _records(context, session, source.name, repairs)
        rows, gone = [], 0
        for noted in repairs:
            record = tuple(noted[name] for name in _IDENTITY)
            if (*record, noted["correction"]) in found:
                continue  # replayed before
            original = found.get((*record, noted["correction"] - 1 or None))
            if original is None:
                gone += 1
                continue
            changes = {name: _read(source, name, text) for name, text in orjson.loads(noted["changes"]).items()}
            rows.append({**original, **changes, "_correction": noted["correction"]})
        if not rows:
            return Replayed(source.name, 0, gone, version)
        session.load("__corrections", pa.Table.from_pylist(rows, schema=arrow_schema(source)))
        commit = context.commit(batch.flow, batch.batch, lease)
        committed = session.append(source, "SELECT * FROM __corrections", commit)
        return Replayed(source.name, len(rows), gone, committed.version)


def _records(
    context: FlowContext, session: Session, source: str, rows: Sequence[Mapping[str, Any]]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The bronze records that rows come from, corrections included, by identity and correction; of equal ones the last to come."""
    if (version := context.engine.version(source)) is None:
        return {}
    session.bind("__bronze", source, version)
    schema = pa.schema([*zip(_IDENTITY, (pa.string(), pa.timestamp("us", tz="UTC"), pa.int64()), strict=True)])
    origins = pa.Table.from_pylist([{name: row[name] for name in _IDENTITY} for row in rows], schema=schema)
    session.load("__origins", origins)
    matched = " AND ".join(f"b._{name} = o.{name}" for name in _IDENTITY)
    records = session.fetch(
        f"SELECT b.* FROM __bronze AS b LEFT SEMI JOIN __origins AS o ON {matched} ORDER BY b._ingested_at"
    ).to_pylist()
    return {(*(record[f"_{name}"] for name in _IDENTITY), record["_correction"]): record for record in records}


def _read(source: Dataset, name: str, text: str) -> object:
    column = _repairable(source, name)
    value = read_value(text, column.data_type)
    if value is MISFIT:
        raise InvalidRepair(f"{source.name}.{name}: the new value is no {column.type}")
    return value


def _repairable(source: Dataset, name: str) -> Column:
    scalar = [
        column
        for column in source.columns
        if not column.name.startswith("_") and not pa.types.is_nested(column.data_type.arrow)
    ]
    for column in scalar:
        if column.name == name:
            return column
    raise InvalidRepair(f"{source.name}: only {', '.join(column.name for column in scalar)} can be repaired")


def _rows(context: FlowContext, table: str) -> list[dict[str, Any]]:
    version = context.engine.version(table)
    if version is None:
        return []
    with context.engine.session(context.as_of) as session:
        session.bind("__rows", table, version)
        return session.fetch("SELECT * FROM __rows").to_pylist()  # type: ignore[no-any-return]
