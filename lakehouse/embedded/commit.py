"""The commit protocol on delta-rs.

Load the table, check the lease, check that no higher fence and not this batch is in it already, and commit *from that very
handle* with both transaction ids and no retry of the library's own: whatever reached the table in between makes the commit
fail, and the caller recomputes. delta-rs records transaction ids without enforcing them, hence the checks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
from deltalake import (
    ColumnProperties,
    CommitProperties,
    DeltaTable,
    Field,
    Schema,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from kit.faults import boundary
from lakehouse.dataset import Dataset
from lakehouse.days import Days, within_sql
from lakehouse.engine import (
    CHANGE,
    FENCE_APP_ID,
    Commit,
    CommitConflict,
    Committed,
    Fence,
    SchemaDrift,
    StaleFence,
)
from lakehouse.properties import FENCE_PROPERTY, arrow_schema, delta_schema_json, table_properties

_LOG_ENTRY = re.compile(r"(\d{20})\.(?:json$|checkpoint\.)")


def load_table(path: Path) -> DeltaTable | None:
    """The newest snapshot; None where there is no table."""
    if not (path / "_delta_log").is_dir():
        return None
    try:
        return DeltaTable(path)
    except TableNotFoundError:
        return None


def newest_version(path: Path) -> int | None:
    """The version of the newest snapshot, by the log's file names alone: what is asked far more often than any snapshot is read. None
    where there is no table (Delta protocol, Delta log entries and checkpoints)."""
    log = path / "_delta_log"
    entries = log.iterdir() if log.is_dir() else ()
    return max((int(found[1]) for entry in entries if (found := _LOG_ENTRY.match(entry.name))), default=None)


def fence_of(table: DeltaTable) -> int:
    """The highest fencing token that has reached the table, by a commit or by a takeover."""
    claimed = int(table.metadata().configuration.get(FENCE_PROPERTY, "0"))
    return max(claimed, table.transaction_version(FENCE_APP_ID) or 0)


def create_table(path: Path, target: Dataset, fence: Fence) -> DeltaTable:
    """The table as declared: created, or given the columns and properties its declaration has gained.

    Raises SchemaDrift where a column changed its type or is gone from the declaration.
    """
    table = load_table(path)
    declared = Schema.from_json(delta_schema_json(target))
    if table is None:
        fence.check()
        return DeltaTable.create(
            path,
            schema=declared,
            name=target.name,
            description=target.comment,
            configuration=table_properties(target),
            commit_properties=fenced(fence),
        )
    gained = _gained_columns(target, table.schema(), declared)
    if gained:
        guard(table, fence)
        table.alter.add_columns(gained, commit_properties=fenced(fence))
        table = DeltaTable(path)
    wanted = table_properties(target)
    if any(table.metadata().configuration.get(key) != value for key, value in wanted.items()):
        guard(table, fence)
        table.alter.set_table_properties(wanted, commit_properties=fenced(fence))
        table = DeltaTable(path)
    return table


def claim_table(path: Path, fence: Fence) -> None:
    """A commit of metadata: every transaction that is open on the table, on either engine, fails against it."""
    while (table := load_table(path)) is not None and fence_of(table) < fence.token:
        fence.check()
        try:
            table.alter.set_table_properties(
                {FENCE_PROPERTY: str(fence.token)}, raise_if_not_exists=False, commit_properties=fenced(fence)
            )
        except CommitFailedError:
            continue  # another commit came first: look again


def append(path: Path, target: Dataset, rows: pa.RecordBatchReader, commit: Commit) -> Committed:
    """Add rows, streamed."""

    def write(table: DeltaTable) -> None:
        write_deltalake(
            table,
            rows,
            mode="append",
            commit_properties=_properties(commit),
            writer_properties=writer_properties(target),
        )

    return _commit(path, target, commit, write)


def replace(path: Path, target: Dataset, rows: pa.RecordBatchReader, commit: Commit) -> Committed:
    """Put rows in place of all that the table holds."""

    def write(table: DeltaTable) -> None:
        write_deltalake(
            table,
            rows,
            mode="overwrite",
            commit_properties=_properties(commit),
            writer_properties=writer_properties(target),
        )

    return _commit(path, target, commit, write)


def merge(
    path: Path, target: Dataset, rows: pa.RecordBatchReader, commit: Commit, days: Sequence[Days] = ()
) -> Committed:
    """Apply whole-row upserts and deletes by the declared keys, to rows of these days where there are any given.

    ``streamed_exec`` keeps the source's key range out of the merge predicate, and so out of the commit's info.
    """

    def write(table: DeltaTable) -> None:
        before = table.version()
        conditions = [f't."{key}" = s."{key}"' for key in target.keys]
        if within := within_sql(target, days, '"'):
            conditions.append(within)
        assignments = {f'"{name}"': f's."{name}"' for name in target.column_names}
        merger = table.merge(
            rows,
            predicate=" AND ".join(conditions),
            source_alias="s",
            target_alias="t",
            streamed_exec=True,
            commit_properties=_properties(commit),
            writer_properties=writer_properties(target),
        )
        merger.when_matched_delete(f"s.{CHANGE} = 'delete'").when_matched_update(assignments).when_not_matched_insert(
            assignments, predicate=f"s.{CHANGE} <> 'delete'"
        ).execute()
        if table.version() == before:  # delta-rs commits nothing where no row changed; the batch is done all the same
            nothing = arrow_schema(target).empty_table()
            write_deltalake(table, nothing, mode="append", commit_properties=_properties(commit))

    return _commit(path, target, commit, write)


def writer_properties(target: Dataset) -> WriterProperties:
    """Parquet settings: zstd, and column statistics in file footers only for columns that are not personal.

    Off by default and on by name: names reach plain columns only, so members of a struct have none. A row group is what the writer
    holds in memory.
    """
    known = ColumnProperties(statistics_enabled="PAGE")
    return WriterProperties(
        compression="ZSTD",
        compression_level=1,
        max_row_group_size=131_072,
        default_column_properties=ColumnProperties(statistics_enabled="NONE"),
        column_properties=dict.fromkeys(target.statistics_columns, known) or None,
    )


def _commit(path: Path, target: Dataset, commit: Commit, write: Callable[[DeltaTable], None]) -> Committed:
    table = create_table(path, target, commit.fence)
    guard(table, commit.fence)
    if (table.transaction_version(commit.flow) or 0) >= commit.batch:
        return Committed(table.version(), written=False)
    boundary("commit.fence_checked")
    before = table.version()
    try:
        write(table)
    except CommitFailedError as conflict:
        commit.fence.check()
        raise CommitConflict(
            f"{target.name}: another writer committed first; the batch is computed again"
        ) from conflict
    boundary("commit.written")
    if table.version() == before:
        table.update_incremental()
    return Committed(table.version(), written=True)


def guard(table: DeltaTable, fence: Fence) -> None:
    """Raise StaleFence unless the lease holds and the snapshot knows no newer one."""
    fence.check()
    if (reached := fence_of(table)) > fence.token:
        raise StaleFence(f"a writer with a newer lease ({reached}) has the table; this one holds {fence.token}")


def fenced(fence: Fence) -> CommitProperties:
    """What every commit carries beside its rows: the writer's token, and no retry of the library's own."""
    return CommitProperties(max_commit_retries=0, app_transactions=[Transaction(FENCE_APP_ID, fence.token)])


def _properties(commit: Commit) -> CommitProperties:
    return CommitProperties(
        custom_metadata={"flow": commit.flow, "batch": str(commit.batch), **commit.info},
        max_commit_retries=0,
        app_transactions=[Transaction(FENCE_APP_ID, commit.fence.token), Transaction(commit.flow, commit.batch)],
    )


def _gained_columns(target: Dataset, stored: Schema, declared: Schema) -> list[Field]:
    present = {field.name: field for field in stored.fields}
    wanted = {field.name: field for field in declared.fields}
    for name, field in present.items():
        if name not in wanted:
            raise SchemaDrift(
                f"{target.name}: the table has column {name}, its declaration has not; run it with --full-refresh"
            )
        if field.type != wanted[name].type:
            raise SchemaDrift(
                f"{target.name}.{name} is declared with another type than the table has; run it with --full-refresh"
            )
    return [field for name, field in wanted.items() if name not in present]
