"""Corrections of arrays and structs."""

from __future__ import annotations

from sqlglot import exp

from lakehouse.sql.corrections.base import Correction, call, calling, guard, macro


def _sorted(node: exp.Expr) -> exp.Expr:
    """Structs are put in order while they are collected, member by member: DuckDB puts a struct with NULL members last."""
    collected = node.this
    if isinstance(collected, exp.ArrayAgg) and isinstance(collected.this, exp.Struct):
        members = [member.expression.copy() for member in collected.this.expressions]
        order = exp.Order(expressions=[exp.Ordered(this=member, nulls_first=True) for member in members])
        collected.set("this", exp.Order(this=collected.this, expressions=order.expressions))
        return collected
    return call("c360_sorted", collected)


def _comparable(node: exp.Expr) -> exp.Expr:
    if (
        isinstance(node.this, exp.Column)
        and isinstance(node.parent, exp.Window | exp.Order | exp.Filter | exp.Select | exp.Alias)
        and not _orders_result(node)
    ):
        node.set("this", call("c360_comparable", node.this))
    return node


def _orders_result(node: exp.Expr) -> bool:
    """ORDER BY of a query may name its result's columns, which a macro cannot see."""
    return isinstance(node.parent, exp.Order) and not isinstance(node.parent.parent, exp.Window)


CORRECTIONS = (
    Correction(
        "array_sort",
        "members that are NULL come first in Spark, last in DuckDB",
        {exp.ArraySort: _sorted},
        macros=(
            guard(
                "c360_flat(x)",
                "starts_with(typeof(x), 'STRUCT') OR ends_with(typeof(x), '][]') OR ends_with(typeof(x), ')[]') AND NOT starts_with(typeof(x), 'DECIMAL')",
                "array_sort of structs: write array_sort(collect_list(named_struct(...)))",
            ),
            macro("c360_sorted(x)", "list_sort(c360_flat(x), 'ASC', 'NULLS LAST')"),
        ),
    ),
    Correction(
        "order",
        "members that are NULL come first in Spark, last in DuckDB",
        {exp.Ordered: _comparable, exp.Max: _comparable, exp.Min: _comparable},
        macros=(
            guard(
                "c360_comparable(x)",
                "starts_with(typeof(x), 'STRUCT') OR ends_with(typeof(x), '[]')",
                "structs and arrays have no order here: order by their members",
            ),
        ),
    ),
    Correction("size", "DuckDB calls it len", {exp.ArraySize: calling("len")}, functions={"size": calling("len")}),
    Correction(
        "array_contains",
        "NULL in Spark where the value is missing and the array holds NULL",
        {exp.ArrayContains: lambda node: call("c360_contains", node.this, node.expression)},
        macros=(
            macro(
                "c360_contains(a, v)",
                "CASE WHEN a IS NULL OR v IS NULL THEN NULL WHEN list_contains(a, v) THEN true WHEN len(a) > list_count(a) THEN NULL ELSE false END",
            ),
        ),
    ),
    Correction(
        "array_join",
        "an array without values is the empty text in Spark",
        {exp.ArrayToString: lambda node: call("c360_join", node.this, node.expression)},
        macros=(
            macro(
                "c360_join(a, s)",
                "CASE WHEN a IS NOT NULL AND s IS NOT NULL THEN coalesce(array_to_string(a, s), '') END",
            ),
        ),
    ),
)
