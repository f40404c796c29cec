"""Corrections where values meet: DuckDB turns the others into texts, or the text into a value by rules of its own, where Spark
turns the text into a number by its rules, or fails."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from lakehouse.sql.corrections.base import Correction, Rewrite, call, guard
from lakehouse.sql.types import KIND, Kind

_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.In, exp.Between)
_OPERANDS = ("expression", "low", "high")


def _operands(node: exp.Expr) -> list[exp.Expr]:
    others = [node.args[name] for name in _OPERANDS if isinstance(node.args.get(name), exp.Expr)]
    return [node.this, *node.expressions, *others]


def _results(node: exp.Expr) -> list[exp.Expr]:
    results = (
        [branch.args["true"] for branch in node.args["ifs"]] if isinstance(node, exp.Case) else [node.args["true"]]
    )
    default = node.args.get("default") or node.args.get("false")
    return [*results, default] if default is not None else results


def _of_one_type(values: Callable[[exp.Expr], list[exp.Expr]]) -> Rewrite:
    """Where one value's kind is known from the text, columns beside it must be texts, or must not be: DuckDB knows which.

    Two columns are not held against each other: a condition on both would keep DuckDB from joining by them.
    """

    def rewrite(node: exp.Expr) -> exp.Expr:
        found = values(node)
        known = {value.meta.get(KIND) for value in found} - {None}
        if known:
            name = "c360_is_text" if known == {Kind.TEXT} else "c360_is_no_text"
            for value in found:
                if isinstance(value, exp.Column):
                    value.replace(call(name, value.copy()))
        return node

    return rewrite


CORRECTIONS = (
    Correction(
        "one_type",
        "where a text meets another value, DuckDB makes both texts or reads the text by rules of its own",
        {
            **dict.fromkeys(
                (*_COMPARISONS, exp.Coalesce, exp.Nullif, exp.Greatest, exp.Least), _of_one_type(_operands)
            ),
            **dict.fromkeys((exp.Case, exp.If), _of_one_type(_results)),
        },
        macros=(
            guard(
                "c360_is_text(x)",
                "typeof(x) NOT IN ('VARCHAR', '\"NULL\"')",
                "values of different types meet: cast one of them",
            ),
            guard("c360_is_no_text(x)", "typeof(x) = 'VARCHAR'", "values of different types meet: cast one of them"),
        ),
    ),
)
