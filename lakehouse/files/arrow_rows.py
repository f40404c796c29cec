"""Rows that are typed already (Parquet, Delta) as the columns a dataset declares; what does not fit is rescued.

A column whose type is the declared one is taken as it is, and so is a whole column that Arrow casts without loss. Where that
fails, values are judged one by one by their text, with the grammar of `typed`: a Parquet string is read as a CSV field would be.
Names are matched without regard to case. A timestamp without zone is UTC; one outside the years 1 to 9999, a number that is not
finite, and a column nobody declared are rescued.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.files.rows import SourceColumns, rescued_text
from lakehouse.files.typed import MISFIT, read_column, read_value
from lakehouse.schema import DataType

_EARLIEST, _LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999
"""Microseconds of the first and last instant of the years 1 to 9999."""


def fit(
    rows: pa.RecordBatch, columns: SourceColumns, ignored: frozenset[str] = frozenset()
) -> tuple[list[pa.Array], pa.Array]:
    """The declared columns in order, and ``_rescued_data``. ``ignored`` names columns of the source that are none of its data."""
    given = {name.lower(): position for position, name in enumerate(rows.schema.names) if name not in ignored}
    rescued: dict[int, dict[str, str]] = {}
    arrays = []
    for name, data_type in zip(columns.names, columns.types, strict=True):
        position = given.pop(name.lower(), None)
        if position is None:
            arrays.append(pa.nulls(rows.num_rows, data_type.arrow))
            continue
        column, misfits = _as_declared(rows.column(position), data_type)
        arrays.append(column)
        _rescue(rescued, rows.schema.names[position], rows.column(position), misfits)
    for position in given.values():
        column = rows.column(position)
        _rescue(
            rescued,
            rows.schema.names[position],
            column,
            np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False)),
        )
    texts: list[str | None] = [None] * rows.num_rows
    for row, raw in rescued.items():
        texts[row] = rescued_text(raw)
    return arrays, pa.array(texts, pa.string())


def _as_declared(column: pa.Array, data_type: DataType) -> tuple[pa.Array, np.ndarray]:
    """The typed column, and the positions of the values that did not fit and are NULL in it."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if _is_text(column.type):
        texts = column.cast(pa.string())
        typed, unsettled = (
            read_column(texts, data_type) if not pa.types.is_nested(data_type.arrow) else _none(texts, data_type)
        )
        return _settle(typed, np.flatnonzero(unsettled), texts, data_type)
    if _is_kin(column.type, data_type.arrow):
        try:
            return _in_range(column.cast(data_type.arrow))
        except pa.ArrowInvalid:
            pass
    typed, unsettled = _none(column, data_type)
    return _settle(typed, np.flatnonzero(unsettled), column, data_type)


def _none(column: pa.Array, data_type: DataType) -> tuple[pa.Array, np.ndarray]:
    return pa.nulls(len(column), data_type.arrow), column.is_valid().to_numpy(zero_copy_only=False)


def _is_text(arrow: pa.DataType) -> bool:
    return any(is_one(arrow) for is_one in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _is_kin(given: pa.DataType, declared: pa.DataType) -> bool:
    """Whether a cast that Arrow calls safe keeps the meaning: numbers to numbers, instants to instants, like to like."""
    kinds = (
        lambda kind: pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind),
        pa.types.is_timestamp,
        pa.types.is_date,
        pa.types.is_boolean,
        pa.types.is_struct,
        lambda kind: pa.types.is_list(kind) or pa.types.is_large_list(kind),
    )
    if not any(kind(given) and kind(declared) for kind in kinds):
        return False
    return given == declared if pa.types.is_nested(given) else True


def _in_range(typed: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """The column without values that the lakehouse has no place for."""
    if pa.types.is_timestamp(typed.type):
        micros = typed.cast(pa.int64())
        inside = pc.and_(pc.greater_equal(micros, _EARLIEST), pc.less_equal(micros, _LATEST))
    elif pa.types.is_floating(typed.type):
        inside = pc.is_finite(typed)
    else:
        return typed, np.empty(0, dtype=np.int64)
    outside = np.flatnonzero(pc.invert(inside.fill_null(True)).to_numpy(zero_copy_only=False))
    return (pc.if_else(inside, typed, pa.scalar(None, typed.type)) if len(outside) else typed), outside


def _settle(
    typed: pa.Array, positions: np.ndarray, column: pa.Array, data_type: DataType
) -> tuple[pa.Array, np.ndarray]:
    """Judge the values at ``positions`` one by one, by their text."""
    if not len(positions):
        return typed, positions
    values = typed.to_pylist()
    misfits = []
    for position in positions:
        value = _read(column[int(position)], data_type)
        if value is MISFIT:
            misfits.append(position)
        else:
            values[position] = value
    return pa.array(values, data_type.arrow), np.array(misfits, dtype=np.int64)


def _read(scalar: pa.Scalar, data_type: DataType) -> object:
    if pa.types.is_nested(data_type.arrow):
        return MISFIT
    try:
        value = scalar.as_py()
    except (ValueError, OverflowError):  # an instant that Python has no object for
        return MISFIT
    if isinstance(value, bytes | dict | list):
        return MISFIT if data_type.sql != "STRING" or isinstance(value, bytes) else json.dumps(value, default=str)
    return read_value(value if isinstance(value, str) else _literal(value), data_type)


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def _rescue(rescued: dict[int, dict[str, str]], name: str, column: pa.Array, positions: np.ndarray) -> None:
    key = json.dumps(name)
    for position in positions:
        rescued.setdefault(int(position), {})[key] = _raw(column[int(position)])


def _raw(scalar: pa.Scalar) -> str:
    """The value as JSON text; one that has no JSON form as a string."""
    try:
        value = scalar.as_py()
    except (ValueError, OverflowError):
        return json.dumps(str(scalar.cast(pa.int64()).as_py()))
    if isinstance(value, float) and not np.isfinite(value):
        return json.dumps(str(value))
    return json.dumps(value, default=lambda other: _literal(other) if not isinstance(other, bytes) else other.hex())
