"""The allow-list: what a query may use because it means the same on Spark and, after the dialect's corrections, on DuckDB.

Everything else is refused when it is declared. To add a construct, add it here and to the language test
(tests/contracts/expressions.py); the test decides whether it needs a correction.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from lakehouse.sql.rules import RULES
from lakehouse.sql.unsupported import UnsupportedSql

NODES: frozenset[type[exp.Expr]] = frozenset(
    {
        # the query
        exp.Select, exp.With, exp.CTE, exp.From, exp.Join, exp.Where, exp.Group, exp.Having, exp.Qualify, exp.Order, exp.Ordered, exp.Limit, exp.Union, exp.Except,
        exp.Intersect, exp.Subquery, exp.Table, exp.TableAlias, exp.Alias, exp.Column, exp.Identifier, exp.Star, exp.Distinct, exp.Values, exp.Tuple, exp.Lateral,
        exp.Window, exp.WindowSpec, exp.Filter, exp.Placeholder, exp.Var, exp.Dot, exp.Lambda, exp.IgnoreNulls,
        # values, logic, choice
        exp.Literal, exp.RawString, exp.Null, exp.Boolean, exp.DataType, exp.DataTypeParam, exp.Interval, exp.Paren, exp.Cast, exp.TryCast, exp.And, exp.Or, exp.Not,
        exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Is, exp.In, exp.Between, exp.Exists, exp.Like, exp.Case, exp.If, exp.Coalesce,
        exp.Nullif, exp.Greatest, exp.Least,
        # text
        exp.Trim, exp.Lower, exp.Upper, exp.Concat, exp.ConcatWs, exp.DPipe, exp.Substring, exp.Length, exp.Left, exp.Right, exp.Replace, exp.Translate, exp.StrPosition,
        exp.StartsWith, exp.EndsWith, exp.Contains, exp.SplitPart, exp.Pad, exp.Repeat, exp.RegexpLike, exp.RegexpReplace, exp.RegexpExtract, exp.RegexpSplit, exp.MD5, exp.SHA2,
        # numbers
        exp.Add, exp.Sub, exp.Mul, exp.Neg, exp.Abs, exp.Round, exp.Floor, exp.Ceil, exp.SafeDivide, exp.IsNan,
        # aggregates and windows
        exp.Count, exp.CountIf, exp.Sum, exp.Min, exp.Max, exp.Avg, exp.LogicalOr, exp.LogicalAnd, exp.ArrayAgg, exp.ArrayUniqueAgg, exp.RowNumber, exp.Rank, exp.DenseRank,
        exp.Ntile, exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.PercentRank, exp.CumeDist,
        # time
        exp.AddMonths, exp.Extract, exp.TimestampTrunc, exp.TimestampDiff, exp.UnixSeconds, exp.UnixMillis, exp.UnixMicros, exp.LastDay,
        # nested values
        exp.Struct, exp.PropertyEQ, exp.Array, exp.ArraySize, exp.ArrayContains, exp.ArraySort, exp.ArrayToString, exp.ArrayMax, exp.ArrayMin, exp.Explode, exp.Transform, exp.ArrayFilter,
    }
)  # fmt: skip

FUNCTIONS: Mapping[str, int] = {
    "mod": 2, "pmod": 2, "date_add": 2, "date_sub": 2, "datediff": 2, "date_diff": 2, "trunc": 2, "to_date": 1, "make_date": 3, "size": 1,
    "year": 1, "month": 1, "day": 1, "dayofmonth": 1, "hour": 1, "minute": 1, "second": 1, "quarter": 1, "dayofweek": 1, "weekday": 1, "dayofyear": 1, "weekofyear": 1,
    "timestamp_seconds": 1, "timestamp_millis": 1, "timestamp_micros": 1,
}  # fmt: skip
"""Functions that sqlglot has no type for, with how many arguments they take."""

PARTS: Mapping[type[exp.Expr], frozenset[str]] = {
    exp.Select: frozenset(
        {
            "expressions",
            "from_",
            "joins",
            "where",
            "group",
            "having",
            "qualify",
            "order",
            "limit",
            "distinct",
            "with_",
            "laterals",
        }
    ),
    exp.Table: frozenset({"this", "db", "catalog", "alias", "joins"}),
    exp.Join: frozenset({"this", "on", "using", "side", "kind"}),
    exp.Group: frozenset({"expressions", "all"}),
    exp.Window: frozenset({"this", "partition_by", "order", "spec", "over"}),
    exp.Star: frozenset({"except_"}),
    exp.With: frozenset({"expressions"}),
    exp.Trim: frozenset({"this", "position"}),
    exp.StrPosition: frozenset({"this", "substr"}),
    exp.RegexpReplace: frozenset({"this", "expression", "replacement"}),
    exp.RegexpExtract: frozenset({"this", "expression", "group", "null_if_pos_overflow"}),
    exp.RegexpLike: frozenset({"this", "expression"}),
    exp.RegexpSplit: frozenset({"this", "expression"}),
    exp.Floor: frozenset({"this"}),
    exp.Ceil: frozenset({"this"}),
    exp.ArraySort: frozenset({"this", "nulls_first"}),
    exp.LastDay: frozenset({"this"}),
    exp.Distinct: frozenset({"expressions"}),
    exp.Union: frozenset({"this", "expression", "distinct", "with_", "order", "limit"}),
}
"""Nodes of which only some parts are in the language."""

_NO_TIME = "the only time is :as_of; what is computed must not depend on when"
_TIES = "among equal ones it may yield another row each time; write row_number() OVER (… ORDER BY …) = 1 over columns that tell rows apart"
_CAST_FIRST = "write try_divide(CAST(a AS DECIMAL(p,s)), CAST(b AS DECIMAL(p,s)))"
ADVICE: Mapping[str, str] = {
    "/": _CAST_FIRST, "%": "write mod(a, b) or pmod(a, b)", "div": "write CAST(floor(try_divide(…)) AS BIGINT)",
    "now": _NO_TIME, "current_timestamp": _NO_TIME, "current_date": _NO_TIME, "rand": "a query yields the same rows each time", "uuid": "a query yields the same rows each time",
    "max_by": _TIES, "min_by": _TIES, "first": _TIES, "last": _TIES, "any_value": "write min(…) or max(…)", "any": "write bool_or(…)", "some": "write bool_or(…)", "every": "write bool_and(…)",
    "to_json": "its texts differ between engines; keep a struct", "get_json_object": "its texts differ between engines; read JSON at ingest", "ilike": "write lower(a) LIKE '…'", "element_at": "write filter or explode",
    "array_distinct": "write array_sort(collect_set(…))", "sort_array": "write array_sort(…)", "date_format": "keep the date, or concat its extracted parts", "to_timestamp": "write try_cast(… AS TIMESTAMP)",
    "initcap": "its letters differ between engines", "reverse": "its letters differ between engines", "hash": "write sha2(…, 256)", "xxhash64": "write sha2(…, 256)", "btrim": "write trim(…)",
    "sign": "write CASE WHEN a > 0 THEN 1 … END", "cardinality": "write size(…)", "try_add": "cast to a wider type first", "try_subtract": "cast to a wider type first", "try_multiply": "cast to a wider type first",
}  # fmt: skip

_SPELLED: Mapping[type[exp.Expr], str] = {
    exp.Div: "/", exp.IntDiv: "div", exp.Mod: "%", exp.CurrentTimestamp: "current_timestamp", exp.CurrentDate: "current_date", exp.ArgMax: "max_by", exp.ArgMin: "min_by", exp.JSONFormat: "to_json",
    exp.JSONExtractScalar: "get_json_object", exp.SafeAdd: "try_add", exp.SafeSubtract: "try_subtract", exp.SafeMultiply: "try_multiply", exp.Bracket: "[ ]",
}  # fmt: skip


def check(tree: exp.Expr) -> None:
    """Raise UnsupportedSql for the first construct that is not in the language; the message says what to write instead."""
    for node in tree.walk():
        if isinstance(node, exp.Anonymous):
            _check_function(node)
        elif type(node) not in NODES:
            raise _refused(
                _SPELLED.get(type(node), node.sql_name().lower() if isinstance(node, exp.Func) else node.key.upper())
            )
        allowed = PARTS.get(type(node))
        for part, value in node.args.items():
            if allowed is not None and part not in allowed and value:
                raise UnsupportedSql(f"{node.key.upper()} with {part.strip('_').upper()} is not in the language")
        if rule := RULES.get(type(node)):
            rule(node)


def _check_function(node: exp.Anonymous) -> None:
    name = node.name.lower()
    if name not in FUNCTIONS:
        raise _refused(name)
    if len(node.expressions) != FUNCTIONS[name]:
        raise UnsupportedSql(f"{name} takes {FUNCTIONS[name]} arguments here, not {len(node.expressions)}")


def _refused(spelled: str) -> UnsupportedSql:
    advice = ADVICE.get(spelled.lower())
    return UnsupportedSql(f"{spelled} is not in the language" + (f": {advice}" if advice else ""))
