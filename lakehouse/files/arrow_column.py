"""Typed columns (Parquet, Delta) to declared types, whole chunks at a time; what is not plain is reported as unsettled and
asked of `arrow_value`, which is the definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.files.arrow_value import is_text, quoted, unknown_text
from lakehouse.files.typed import read_column
from lakehouse.schema import DataType

Mask = npt.NDArray[np.bool_]

_MICROSECONDS = pa.timestamp("us", tz="UTC")
_FIRST_INSTANT, _LAST_INSTANT = -62_135_596_800_000_000, 253_402_300_799_999_999  # years 1 to 9999
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
_EXACT_IN_DOUBLE = 1 << 53
_LIMITS = {"INT": 1 << 31, "BIGINT": 1 << 53}
_NEEDS_ESCAPE = r'["\\\x00-\x1f]'


def bare(column: pa.Array) -> pa.Array:
    """The values behind dictionary indices, runs and extensions; texts of every width as ``string``, where they are UTF-8."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    return _as_text(column) if is_text(column.type) else column


def read_typed(column: pa.Array, declared: DataType) -> tuple[pa.Array, Mask]:
    """The typed column of a `bare` one, and which rows are unsettled: those are NULL in it."""
    if declared.fields or declared.element:
        return _unsettled(column, declared)
    if column.type == pa.string():
        return read_column(column, declared)
    typed = _convert(column, declared)
    if typed is None:
        return _unsettled(column, declared)
    return typed, pc.and_(column.is_valid(), typed.is_null()).to_numpy(zero_copy_only=False)


def json_column(column: pa.Array) -> pa.Array:
    """The JSON text of each value of a `bare` column that no column is declared for; NULL for NULL."""
    if column.type == pa.string():
        plain = pc.binary_join_element_wise('"', column, '"', "")
        escaped = pc.match_substring_regex(column, _NEEDS_ESCAPE).fill_null(False)
        if not pc.any(escaped).as_py():
            return plain
        texts = pa.array([quoted(text) for text in column.filter(escaped).to_pylist()], pa.string())
        return pc.replace_with_mask(plain, escaped, texts)
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type) or pa.types.is_null(column.type):
        return column.cast(pa.string())
    if pa.types.is_nested(column.type):
        return pa.array([unknown_text(scalar) for scalar in column], pa.string())
    found = column.dictionary_encode()
    texts = pa.array([unknown_text(scalar) for scalar in found.dictionary], pa.string())
    return texts.take(found.indices)


def _unsettled(column: pa.Array, declared: DataType) -> tuple[pa.Array, Mask]:
    return pa.nulls(len(column), declared.arrow), column.is_valid().to_numpy(zero_copy_only=False)


def _convert(column: pa.Array, declared: DataType) -> pa.Array | None:
    """The column as declared, NULL where its value needs a closer look; None where all of them do."""
    convert = next((convert for is_such, convert in _CONVERSIONS if is_such(column.type)), None)
    try:
        return None if convert is None else convert(column, declared)
    except pa.ArrowInvalid:  # one value that does not fit
        return None


def _from_integers(column: pa.Array, declared: DataType) -> pa.Array | None:
    if declared.sql in _LIMITS:
        limit = _LIMITS[declared.sql]
        return _within(column, column, -limit, limit - 1).cast(declared.arrow)
    if declared.sql == "DOUBLE":
        return _within(column, column, -_EXACT_IN_DOUBLE, _EXACT_IN_DOUBLE).cast(pa.float64())
    if declared.sql == "STRING":
        return column.cast(pa.string())
    if pa.types.is_decimal(declared.arrow):
        digits = min(declared.arrow.precision - declared.arrow.scale, 15)
        few = _within(column, column, 1 - 10**digits, 10**digits - 1).cast(pa.int64())
        return few.cast(pa.decimal128(19, 0)).cast(declared.arrow)
    return None


def _from_floats(column: pa.Array, declared: DataType) -> pa.Array | None:
    wide = column.cast(pa.float64())
    if declared.sql == "DOUBLE":
        return pc.if_else(pc.is_finite(wide), wide, pa.scalar(None, pa.float64()))
    if declared.sql in _LIMITS:
        limit = float(_LIMITS[declared.sql])
        return _within(wide, wide, -limit, limit - 1).cast(declared.arrow)
    return None


def _from_booleans(column: pa.Array, declared: DataType) -> pa.Array | None:
    return column.cast(declared.arrow) if declared.sql in ("BOOLEAN", "STRING") else None


def _from_decimals(column: pa.Array, declared: DataType) -> pa.Array | None:
    return column.cast(declared.arrow) if pa.types.is_decimal(declared.arrow) else None


def _from_dates(column: pa.Array, declared: DataType) -> pa.Array | None:
    if declared.sql not in ("DATE", "TIMESTAMP"):
        return None
    return _within(column, column.cast(pa.int32()), _FIRST_DAY, _LAST_DAY).cast(declared.arrow)


def _from_timestamps(column: pa.Array, declared: DataType) -> pa.Array | None:
    if declared.sql != "TIMESTAMP":
        return None
    if column.type.unit == "ns":
        numbers = column.cast(pa.int64())
        floored = pa.array(
            numbers.fill_null(0).to_numpy() // 1000, mask=numbers.is_null().to_numpy(zero_copy_only=False)
        )
    else:
        floored = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
    return _within(floored, floored, _FIRST_INSTANT, _LAST_INSTANT).cast(_MICROSECONDS)


def _within(column: pa.Array, numbers: pa.Array, low: float, high: float) -> pa.Array:
    """The column, NULL where its number is out of range."""
    kind = numbers.type
    inside: Any = None
    for limit, compare in ((low, pc.greater_equal), (high, pc.less_equal)):
        try:
            fits = compare(numbers, pa.scalar(limit, kind))
        except (pa.ArrowInvalid, OverflowError):  # no number of that type is beyond such a limit
            continue
        inside = fits if inside is None else pc.and_(inside, fits)
    return column if inside is None else pc.if_else(inside, column, pa.scalar(None, column.type))


_CONVERSIONS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array, DataType], pa.Array | None]], ...] = (
    (pa.types.is_null, lambda column, declared: pa.nulls(len(column), declared.arrow)),
    (pa.types.is_boolean, _from_booleans),
    (pa.types.is_integer, _from_integers),
    (lambda kind: kind in (pa.float32(), pa.float64()), _from_floats),
    (pa.types.is_decimal, _from_decimals),
    (pa.types.is_date32, _from_dates),
    (pa.types.is_timestamp, _from_timestamps),
)


def _as_text(column: pa.Array) -> pa.Array:
    """As ``string``; as bytes where some value is no UTF-8, which Parquet readers do not check."""
    wide = pa.types.is_large_binary(column.type) or pa.types.is_large_string(column.type)
    content = column.cast(pa.large_binary() if wide else pa.binary())
    try:
        return content.cast(pa.string())
    except pa.ArrowInvalid:
        return content
