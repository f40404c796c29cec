"""Computed datasets: plan a batch on pinned inputs, recompute what changed, write what differs.

`ByKey`, `AutoCdc` and `Full` run alike. The keys that any input change touches are recomputed from the whole of their inputs, the
result is compared with the table's rows of these keys, and only rows that differ are merged: the outcome depends on the
inputs and ``as_of`` alone, never on the order or the batches in which they came. A whole table is computed in buckets of the
key's hash, which bounds memory.

Order of commits within a batch: quarantine, metrics, then the table; each is a no-op when a crash made it run again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kit.errors import C360Error
from kit.faults import boundary
from lakehouse.catalog import definition, input_keys, statement_of
from lakehouse.checkpoints import Batch
from lakehouse.dataset import AutoCdc, Dataset, Derived
from lakehouse.days import Days, few_spans
from lakehouse.engine import CHANGE, Commit, CommitConflict, Session, StaleFence
from lakehouse.lease import Lease
from lakehouse.sql.language import columns_in, may_read
from pipelines.flows import cdc, expectations, quality
from pipelines.flows.context import FlowContext, FlowResult, retried
from pipelines.flows.scope import Scope, choose_scope

_STOOD = "__stood"
"""Column of ``__changes``: the target's value of the day column in the row that is to be changed."""

_MISSING = -1
"""Version of an input that does not exist yet."""


def run_derived(context: FlowContext, dataset: Dataset) -> FlowResult:
    """Bring a computed dataset up to its inputs' newest versions. First finishes a batch that a crash left planned."""
    result = FlowResult(dataset.name)
    with context.writing(dataset.name) as lease:
        result.version_before = context.engine.version(dataset.name)
        if result.version_before is None and context.checkpoints.last(dataset.name) is not None:
            context.begin_anew(dataset, lease)
        if (left := context.checkpoints.planned(dataset.name)) is not None:
            _finish(context, dataset, left, lease, result)
        if (batch := _plan(context, dataset, lease, refresh=context.full_refresh)) is not None:
            _finish(context, dataset, batch, lease, result)
        result.version_after = context.engine.version(dataset.name)
    return result


def _plan(context: FlowContext, dataset: Dataset, lease: Lease, *, refresh: bool) -> Batch | None:
    inputs = {name: _version(context, name) for name in context.catalog.inputs(dataset)}
    last = context.checkpoints.last(dataset.name)
    current = (inputs, definition(dataset), context.as_of if _uses_as_of(dataset) else None)
    if last is not None and not refresh and context.engine.version(dataset.name) is not None:
        done = (dict(last.inputs), last.definition, last.as_of if _uses_as_of(dataset) else None)
        if done == current:
            return None
    batch = context.checkpoints.plan(
        dataset.name,
        inputs=inputs,
        as_of=context.as_of,
        definition=definition(dataset),
        after=context.engine.batch(dataset.name, dataset.name),
        run_id=context.run_id,
        lease=lease,
    )
    boundary("flow.batch_planned")
    return batch


def _finish(context: FlowContext, dataset: Dataset, batch: Batch, lease: Lease, result: FlowResult) -> None:
    """Compute and commit one planned batch. A batch that cannot succeed as it is gives way to a new plan at the next run."""
    try:
        version = retried(lambda: _compute_and_commit(context, dataset, batch, lease, result))
    except (StaleFence, CommitConflict):
        raise
    except C360Error:
        context.checkpoints.abandon(batch, lease=lease)
        raise
    boundary("flow.target_committed")
    context.checkpoints.mark(batch, target_version=version)
    boundary("flow.batch_marked")
    result.batches += 1


def _compute_and_commit(context: FlowContext, dataset: Dataset, batch: Batch, lease: Lease, result: FlowResult) -> int:
    if (
        context.engine.batch(dataset.name, dataset.name) >= batch.batch
    ):  # a crash came after the commit, before the mark
        return _version(context, dataset.name)
    context.progress(dataset.name, "computing")
    with context.engine.session(batch.as_of) as session:
        current = context.engine.version(dataset.name)
        scope = choose_scope(context, session, dataset, batch, current)
        outcome = _compute(context, session, dataset, batch, scope, current)
        boundary("flow.computed")
        quality.record(context, session, dataset, batch, outcome.quality, scope)
        commit = context.commit(dataset.name, batch.batch, lease)
        version = current
        if current is None:
            context.engine.create(dataset, lease)
        if current is None or outcome.changes:
            context.progress(dataset.name, "writing")
            version = _write_changes(session, dataset, outcome, commit)
        outcome.report(result)
        return _MISSING if version is None else version


@dataclass(slots=True)
class _Outcome:
    quality: expectations.Quality
    pieces: list[str] = field(default_factory=list)
    """Of a table that is new: the views of its rows, bucket by bucket."""
    rows: int = 0
    inserts: int = 0
    updates: int = 0
    deletes: int = 0

    @property
    def changes(self) -> int:
        return self.inserts + self.updates + self.deletes

    def report(self, result: FlowResult) -> None:
        result.rows_in += self.quality.total or self.rows
        result.rows_out += self.rows
        result.rows_written += self.inserts + self.updates
        result.rows_deleted += self.deletes
        result.dropped += self.quality.dropped
        result.quarantined += self.quality.quarantined
        result.count_failures(self.quality.failures)


def _compute(
    context: FlowContext, session: Session, dataset: Dataset, batch: Batch, scope: Scope, current: int | None
) -> _Outcome:
    """Compute bucket by bucket: of a new table all rows, as pieces; of another those that differ, in the view ``__changes``."""
    outcome = _Outcome(expectations.Quality())
    for bucket in range(scope.buckets):
        context.progress(dataset.name, f"computing {bucket + 1}/{scope.buckets}" if scope.buckets > 1 else "computing")
        _bind_inputs(context, session, dataset, batch.inputs, scope, bucket)
        views = _Views.of(dataset, bucket if current is None else 0)
        _compute_rows(session, dataset, views, outcome)
        quality.collect(session, dataset, views.candidates, bucket)
        if current is None:
            outcome.pieces.append(views.rows)
            continue
        flow = dataset.flow
        assert isinstance(flow, Derived)  # noqa: S101 - the caller's dispatch, for the type checker
        session.bind("__target", dataset.name, current, scope.restriction(flow.keys, bucket))
        changes = _changes_sql(dataset, views.rows)
        if bucket == 0:
            session.materialize("__changes", changes)
        else:
            session.extend("__changes", changes)
    if current is None:
        outcome.inserts = outcome.rows
        return outcome
    counts = session.fetch(f"SELECT {CHANGE} AS kind, count(*) AS changes FROM __changes GROUP BY {CHANGE}")
    counted = {row["kind"]: int(row["changes"]) for row in counts.to_pylist()}
    outcome.inserts, outcome.updates, outcome.deletes = (
        counted.get(kind, 0) for kind in ("insert", "upsert", "delete")
    )
    return outcome


def _write_changes(session: Session, dataset: Dataset, outcome: _Outcome, commit: Commit) -> int:
    """Rows that are all new need no look at the table's files, and others only at those of the days on which they stand."""
    columns = ", ".join(dataset.column_names)
    if outcome.changes == outcome.inserts:
        added = [f"SELECT {columns} FROM {view}" for view in outcome.pieces or ("__changes",)]
        return session.append(dataset, added, commit).version
    days = _days_of_changes(session, dataset)
    return session.merge(dataset, f"SELECT {CHANGE}, {columns} FROM __changes", commit, days).version


def _days_of_changes(session: Session, dataset: Dataset) -> tuple[Days, ...]:
    """Where the rows stand that the table has and the merge changes. A row may have moved to another day: what counts is the old
    one."""
    if dataset.day_column is None:
        return ()
    stood = session.fetch(f"SELECT DISTINCT CAST({_STOOD} AS DATE) AS day FROM __changes WHERE {_STOOD} IS NOT NULL")
    return few_spans(stood.column("day").to_pylist())


def _bind_inputs(
    context: FlowContext, session: Session, dataset: Dataset, versions: Mapping[str, int], scope: Scope, bucket: int
) -> None:
    statement = statement_of(dataset)
    for name, version in versions.items():
        source = context.catalog.get(name)
        view = view_name(name)
        keys = input_keys(dataset, source)
        read = {*may_read(statement.text, source.column_names), *columns_in(keys)}
        columns = tuple(column for column in source.column_names if column in read)
        restriction = scope.restriction(keys, bucket, columns)
        if version == _MISSING:
            session.bind_empty(view, source)
        elif scope.touched is not None and restriction is not None and name in statement.repeated:
            # found once: a view would look for these rows in the whole table each time that it is read
            session.bind(f"{view}__touched", name, version, restriction)
            session.materialize(view, f"SELECT * FROM {view}__touched")
        else:
            session.bind(view, name, version, restriction)


@dataclass(frozen=True, slots=True)
class _Views:
    """Where a bucket's rows are: ``rows`` are what the table shall hold, ``candidates`` the query's where expectations look at them."""

    candidates: str
    rows: str

    @classmethod
    def of(cls, dataset: Dataset, piece: int) -> _Views:
        """Those of one bucket do away with those of another of the same ``piece``."""
        return cls(f"__candidates{0 if isinstance(dataset.flow, AutoCdc) else piece}", f"__rows{piece}")


def _compute_rows(session: Session, dataset: Dataset, views: _Views, outcome: _Outcome) -> None:
    """Fill the views. The query's text is planned once: a view over it would be planned anew wherever it is read."""
    statement = statement_of(dataset)
    query = statement.bound({name: view_name(name) for name in statement.inputs})
    if dataset.expectations:
        session.materialize(views.candidates, query)
        measured = expectations.measure(session, dataset, views.candidates)
        outcome.quality.add(measured)
        query = f"SELECT * FROM {views.candidates} WHERE {expectations.kept_rows(dataset)}"
        if not isinstance(dataset.flow, AutoCdc):  # computed already: these rows need not be kept a second time
            session.define(views.rows, query)
            outcome.rows += measured.total - measured.dropped - measured.quarantined
            return
    if isinstance(dataset.flow, AutoCdc):
        session.define("__kept", query)
        query = cdc.states_sql(dataset, dataset.flow, "__kept")
    outcome.rows += session.materialize(views.rows, query)


def rows_sql(dataset: Dataset) -> str:
    """What the table of a computed dataset shall hold, as one query over its inputs: its own query, the expectations that leave
    rows out, and the states that versions lead to. For reading, such as lineage; flows run it in steps."""
    query = statement_of(dataset).text
    if dataset.expectations:
        query = f"SELECT * FROM ({query}) AS candidates WHERE {expectations.kept_rows(dataset)}"
    if isinstance(dataset.flow, AutoCdc):
        query = cdc.states_sql(dataset, dataset.flow, f"({query}) AS versions")
    return query


def _changes_sql(dataset: Dataset, computed: str) -> str:
    """Rows to merge: new ones as ``insert``, different ones as ``upsert``, rows that are gone as ``delete``."""
    columns = dataset.column_names
    rows = ", ".join(f"r.{name} AS {name}" for name in columns)
    joined = " AND ".join(f"t.{key} = r.{key}" for key in dataset.keys)
    same = " AND ".join(f"t.{name} <=> r.{name}" for name in columns)
    gone = ", ".join(f"t.{name} AS {name}" for name in columns)
    stood = f", t.{dataset.day_column.name} AS {_STOOD}" if dataset.day_column is not None else ""
    return (
        f"SELECT CASE WHEN t.{dataset.keys[0]} IS NULL THEN 'insert' ELSE 'upsert' END AS {CHANGE}, {rows}{stood} "
        f"FROM {computed} AS r LEFT JOIN __target AS t ON {joined} WHERE t.{dataset.keys[0]} IS NULL OR NOT ({same}) "
        f"UNION ALL SELECT 'delete' AS {CHANGE}, {gone}{stood} FROM __target AS t LEFT ANTI JOIN {computed} AS r ON {joined}"
    )


def view_name(table: str) -> str:
    """The session's view of a table."""
    return table.replace(".", "__")


def _version(context: FlowContext, table: str) -> int:
    version = context.engine.version(table)
    return _MISSING if version is None else version


def _uses_as_of(dataset: Dataset) -> bool:
    return "as_of" in statement_of(dataset).parameters
