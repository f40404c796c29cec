"""The engine port: what a flow may ask of SQL compute and Delta storage, in Spark SQL only.

Two implementations, `lakehouse.embedded` (DuckDB computes, delta-rs commits) and `lakehouse.spark`; one contract suite in
tests/contracts. A flow binds pinned snapshots to view names, composes Spark SQL over them, and commits the result of a query
to one table. It never sees DuckDB, Spark or a file.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

import pyarrow as pa

from kit.errors import Conflict, Fault, Invalid
from lakehouse.dataset import Dataset
from lakehouse.days import Days

CHANGE = "_change"
"""Column of a merge source: ``upsert``, ``delete``, or ``insert`` where the caller knows that the table has no row of the key."""

CHANGE_TYPE = "_change_type"
"""Column of Delta's change feed: ``insert``, ``delete``, ``update_preimage`` or ``update_postimage``."""

FENCE_APP_ID = "c360.fence"
"""Application id of the fence: constant, its transaction version is the fencing token of the writer."""

MIN_RETENTION_HOURS = 168
"""Delta's own default, on both engines: a week."""


class StaleFence(Conflict):
    """The writer's lease has gone to another; nothing was written. The run must stop."""

    code = "lakehouse.stale_fence"


class CommitConflict(Conflict):
    """Another writer committed first; reload, recompute and try again."""

    code = "lakehouse.commit_conflict"


class UnreadableTable(Invalid):
    """The table uses a Delta feature that this reader does not know; the message names it."""

    code = "lakehouse.unreadable_table"


class SchemaDrift(Conflict):
    """The table and its declaration do not fit together any more; the message says what to run."""

    code = "lakehouse.schema_drift"


class QueryFailed(Invalid):
    """A query that cannot be run; the message names the reason, never a value."""

    code = "lakehouse.query_failed"


class NullKey(Fault):
    """A row without a value in a column that is declared not to be NULL; the message names the column."""

    code = "lakehouse.null_key"


class LossyCast(Invalid):
    """A query's value does not fit the declared type without loss; the message names the column, never the value."""

    code = "lakehouse.lossy_cast"


class RetentionTooShort(Invalid):
    """A vacuum that would remove what others may still read; the message says the limit."""

    code = "lakehouse.retention_too_short"


class DuplicateKey(Fault):
    """A merge source holds a key twice."""

    code = "lakehouse.duplicate_key"


class Fence(Protocol):
    """A writer's right to a table. ``check`` raises StaleFence when the lease is no longer the writer's."""

    @property
    def token(self) -> int: ...

    def check(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Commit:
    """Identity of one commit: at most one commit of (flow, batch) ever reaches the table.

    ``batch`` counts from 1 and only grows within a flow. ``info`` goes into the commit's info: identifiers and versions,
    never data.
    """

    flow: str
    batch: int
    fence: Fence
    info: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Committed:
    """``version`` of the table afterwards; ``written`` is False where the batch was there already."""

    version: int
    written: bool


@dataclass(frozen=True, slots=True)
class Restriction:
    """Which part of an input is read: rows whose ``key`` expressions (Spark SQL over its columns) fall into
    ``bucket`` of ``buckets``, and, where ``touched`` names a view with columns ``k0, k1, …``, stand in it (NULL-safe). Of these
    rows ``columns``, which have all that ``key`` needs; none given: all there are."""

    key: tuple[str, ...]
    touched: str | None = None
    bucket: int = 0
    buckets: int = 1
    columns: tuple[str, ...] = ()


class Session(Protocol):
    """One unit of work on pinned snapshots; everything in it vanishes on exit.

    SQL is Spark SQL and passes the allow-list; ``:as_of`` stands for the run's date. View names are plain identifiers.
    """

    def bind(self, view: str, table: str, version: int, restriction: Restriction | None = None) -> None:
        """Make one snapshot of a table visible as ``view``, in whole or restricted.

        Who binds one bucket of a table is expected to bind the others in turn: the table may be cut into all of them at once.
        """

    def bind_changes(self, view: str, table: str, after: int, upto: int, columns: Sequence[str]) -> None:
        """Make the distinct values of ``columns`` in rows changed by versions (after, upto] visible: both images of an update.

        CHANGE_TYPE may be one of them.
        """

    def bind_empty(self, view: str, dataset: Dataset) -> None:
        """Make a table that does not exist yet visible as one without rows."""

    def load(self, view: str, rows: pa.Table | pa.RecordBatchReader) -> None:
        """Make Arrow rows visible (a reader is consumed at once)."""

    def define(self, view: str, sql: str) -> None:
        """Name a query; it is computed anew wherever it is read."""

    def materialize(self, view: str, sql: str) -> int:
        """Compute a query once and keep its rows for the session (spilling to disk); returns how many there are."""

    def extend(self, view: str, sql: str) -> int:
        """Add a query's rows to a materialized view; returns how many were added."""

    def fetch(self, sql: str, limit: int | None = None, *, lenient: bool = False) -> pa.Table:
        """The rows of a query, as Arrow; ``lenient`` leaves what is outside the language to the engine's own rules."""

    def columns(self, view: str) -> Mapping[str, str]:
        """Column names and *declaration* types (``lakehouse.schema``) of a view, where they are of such a type; else the
        engine's own spelling."""

    def append(self, target: Dataset, sql: str | Sequence[str], commit: Commit) -> Committed:
        """Add the query's rows, cast to the declared types without loss. Creates the table at need. A repeat is a no-op.

        Several queries are one commit: each yields rows of its own, and has them in the declared order for itself.
        """

    def merge(self, target: Dataset, sql: str, commit: Commit, days: Sequence[Days] = ()) -> Committed:
        """Apply rows with a ``_change`` column by the declared keys; all but ``delete`` need whole rows.

        ``days`` are those of the target's ``day_column`` between which every row that is to be changed stands: files without
        any are not read. None given: rows may stand anywhere.
        """

    def replace(self, target: Dataset, sql: str, commit: Commit) -> Committed:
        """Put the query's rows in place of all that the table holds, in one commit."""

    def append_rows(self, target: Dataset, rows: pa.RecordBatchReader, commit: Commit) -> Committed:
        """Add Arrow rows that already have the declared types, streamed."""


class Engine(Protocol):
    """Where sessions come from. One engine object per process; sessions are not shared between threads."""

    @property
    def name(self) -> str: ...

    def session(self, as_of: date) -> AbstractContextManager[Session]: ...

    def version(self, table: str) -> int | None:
        """The newest version of a table; None where it does not exist."""

    def batch(self, table: str, flow: str) -> int:
        """The last batch of a flow that reached the table; 0 for none."""

    def pieces(self, reads: Mapping[str, Collection[str]]) -> int:
        """In how many key-hash buckets a computation that reads these columns of these tables fits the engine's memory, by their
        sizes."""

    def create(self, target: Dataset, fence: Fence) -> int:
        """Create the table as declared, or add columns the declaration has gained; returns the version."""

    def claim(self, table: str, fence: Fence) -> None:
        """After taking over a lease: a commit that makes every transaction still open on the table fail."""

    def maintain(self, target: Dataset, fence: Fence) -> None:
        """Bring small files together, ordered by the declared clustering, and write a checkpoint. A table without small files
        gets no commit; no row changes and nothing is removed."""

    def vacuum(self, table: str, fence: Fence, retention_hours: int) -> int:
        """Remove the files, change data among them, that no version of the last ``retention_hours`` needs; returns how many.

        Older versions and their changes are gone for everybody: the caller knows that no reader waits for them. Raises
        RetentionTooShort.
        """


def check_retention(hours: int) -> None:
    """Raises RetentionTooShort: a vacuum below the limit could take files from queries and writers that are under way."""
    if hours < MIN_RETENTION_HOURS:
        raise RetentionTooShort(
            f"files are kept for at least {MIN_RETENTION_HOURS} hours, which {hours} is less than: running queries need them"
        )
