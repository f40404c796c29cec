"""The types that a text tells by itself: casts and literals. Divisions are allowed over these only, since the scale of a quotient
depends on the types of its operands, and those of columns are not known where a query is translated."""

from __future__ import annotations

from sqlglot import exp

Decimal = tuple[int, int]
"""Precision and scale."""

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


def is_double(node: exp.Expr) -> bool:
    """Whether the text says that a value is DOUBLE."""
    node = node.unnest()
    return isinstance(node, exp.Cast) and node.to.is_type(exp.DType.DOUBLE)


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
