"""The types that a text tells by itself. Divisions are allowed over casts and literals only, since the scale of a quotient
depends on the types of its operands, and those of columns are not known where a query is translated."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from sqlglot import exp

Decimal = tuple[int, int]
"""Precision and scale."""

KIND, TYPES = "c360_kind", "c360_types"
"""Keys under which `note_types` leaves its findings at a node."""

MAX_DIGITS = 38
_MIN_SCALE = 6


def decimal_type(node: exp.Expr) -> Decimal | None:
    """Spark's DECIMAL type of a cast or literal number; None for anything else."""
    node = node.unnest()
    if isinstance(node, exp.Neg):
        return decimal_type(node.this)
    if isinstance(node, exp.Literal) and not node.is_string and "e" not in node.name.lower():
        whole, _, places = node.name.partition(".")
        return max(len(whole.lstrip("0")) + len(places), 1), len(places)
    if isinstance(node, exp.Cast) and node.to.is_type(exp.DType.DECIMAL):
        sizes = [int(parameter.name) for parameter in node.to.expressions]
        return (sizes[0], sizes[1] if len(sizes) > 1 else 0) if sizes else (10, 0)
    return None


def note_types(tree: exp.Expr) -> None:
    """Leave at every value what the text says of it, and at divisions their operands' types, before anything is rewritten."""
    for node in tree.walk():
        node.meta[KIND] = kind_of(node)
        if isinstance(node, exp.SafeDivide | exp.Avg):
            node.meta[TYPES] = (
                decimal_type(node.this),
                decimal_type(node.expression) if isinstance(node, exp.SafeDivide) else None,
            )
        elif isinstance(node, exp.Cast | exp.Literal):
            node.meta[TYPES] = decimal_type(node)


class Kind(Enum):
    """What a value is, as far as the text alone tells."""

    TEXT = "text"
    EXACT = "integer or DECIMAL"
    DOUBLE = "DOUBLE"
    BOOLEAN = "truth value"
    DATE = "DATE"
    TIMESTAMP = "TIMESTAMP"


_TEXTS = (exp.Trim, exp.Lower, exp.Upper, exp.Concat, exp.ConcatWs, exp.DPipe, exp.Substring, exp.Left, exp.Right, exp.Replace, exp.Translate,
          exp.RegexpReplace, exp.RegexpExtract, exp.SplitPart, exp.Pad, exp.Repeat, exp.MD5, exp.SHA2, exp.ArrayToString, exp.RawString)  # fmt: skip
_EXACTS = (exp.Count, exp.CountIf, exp.Length, exp.StrPosition, exp.Round, exp.Floor, exp.Ceil, exp.Sum, exp.Avg, exp.RowNumber, exp.Rank, exp.DenseRank,
           exp.Ntile, exp.UnixSeconds, exp.UnixMillis, exp.UnixMicros, exp.TimestampDiff, exp.Extract, exp.ArraySize)  # fmt: skip
_TRUTHS = (
    exp.Predicate,
    exp.Not,
    exp.And,
    exp.Or,
    exp.Boolean,
    exp.StartsWith,
    exp.EndsWith,
    exp.Contains,
    exp.LogicalOr,
    exp.LogicalAnd,
    exp.IsNan,
)
_CASTS = {
    exp.DType.TEXT: Kind.TEXT, exp.DType.VARCHAR: Kind.TEXT, exp.DType.INT: Kind.EXACT, exp.DType.BIGINT: Kind.EXACT, exp.DType.DECIMAL: Kind.EXACT,
    exp.DType.DOUBLE: Kind.DOUBLE, exp.DType.BOOLEAN: Kind.BOOLEAN, exp.DType.DATE: Kind.DATE, exp.DType.TIMESTAMPTZ: Kind.TIMESTAMP,
}  # fmt: skip
_SAME = (
    exp.Paren,
    exp.Neg,
    exp.Min,
    exp.Max,
    exp.Window,
    exp.Filter,
    exp.Abs,
    exp.Lag,
    exp.Lead,
    exp.FirstValue,
    exp.LastValue,
    exp.Nullif,
)


def kind_of(node: exp.Expr) -> Kind | None:
    """The kind of a value where the text tells it (a column's is not known)."""
    for nodes, tell in _TELLS:
        if isinstance(node, nodes):
            return tell(node)
    return None


def _common(*nodes: exp.Expr) -> Kind | None:
    kinds = {kind_of(node) for node in nodes if not isinstance(node, exp.Null)}
    return kinds.pop() if len(kinds) == 1 else None


def _literal(node: exp.Expr) -> Kind:
    if node.is_string:
        return Kind.TEXT
    return Kind.DOUBLE if "e" in node.name.lower() else Kind.EXACT


def _quotient(node: exp.Expr) -> Kind:
    return Kind.EXACT if decimal_type(node.this) and decimal_type(node.expression) else Kind.DOUBLE


_TELLS: tuple[tuple[type[exp.Expr] | tuple[type[exp.Expr], ...], Callable[[exp.Expr], Kind | None]], ...] = (
    (exp.Literal, _literal),
    (exp.Cast, lambda node: _CASTS.get(node.args["to"].this)),
    (exp.SafeDivide, _quotient),
    (exp.Placeholder, lambda _: Kind.DATE),
    (_SAME, lambda node: kind_of(node.this)),
    ((exp.Add, exp.Sub, exp.Mul), lambda node: _common(node.this, node.expression)),
    ((exp.Coalesce, exp.Greatest, exp.Least), lambda node: _common(node.this, *node.expressions)),
    (_TEXTS, lambda _: Kind.TEXT),
    (_EXACTS, lambda _: Kind.EXACT),
    (_TRUTHS, lambda _: Kind.BOOLEAN),
)


def quotient_type(above: Decimal, below: Decimal) -> Decimal:
    """Spark's type of a quotient of two DECIMALs."""
    scale = max(_MIN_SCALE, above[1] + below[0] + 1)
    return _bounded(above[0] - above[1] + below[1] + scale, scale)


def average_type(of: Decimal) -> Decimal:
    """Spark's type of an average of DECIMALs."""
    return min(of[0] + 4, MAX_DIGITS), min(of[1] + 4, MAX_DIGITS)


def is_exact(above: Decimal, below: Decimal, result: Decimal) -> bool:
    """Whether 128-bit integers are enough for the long division the embedded engine does."""
    shift = result[1] - above[1] + below[1]
    return shift >= 0 and below[0] + (shift + 1) // 2 <= MAX_DIGITS and above[0] <= MAX_DIGITS


def _bounded(precision: int, scale: int) -> Decimal:
    if precision <= MAX_DIGITS:
        return precision, scale
    whole = precision - scale
    return MAX_DIGITS, max(MAX_DIGITS - whole, min(scale, _MIN_SCALE))
