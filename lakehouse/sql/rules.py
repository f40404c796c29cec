"""What the allow-list asks of a construct beyond its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from sqlglot import exp

from lakehouse.sql.regex import matches_nothing, to_re2, to_re2_replacement
from lakehouse.sql.types import Kind, average_type, decimal_type, is_exact, kind_of, quotient_type
from lakehouse.sql.unsupported import UnsupportedSql

_TYPES = frozenset(
    {
        exp.DType.TEXT,
        exp.DType.VARCHAR,
        exp.DType.INT,
        exp.DType.BIGINT,
        exp.DType.DOUBLE,
        exp.DType.BOOLEAN,
        exp.DType.DATE,
        exp.DType.TIMESTAMPTZ,
        exp.DType.DECIMAL,
    }
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d{1,6})?")
_SHIFTS = frozenset({"SECOND", "MINUTE", "HOUR", "DAY", "WEEK"})
_TRUNCATIONS = frozenset({"YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND"})
_FIELDS = frozenset({"YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "DOY", "DOW", "DAYOFWEEK", "HOUR", "MINUTE"})
_DATE_CUTS = frozenset({"YEAR", "YYYY", "YY", "QUARTER", "MONTH", "MM", "MON", "WEEK"})
_RANKS = (
    exp.RowNumber,
    exp.Rank,
    exp.DenseRank,
    exp.Ntile,
    exp.Lag,
    exp.Lead,
    exp.FirstValue,
    exp.LastValue,
    exp.PercentRank,
    exp.CumeDist,
)


def _outside(node: exp.Expr, through: type[exp.Expr] | tuple[type[exp.Expr], ...]) -> exp.Expr | None:
    """The nearest node above that is not one of these."""
    above = node.parent
    while isinstance(above, through):
        above = above.parent
    return above


def _unit(node: exp.Expr | None, units: frozenset[str]) -> None:
    name = node.name.upper() if node is not None else ""
    if name not in units and name.removesuffix("S") not in units:
        raise UnsupportedSql(
            f"the unit {name or 'left out'} is not in the language here; write one of {', '.join(sorted(units))}"
        )


def _check_table(node: exp.Expr) -> None:
    if not isinstance(node.this, exp.Identifier):
        raise UnsupportedSql("a query reads tables (layer.noun) and its own WITH names, no table functions")


def _check_cast(node: exp.Expr) -> None:
    assert isinstance(node, exp.Cast)  # noqa: S101 - for the type checker
    kind = node.to.this
    if kind not in _TYPES:
        raise UnsupportedSql(f"a cast to {node.to.sql('databricks')} is not in the language")
    if node.this.is_string and not isinstance(node, exp.TryCast):
        form = {
            exp.DType.DATE: _DATE,
            exp.DType.TIMESTAMPTZ: _TIMESTAMP,
            exp.DType.DECIMAL: re.compile(r"\d+(\.\d+)?"),
        }.get(kind)
        if form is None or not form.fullmatch(node.this.name):
            raise UnsupportedSql("write constants as DATE 'YYYY-MM-DD', TIMESTAMP 'YYYY-MM-DD HH:MM:SS' or numbers")
    elif (
        kind_of(node.this) is Kind.TEXT
        and kind not in (exp.DType.TEXT, exp.DType.VARCHAR)
        and not isinstance(node, exp.TryCast)
    ):
        raise UnsupportedSql("a text is cast by try_cast(… AS …), which yields NULL for what is no such value")


def _check_arithmetic(node: exp.Expr) -> None:
    if not isinstance(_outside(node, (exp.Paren, exp.Add, exp.Sub, exp.Mul, exp.Neg)), exp.Cast):
        raise UnsupportedSql("a product says its type: write CAST(a * b AS DECIMAL(p,s)), or AS BIGINT or DOUBLE")


def _check_round(node: exp.Expr) -> None:
    decimals = node.args.get("decimals")
    if decimals is not None and not (isinstance(decimals, exp.Literal) and decimals.is_int):
        raise UnsupportedSql("round takes a number of decimals, 0 or more, as a literal")
    if node.args.get("truncate") or not isinstance(_outside(node, exp.Paren), exp.Cast):
        raise UnsupportedSql("a rounded value says its type: write CAST(round(a, 2) AS DECIMAL(p,2))")


def _check_whole(node: exp.Expr) -> None:
    if not isinstance(_outside(node, exp.Paren), exp.Cast):
        raise UnsupportedSql("floor and ceil say their type: write CAST(floor(a) AS BIGINT)")


def _check_division(node: exp.Expr) -> None:
    if not isinstance(_outside(node, (exp.Paren, exp.Round, exp.Floor, exp.Ceil)), exp.Cast):
        raise UnsupportedSql("a quotient says its type: write CAST(try_divide(…) AS DECIMAL(p,s))")
    above, below = decimal_type(node.this), decimal_type(node.expression)
    if above and below:
        if not is_exact(above, below, quotient_type(above, below)):
            raise UnsupportedSql(
                "these operands have too many digits to be divided exactly; cast the divisor to a smaller DECIMAL"
            )
    elif kind_of(node.this) is not Kind.DOUBLE or kind_of(node.expression) is not Kind.DOUBLE:
        raise UnsupportedSql(
            "both operands of try_divide say their type: write try_divide(CAST(a AS DECIMAL(p,s)), CAST(b AS DECIMAL(p,s)))"
        )


def _check_average(node: exp.Expr) -> None:
    kind = decimal_type(node.this)
    if (
        kind is None
        or not is_exact((38, kind[1]), (20, 0), average_type(kind))
        or not isinstance(_outside(node, (exp.Paren, exp.Round)), exp.Cast)
    ):
        raise UnsupportedSql("write CAST(avg(CAST(a AS DECIMAL(p,s))) AS DECIMAL(p,s)), without OVER or FILTER")


def _check_collection(node: exp.Expr) -> None:
    if not isinstance(_outside(node, exp.Filter), exp.ArraySort | exp.ArraySize) and not _is_size(node.parent):
        raise UnsupportedSql("collected values come in any order: write array_sort(collect_list(…))")


def _is_size(node: exp.Expr | None) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower() == "size"


def _check_sorted(node: exp.Expr) -> None:
    if isinstance(node.this, exp.ArrayUniqueAgg) and isinstance(node.this.this, exp.Struct):
        raise UnsupportedSql(
            "structs are sorted while they are collected: write array_sort(collect_list(named_struct(…)))"
        )


def _pattern(node: exp.Expr) -> str:
    if not isinstance(node.expression, exp.Literal | exp.RawString):
        raise UnsupportedSql("a pattern is a literal")
    to_re2(node.expression.name)
    return node.expression.name


def _check_consuming(node: exp.Expr) -> None:
    if matches_nothing(_pattern(node)):
        raise UnsupportedSql(
            "the pattern matches the empty text, which each engine finds elsewhere; use + instead of *"
        )


def _check_replace(node: exp.Expr) -> None:
    _check_consuming(node)
    replacement = node.args.get("replacement")
    if not isinstance(replacement, exp.Literal | exp.RawString):
        raise UnsupportedSql("a replacement is a literal")
    to_re2_replacement(replacement.name)


def _check_group(node: exp.Expr) -> None:
    groups = re.compile(_pattern(node).replace(r"\z", r"\Z")).groups
    group = node.args.get("group")
    wanted = 1 if group is None else int(group.name) if isinstance(group, exp.Literal) and group.is_int else -1
    if not 0 <= wanted <= groups:
        raise UnsupportedSql(
            f"the pattern has {groups} groups; say which as a literal number (0 is the whole match, 1 if left out)"
        )


def _check_like(node: exp.Expr) -> None:
    if not isinstance(node.expression, exp.Literal | exp.RawString) or isinstance(node.parent, exp.Escape):
        raise UnsupportedSql("LIKE takes a literal pattern, in which a backslash escapes")
    if re.search(r"\\(?![%_\\])", node.expression.name.replace("\\\\", "")):
        raise UnsupportedSql("in LIKE a backslash stands before %, _ or another backslash")


def _check_interval(node: exp.Expr) -> None:
    _unit(node.args.get("unit"), _SHIFTS)
    if (
        not isinstance(node.parent, exp.Add | exp.Sub)
        or node.parent.expression is not node
        or not re.fullmatch(r"\d+", node.name)
    ):
        raise UnsupportedSql(
            "an interval stands to the right of + or - and has one whole number: ts - INTERVAL 30 DAYS"
        )


def _check_function(node: exp.Expr) -> None:
    if node.name.lower() == "trunc":
        _unit(node.expressions[1], _DATE_CUTS)


def _check_lateral(node: exp.Expr) -> None:
    if node.args.get("outer") or not isinstance(node.this, exp.Explode):
        raise UnsupportedSql("write LATERAL VIEW explode(…), without OUTER")


def _check_window(node: exp.Expr) -> None:
    core = node.this.this if isinstance(node.this, exp.IgnoreNulls) else node.this
    if isinstance(core, _RANKS) and not node.args.get("order"):
        raise UnsupportedSql(f"{core.sql_name().lower()} needs OVER (… ORDER BY …)")


def _check_sha2(node: exp.Expr) -> None:
    length = node.args.get("length")
    if length is None or length.name != "256":
        raise UnsupportedSql("write sha2(…, 256)")


def _check_exists(node: exp.Expr) -> None:
    if not isinstance(node.this, exp.Query):
        raise UnsupportedSql("EXISTS takes a subquery; over arrays write size(filter(…)) > 0")


def _alike(values: Callable[[exp.Expr], Iterable[exp.Expr | None]]) -> Callable[[exp.Expr], None]:
    def check(node: exp.Expr) -> None:
        known = {kind_of(value) for value in values(node) if value is not None and not isinstance(value, exp.Null)} - {
            None
        }
        kinds = {Kind.EXACT if kind is Kind.DOUBLE else Kind.TIMESTAMP if kind is Kind.DATE else kind for kind in known}
        if len(kinds) > 1:
            raise UnsupportedSql(
                f"values of different types meet: {' and '.join(sorted(kind.value for kind in known if kind))}; cast one of them"
            )

    return check


def _check_order(node: exp.Expr) -> None:
    for part in (node.this, node.args.get("expression")):
        if isinstance(part, exp.Array | exp.Struct):
            raise UnsupportedSql("structs and arrays have no order here; compare their members")


def _both(first: Callable[[exp.Expr], None], second: Callable[[exp.Expr], None]) -> Callable[[exp.Expr], None]:
    def check(node: exp.Expr) -> None:
        first(node)
        second(node)

    return check


def _results(node: exp.Expr) -> list[exp.Expr | None]:
    return [*(branch.args["true"] for branch in node.args["ifs"]), node.args.get("default")]


_check_pair = _alike(lambda node: (node.this, node.expression))
_check_list = _alike(lambda node: (node.this, *node.expressions))
RULES: Mapping[type[exp.Expr], Callable[[exp.Expr], None]] = {
    exp.Table: _check_table,
    exp.Cast: _check_cast,
    exp.TryCast: _check_cast,
    exp.Mul: _check_arithmetic,
    exp.Round: _check_round,
    exp.Floor: _check_whole,
    exp.Ceil: _check_whole,
    exp.SafeDivide: _check_division,
    exp.Avg: _check_average,
    exp.ArrayAgg: _check_collection,
    exp.ArrayUniqueAgg: _check_collection,
    exp.ArraySort: _check_sorted,
    exp.RegexpLike: lambda node: (_pattern(node), None)[1],
    exp.RegexpSplit: _check_consuming,
    exp.RegexpReplace: _check_replace,
    exp.RegexpExtract: _check_group,
    exp.Like: _check_like,
    exp.Interval: _check_interval,
    exp.Anonymous: _check_function,
    exp.TimestampTrunc: lambda node: _unit(node.args.get("unit"), _TRUNCATIONS),
    exp.TimestampDiff: lambda node: _unit(node.args.get("unit"), _SHIFTS | {"MICROSECOND", "MILLISECOND"}),
    exp.Extract: lambda node: _unit(node.this, _FIELDS),
    exp.Lateral: _check_lateral,
    exp.Window: _check_window,
    exp.SHA2: _check_sha2,
    exp.Exists: _check_exists,
    **dict.fromkeys((exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Add, exp.Sub, exp.Nullif), _check_pair),
    **dict.fromkeys((exp.LT, exp.LTE, exp.GT, exp.GTE), _both(_check_pair, _check_order)),
    **dict.fromkeys((exp.Max, exp.Min), _check_order),
    **dict.fromkeys((exp.Coalesce, exp.Greatest, exp.Least, exp.In, exp.Array), _check_list),
    exp.Between: _alike(lambda node: (node.this, node.args["low"], node.args["high"])),
    exp.Case: _alike(_results),
    exp.If: _alike(lambda node: (node.args["true"], node.args.get("false"))),
}
