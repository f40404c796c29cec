"""Which part of a computed dataset a batch has to look at: the touched keys, or everything in buckets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from lakehouse.catalog import CHANGED, input_keys, reached_keys, statement_of
from lakehouse.checkpoints import Batch
from lakehouse.dataset import Dataset, Derived
from lakehouse.engine import Restriction, Session
from lakehouse.sql.edges import Edge, edges_of
from lakehouse.sql.language import columns_in, columns_of, parse
from lakehouse.sql.sources import sources_of
from pipelines.flows.context import FlowContext

TOUCHED = "__touched"


@dataclass(frozen=True, slots=True)
class Scope:
    """``touched`` names the view of changed keys, None for the whole table; ``buckets`` is in how many pieces."""

    touched: str | None
    buckets: int

    def restriction(self, key: tuple[str, ...], bucket: int, columns: tuple[str, ...] = ()) -> Restriction | None:
        """What of an input with that key belongs to a bucket; an input without a key is read whole."""
        if not key or (self.touched is None and self.buckets == 1):
            return None
        return Restriction(key, self.touched, bucket, self.buckets, columns)


def choose_scope(context: FlowContext, session: Session, dataset: Dataset, batch: Batch, current: int | None) -> Scope:
    """The touched keys where the last batch can be built upon, else the whole table.

    Everything is computed anew when the table or its last batch is missing, at a full refresh, when the declaration has
    changed, when an input that does not tell its keys has, when an input has gone back in time, and when ``as_of`` has
    changed in a query that does more with it than compare instants.
    """
    last = context.checkpoints.last(dataset.name)
    if current is None or last is None or context.full_refresh or last.definition != batch.definition:
        return _whole(context, dataset, batch)
    if any(version < last.inputs.get(name, -1) for name, version in batch.inputs.items()):
        return _whole(context, dataset, batch)
    touching = _Touching(context, session, dataset, batch)
    changed = {
        name: last.inputs.get(name, -1) for name, version in batch.inputs.items() if last.inputs.get(name) != version
    }
    parts = [touching.by_changes(name, after) for name, after in changed.items()]
    if "as_of" in statement_of(dataset).parameters and last.as_of != batch.as_of:
        parts += touching.by_time(last.as_of)
    found = [part for part in parts if part is not None]
    if len(found) < len(parts):
        return _whole(context, dataset, batch)
    keys = ", ".join(touching.names)
    session.materialize(TOUCHED, f"SELECT DISTINCT {keys} FROM ({' UNION ALL '.join(found)}) AS touching")
    return Scope(TOUCHED, 1)


class _Touching:
    """Queries that yield keys of a dataset whose rows may have become others; None for: any of them."""

    def __init__(self, context: FlowContext, session: Session, dataset: Dataset, batch: Batch) -> None:
        flow = dataset.flow
        assert isinstance(flow, Derived)  # noqa: S101 - the caller's dispatch, for the type checker
        self._context, self._session, self._dataset, self._batch = context, session, dataset, batch
        self.names = tuple(f"k{position}" for position in range(len(flow.keys)))

    def by_changes(self, table: str, after: int) -> str | None:
        """Keys that an input's changes since a version touch: those of the rows, or those that the rows reach."""
        source, upto = self._context.catalog.get(table), self._batch.inputs[table]
        view = f"__changed__{table.replace('.', '__')}"
        if keys := input_keys(self._dataset, source):
            self._session.bind_changes(view, table, after, upto, sorted(columns_in(keys)))
            return self._keys_of(keys, view)
        reached = reached_keys(self._dataset, source)
        if reached is None:
            return None
        self._session.bind_changes(view, table, after, upto, sorted(columns_of(reached.query, CHANGED)))
        self._session.define(CHANGED, f"SELECT * FROM {view}")
        views = {name: self._bound(name) for name in parse(reached.query).inputs}
        names = ", ".join(self.names)
        return f"SELECT {names} FROM ({parse(reached.query).bound(views)}) AS reached({names})"

    def by_time(self, before: date) -> Iterator[str | None]:
        """Keys for which an edge of the query has passed over an instant since the last batch's ``as_of``."""
        edges = edges_of(statement_of(self._dataset).text, _input_columns(self._context, self._batch))
        if not edges:
            yield None
            return
        for table in sorted({edge.table for edge in edges}):
            yield self._passed(table, before, sorted(edge for edge in edges if edge.table == table))

    def _passed(self, table: str, before: date, edges: list[Edge]) -> str | None:
        keys = input_keys(self._dataset, self._context.catalog.get(table))
        if not keys:
            return None
        passed = " OR ".join(f"({edge.passed(before, self._batch.as_of)})" for edge in edges)
        return f"{self._keys_of(keys, self._bound(table))} WHERE {passed}"

    def _keys_of(self, keys: tuple[str, ...], view: str) -> str:
        listed = ", ".join(f"{expression} AS {name}" for expression, name in zip(keys, self.names, strict=True))
        return f"SELECT {listed} FROM {view}"

    def _bound(self, table: str) -> str:
        """The view of a whole input, at the batch's version."""
        view, version = f"__all__{table.replace('.', '__')}", self._batch.inputs[table]
        if version < 0:
            self._session.bind_empty(view, self._context.catalog.get(table))
        else:
            self._session.bind(view, table, version)
        return view


def _whole(context: FlowContext, dataset: Dataset, batch: Batch) -> Scope:
    flow = dataset.flow
    assert isinstance(flow, Derived)  # noqa: S101 - the caller's dispatch, for the type checker
    if not flow.keys:
        return Scope(None, 1)
    return Scope(None, context.buckets or context.engine.pieces(_reads(context, dataset, batch)))


def _reads(context: FlowContext, dataset: Dataset, batch: Batch) -> dict[str, set[str]]:
    """Of each input the columns that the query cannot do without."""
    columns = _input_columns(context, batch)
    reads: dict[str, set[str]] = {name: set() for name in columns}
    for table, column in sources_of(statement_of(dataset).text, columns).read:
        reads[table].add(column)
    return reads


def _input_columns(context: FlowContext, batch: Batch) -> dict[str, tuple[str, ...]]:
    return {name: context.catalog.get(name).column_names for name in batch.inputs}
