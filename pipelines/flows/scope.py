"""Which part of a computed dataset a batch has to look at: the touched keys, or everything in buckets."""

from __future__ import annotations

from dataclasses import dataclass

from lakehouse.catalog import input_keys, statement_of
from lakehouse.checkpoints import Batch
from lakehouse.dataset import AutoCdc, ByKey, Dataset
from lakehouse.engine import Restriction, Session
from lakehouse.sql.language import parse_expression
from pipelines.flows.context import FlowContext

TOUCHED = "__touched"


@dataclass(frozen=True, slots=True)
class Scope:
    """``touched`` names the view of changed keys, None for the whole table; ``buckets`` is in how many pieces."""

    touched: str | None
    buckets: int

    def restriction(self, key: tuple[str, ...], bucket: int) -> Restriction | None:
        """What of an input with that key belongs to a bucket; an input without a key is read whole."""
        if not key or (self.touched is None and self.buckets == 1):
            return None
        return Restriction(key, self.touched, bucket, self.buckets)


def choose_scope(context: FlowContext, session: Session, dataset: Dataset, batch: Batch, current: int | None) -> Scope:
    """The touched keys where the last batch can be built upon, else the whole table.

    Everything is computed anew when the table or its last batch is missing, at a full refresh, when the declaration or an
    ``as_of`` that the query uses has changed, when an input without a key has, and when an input has gone back in time.
    """
    last = context.checkpoints.last(dataset.name)
    rebuild = current is None or last is None or context.full_refresh or last.definition != batch.definition
    if rebuild or last is None or ("as_of" in statement_of(dataset).parameters and last.as_of != batch.as_of):
        return _whole(context, batch)
    if any(version < last.inputs.get(name, -1) for name, version in batch.inputs.items()):
        return _whole(context, batch)
    changed = {name: version for name, version in batch.inputs.items() if last.inputs.get(name) != version}
    keys = {name: input_keys(dataset, context.catalog.get(name)) for name in changed}
    if any(not key for key in keys.values()):
        return _whole(context, batch)
    parts = []
    for position, (name, version) in enumerate(changed.items()):
        columns = sorted({column for expression in keys[name] for column in parse_expression(expression).columns})
        session.bind_changes(f"__changed{position}", name, last.inputs.get(name, -1), version, columns)
        listed = ", ".join(f"{expression} AS k{index}" for index, expression in enumerate(keys[name]))
        parts.append(f"SELECT {listed} FROM __changed{position}")
    flow = dataset.flow
    assert isinstance(flow, ByKey | AutoCdc)  # noqa: S101 - the caller's dispatch, for the type checker
    distinct = ", ".join(f"k{index}" for index in range(len(flow.keys)))
    session.materialize(TOUCHED, f"SELECT DISTINCT {distinct} FROM ({' UNION ALL '.join(parts)}) AS changed")
    return Scope(TOUCHED, 1)


def _whole(context: FlowContext, batch: Batch) -> Scope:
    return Scope(None, context.buckets or context.engine.pieces(sorted(batch.inputs)))
