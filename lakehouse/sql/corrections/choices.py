"""Corrections where values meet: DuckDB turns the others into texts where Spark turns the text into a number, or fails."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from lakehouse.sql.corrections.base import Correction, Rewrite, call, guard
from lakehouse.sql.types import KIND, Kind


def _parts(node: exp.Expr) -> list[exp.Expr]:
    return [node.this, *node.expressions, *([node.expression] if isinstance(node.args.get("expression"), exp.Expr) else [])]


def _results(node: exp.Expr) -> list[exp.Expr]:
    results = [branch.args["true"] for branch in node.args["ifs"]] if isinstance(node, exp.Case) else [node.args["true"]]
    default = node.args.get("default") or node.args.get("false")
    return [*results, default] if default is not None else results


def _of_one_type(values: Callable[[exp.Expr], list[exp.Expr]]) -> Rewrite:
    """Where one value's kind is known, the others must not be (or must be) texts; what DuckDB finds them to be decides."""

    def rewrite(node: exp.Expr) -> exp.Expr:
        found = values(node)
        known = {value.meta.get(KIND) for value in found} - {None}
        if not known:
            return node
        name = "c360_is_text" if known == {Kind.TEXT} else "c360_is_no_text"
        for value in found:
            if value.meta.get(KIND) is None and isinstance(value, exp.Column):
                value.replace(call(name, value.copy()))
        return node

    return rewrite


def _strict(node: exp.Expr) -> exp.Expr:
    """A text constant is a text, not whatever it is compared with."""
    for part in [node.this, *node.expressions, *(node.args[name] for name in ("expression", "low", "high") if isinstance(node.args.get(name), exp.Expr))]:
        if part.is_string:
            part.replace(exp.cast(part.copy(), "TEXT"))
    return node


_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.In, exp.Between)

CORRECTIONS = (
    Correction("text_constant", "DuckDB reads a text constant as a value of the type it is compared with, by rules of its own", dict.fromkeys(_COMPARISONS, _strict)),
    Correction(
        "one_type",
        "where a text and another value meet, DuckDB makes both texts; Spark makes both numbers, or fails",
        {**dict.fromkeys((exp.Coalesce, exp.Nullif, exp.Greatest, exp.Least), _of_one_type(_parts)), exp.Case: _of_one_type(_results), exp.If: _of_one_type(_results)},
        macros=(
            guard("c360_is_text(x)", "typeof(x) NOT IN ('VARCHAR', '\"NULL\"')", "values of different types meet: cast one of them"),
            guard("c360_is_no_text(x)", "typeof(x) = 'VARCHAR'", "values of different types meet: cast one of them"),
        ),
    ),
)
