"""Which rows another ``as_of`` can change, read from a query that does nothing with ``:as_of`` but compare instants with it.

A window such as ``order_ts >= CAST(:as_of AS TIMESTAMP) - INTERVAL 30 DAYS`` has an edge that moves with the date. When the date
moves, a comparison turns out otherwise only for instants that the edge has passed over. If such an instant is some input
row's value as it is (also the earliest or latest of several), then the rows computed from other inputs stay what they were.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sqlglot import exp
from sqlglot.dialects.databricks import Databricks
from sqlglot.optimizer.scope import Scope

from lakehouse.sql.sources import Inputs, output_names, reached, scoped, source_of

_COMPARISONS = (exp.LT, exp.LTE, exp.GT, exp.GTE, exp.EQ, exp.NEQ)
_PICKING = (
    exp.Paren, exp.Min, exp.Max, exp.Filter, exp.Window, exp.IgnoreNulls, exp.FirstValue, exp.LastValue, exp.Nullif, exp.Alias,
)  # fmt: skip
"""What yields one of the values it is given, or NULL."""


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """An input's column that the query compares with an instant that moves with ``as_of``, given as Spark SQL."""

    table: str
    column: str
    instant: str

    def passed(self, before: date, after: date) -> str:
        """The condition, over the input, that its instant lies where the edge has passed."""
        start, end = sorted((before, after))
        return f"{self.column} BETWEEN {self._at(start)} AND {self._at(end)}"

    def _at(self, day: date) -> str:
        return self.instant.replace(":as_of", f"DATE '{day.isoformat()}'")


def edges_of(sql: str, tables: Mapping[str, Sequence[str]]) -> frozenset[Edge] | None:
    """Every edge of a query; None where ``:as_of`` does more than move edges, so that any row may change with it."""
    scope, inputs = scoped(sql, tables)
    uses = [(each, node) for each in reached(scope) for node in each.walk() if isinstance(node, exp.Placeholder)]
    if len(uses) < len(list(scope.expression.find_all(exp.Placeholder))):
        return None
    edges: set[Edge] = set()
    for each, placeholder in uses:
        found = _compared(each, inputs, placeholder)
        if found is None:
            return None
        edges |= found
    return frozenset(edges)


def _compared(scope: Scope, inputs: Inputs, placeholder: exp.Placeholder) -> set[Edge] | None:
    instant: exp.Expr = placeholder
    while isinstance(instant.parent, exp.Cast | exp.Add | exp.Sub | exp.Paren) and instant.arg_key == "this":
        instant = instant.parent
    comparison = instant.parent
    if not isinstance(comparison, _COMPARISONS) or not _moves_evenly(instant):
        return None
    other = comparison.expression if instant.arg_key == "this" else comparison.this
    picked = _picked(scope, inputs, other)
    if picked is None:
        return None
    text = instant.sql(dialect=Databricks)
    return {Edge(table, column, text) for table, column in picked}


def _moves_evenly(instant: exp.Expr) -> bool:
    """Whether a later date makes it a later instant: the date itself, as it is or less or more a constant."""
    match instant:
        case exp.Placeholder():
            return True
        case exp.Paren():
            return _moves_evenly(instant.this)
        case exp.Cast():
            return instant.to.this in (exp.DType.TIMESTAMPTZ, exp.DType.DATE) and _moves_evenly(instant.this)
        case exp.Add() | exp.Sub():
            return isinstance(instant.expression, exp.Interval) and _moves_evenly(instant.this)
        case _:
            return False


Columns = set[tuple[str, str]]


def _picked(scope: Scope, inputs: Inputs, node: exp.Expr) -> Columns | None:
    """The input columns whose values these are, unchanged; None where they are computed."""
    if not isinstance(node, exp.Column):
        choices = _choices(node)
        return None if choices is None else _united(_picked(scope, inputs, choice) for choice in choices)
    source = source_of(scope, node)
    if isinstance(source, Scope):
        return _picked_column(source, inputs, node.name)
    table, columns = inputs[source.name]
    return {(table, columns[node.name.lower()])}


def _picked_column(scope: Scope, inputs: Inputs, name: str) -> Columns | None:
    if isinstance(scope.expression, exp.SetOperation):
        place = output_names(scope).index(name)
        branches = scope.set_operation_scopes
        return _united(_picked_column(branch, inputs, output_names(branch)[place]) for branch in branches)
    if not isinstance(scope.expression, exp.Select):
        return None
    return _picked(scope, inputs, next(each for each in scope.expression.selects if each.alias_or_name == name))


def _choices(node: exp.Expr) -> Sequence[exp.Expr] | None:
    """The values of which an expression yields one, or NULL; None for an expression that computes."""
    choices: list[exp.Expr | None]
    match node:
        case exp.Null():
            choices = []
        case exp.Lag() | exp.Lead():
            choices = [node.this, node.args.get("default")]
        case exp.Coalesce() | exp.Greatest() | exp.Least():
            choices = [node.this, *node.expressions]
        case exp.Case():
            choices = [*(branch.args["true"] for branch in node.args["ifs"]), node.args.get("default")]
        case _ if isinstance(node, _PICKING):
            choices = [node.this]
        case _:
            return None
    return [choice for choice in choices if choice is not None]


def _united(parts: Iterable[Columns | None]) -> Columns | None:
    found: Columns = set()
    for part in parts:
        if part is None:
            return None
        found |= part
    return found
