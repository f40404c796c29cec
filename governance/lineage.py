"""Lineage: which tables and columns a dataset's rows come from, as its query tells, and as rows of Databricks' system tables.

Sources are derived from what a flow computes (see lakehouse.sql.sources), never written down. Direct ones carry values; indirect
ones decide which value there is, or which rows: those name no target column, as they hold for all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from kit.db import Database
from lakehouse.catalog import Catalog, definition
from lakehouse.dataset import AutoLoader, ChangeFeed, Dataset, Derived
from lakehouse.models import BatchState, FlowBatchRow
from lakehouse.schema import parse_type
from lakehouse.sql.sources import Influence, sources_of

RowsSql = Callable[[Dataset], str]
"""What a computed dataset's table shall hold, as one query over its inputs."""

_ROWS_AT_ONCE = 5000


@dataclass(frozen=True, slots=True, order=True)
class ColumnLink:
    """A source column, and the column it reaches; ``target`` is empty where it decides which rows there are."""

    source: str
    source_column: str
    target: str
    influence: Influence


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a dataset comes from: tables and columns of them, or files at a ``path`` of the landing zone."""

    tables: tuple[str, ...]
    columns: tuple[ColumnLink, ...]
    path: str | None = None


def lineage_of(dataset: Dataset, catalog: Catalog, rows_sql: RowsSql) -> Lineage:
    """The lineage of a dataset as it is declared. Seeds and what the installation records itself have none."""
    if isinstance(dataset.flow, AutoLoader | ChangeFeed):
        read = [name for name in dataset.column_names if not name.startswith("_")]
        fields = (ColumnLink(dataset.flow.path, name, name, Influence.IDENTITY) for name in read)
        return Lineage((), tuple(fields), dataset.flow.path)
    if not isinstance(dataset.flow, Derived):
        return Lineage((), ())
    tables = catalog.inputs(dataset)
    sources = sources_of(rows_sql(dataset), {name: catalog.get(name).column_names for name in tables})
    links = {
        ColumnLink(source.table, source.column, name, source.influence)
        for name in dataset.column_names
        for source in sources.columns[name.lower()]
    } | {ColumnLink(source.table, source.column, "", source.influence) for source in sources.rows}
    return Lineage(tables, tuple(sorted(links)))


class LineageExport:
    """What committed batches read, for ``system.access.table_lineage`` or, ``by_column``, ``column_lineage``.

    Position n is all batches that the n-th look found committed and none before it had. A batch that left its table as it
    was leaves no row, nor does one of a declaration that has changed since: what that one read cannot be told any more.
    Looks come one after the other: they are the system pipeline's, of which one run runs at a time.
    """

    def __init__(self, database: Database, catalog: Catalog, rows_sql: RowsSql, *, by_column: bool) -> None:
        self._database = database
        self._catalog = catalog
        self._rows_sql = rows_sql
        self._by_column = by_column

    def end(self) -> int:
        with self._database.transaction() as session:
            last = session.scalar(select(func.max(FlowBatchRow.lineage_position))) or 0
            found = session.scalars(
                update(FlowBatchRow)
                .where(
                    FlowBatchRow.state == BatchState.COMMITTED,
                    FlowBatchRow.lineage_position.is_(None),
                    FlowBatchRow.flow.not_like("system.%"),
                )
                .values(lineage_position=last + 1)
                .returning(FlowBatchRow.flow)
            ).all()
            return last + 1 if found else last

    def rows(self, after: int, upto: int) -> Iterator[pa.RecordBatch]:
        with self._database.reading() as session:
            batches = session.scalars(
                select(FlowBatchRow)
                .where(FlowBatchRow.lineage_position > after, FlowBatchRow.lineage_position <= upto)
                .order_by(FlowBatchRow.lineage_position, FlowBatchRow.flow, FlowBatchRow.batch)
            ).all()
            rows = [row for batch in batches if _wrote(session, batch) for row in self._of(batch)]
        schema = COLUMN_LINEAGE if self._by_column else TABLE_LINEAGE
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            yield pa.RecordBatch.from_pylist(rows[start : start + _ROWS_AT_ONCE], schema=schema)

    def _of(self, batch: FlowBatchRow) -> Iterator[dict[str, Any]]:
        if batch.flow not in self._catalog:
            return
        dataset = self._catalog.get(batch.flow)
        if isinstance(dataset.flow, Derived) and definition(dataset) != batch.definition:
            return
        lineage = lineage_of(dataset, self._catalog, self._rows_sql)
        if not self._by_column:
            for source in lineage.tables or ((lineage.path,) if lineage.path else ()):
                yield _row(batch, source, path=lineage.path)
            return
        for link in lineage.columns:
            columns = {
                "source_column_name": link.source_column,
                "target_column_name": link.target or None,
                "transformation_type": "DIRECT" if link.influence.is_direct else "INDIRECT",
                "transformation_subtype": link.influence.value.upper(),
            }
            yield _row(batch, link.source, path=lineage.path, columns=columns)


def _wrote(session: Session, batch: FlowBatchRow) -> bool:
    """Whether the batch added a version to its table."""
    before = session.scalar(
        select(func.max(FlowBatchRow.target_version)).where(
            FlowBatchRow.flow == batch.flow, FlowBatchRow.batch < batch.batch
        )
    )
    return batch.target_version is not None and batch.target_version != before


def _row(
    batch: FlowBatchRow, source: str, *, path: str | None, columns: dict[str, Any] | None = None
) -> dict[str, Any]:
    """What Databricks has and we do not know is NULL, never made up."""
    named = columns or {}
    identity = "\x1f".join((batch.flow, str(batch.batch), source, *map(str, named.values())))
    row = {
        "entity_type": "PIPELINE",
        "entity_run_id": batch.run_id,
        **_named("target", batch.flow),
        "event_time": batch.ended_at,
        "event_date": batch.ended_at.date() if batch.ended_at else None,
        "record_id": hashlib.sha256(identity.encode()).hexdigest()[:32],
        "event_id": f"{batch.flow}:{batch.batch}",
        "direct_access": True,
        **named,
    }
    return row | ({"source_path": path, "source_type": "PATH"} if path else _named("source", source))


def _named(side: str, table: str) -> dict[str, str | None]:
    layer, _, noun = table.rpartition(".")
    return {
        f"{side}_table_full_name": table,
        f"{side}_table_schema": layer,
        f"{side}_table_name": noun,
        f"{side}_type": "TABLE",
    }


def _side(side: str) -> tuple[str, ...]:
    return (
        *(f"{side}_table_{part}" for part in ("full_name", "catalog", "schema", "name")),
        f"{side}_path",
        f"{side}_type",
    )


TABLE_COLUMNS = {
    **dict.fromkeys(
        ("account_id", "metastore_id", "workspace_id", "entity_type", "entity_id", "entity_run_id"), "STRING"
    ),
    **dict.fromkeys((*_side("source"), *_side("target"), "created_by"), "STRING"),
    "event_time": "TIMESTAMP",
    "event_date": "DATE",
    **dict.fromkeys(("record_id", "event_id", "statement_id"), "STRING"),
    "entity_metadata": (
        "STRUCT<job_info: STRUCT<job_id: STRING, job_run_id: STRING>, "
        "dlt_pipeline_info: STRUCT<dlt_pipeline_id: STRING, dlt_update_id: STRING>, notebook_id: STRING, dashboard_id: STRING, "
        "legacy_dashboard_id: STRING, sql_query_id: STRING>"
    ),
    "direct_access": "BOOLEAN",
}
"""Columns of system.access.table_lineage with their types, as Databricks has them."""

COLUMN_COLUMNS = {
    **TABLE_COLUMNS,
    **dict.fromkeys(
        ("source_column_name", "target_column_name", "transformation_type", "transformation_subtype"), "STRING"
    ),
}
"""Columns of system.access.column_lineage; the last two are ours, with OpenLineage's words."""


def _schema(columns: dict[str, str]) -> pa.Schema:
    return pa.schema([pa.field(name, parse_type(kind).arrow) for name, kind in columns.items()])


TABLE_LINEAGE, COLUMN_LINEAGE = _schema(TABLE_COLUMNS), _schema(COLUMN_COLUMNS)
