"""What a value of a typed source (Parquet, Delta) means, read one at a time: the declared type where it fits without loss, else the
JSON text to rescue.

- A text (also bytes that are UTF-8) is read as in every other format (`typed`).
- A number becomes an integer, DECIMAL or DOUBLE that equals it; a binary fraction counts as the shortest decimal number that
  names it, so 19.99 fits a DECIMAL. NaN and infinities fit nothing.
- A timestamp is cut to microseconds, and is UTC where it has no zone; one at midnight is a DATE. A date is its 00:00 UTC.
- A STRING takes anything but a broken number: numbers, truth values and instants as text, nested values as JSON.
- A struct is read member by member (what does not fit is rescued, the rest kept), an array as a whole or not at all.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from lakehouse.files.rows import rescued_text
from lakehouse.files.typed import MISFIT, read_value
from lakehouse.schema import DataType

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_BITS = {"INT": 31, "BIGINT": 63}
_UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def read_scalar(scalar: pa.Scalar, declared: DataType) -> tuple[object, str | None]:
    """The value as declared, and the JSON text of what of it has to be rescued."""
    scalar = _bare(scalar)
    if not scalar.is_valid:
        return None, None
    if declared.fields:
        return _read_struct(scalar, declared)
    if declared.element:
        return _read_array(scalar, declared.element)
    value = _convert(scalar, declared)
    return (None, json_text(scalar)) if value is MISFIT else (value, None)


def json_text(scalar: pa.Scalar) -> str:
    """A value as JSON: instants in ISO 8601, NaN and infinities as strings, bytes that are no UTF-8 in base64."""
    scalar = _bare(scalar)
    if not scalar.is_valid:
        return "null"
    if pa.types.is_nested(scalar.type):
        return _nested_text(scalar)
    kind, text = scalar.type, _text(scalar)
    if text is None:
        return quoted(base64.b64encode(_bytes(scalar)).decode())
    is_number = pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_boolean(kind)
    return text if is_number or (pa.types.is_floating(kind) and math.isfinite(scalar.as_py())) else quoted(text)


def _nested_text(scalar: Any) -> str:
    if pa.types.is_struct(scalar.type):
        return "{" + ",".join(f"{quoted(name)}:{json_text(member)}" for name, member in _members(scalar)) + "}"
    if not pa.types.is_map(scalar.type):
        return "[" + ",".join(map(json_text, scalar.values)) + "]"
    pairs = [(json_text(entry[0]), json_text(entry[1])) for entry in scalar.values]
    if all(key.startswith('"') for key, _ in pairs):
        return "{" + ",".join(f"{key}:{value}" for key, value in pairs) + "}"
    return "[" + ",".join(f"[{key},{value}]" for key, value in pairs) + "]"


def unknown_text(scalar: pa.Scalar) -> str | None:
    """What to rescue of a value that no column is declared for; None for NULL, which carries nothing."""
    scalar = _bare(scalar)
    return json_text(scalar) if scalar.is_valid else None


def quoted(text: str) -> str:
    """A text as JSON, non-ASCII characters as they are."""
    return json.dumps(text, ensure_ascii=False)


def _read_struct(scalar: pa.Scalar, declared: DataType) -> tuple[object, str | None]:
    if not pa.types.is_struct(scalar.type):
        return None, json_text(scalar)
    types = dict(declared.fields)
    values: dict[str, object] = dict.fromkeys(types)
    rescued: dict[str, str] = {}
    for name, member in _members(scalar):
        if name in types:
            values[name], rest = read_scalar(member, types[name])
        else:
            rest = unknown_text(member)
        if rest is not None:
            rescued[quoted(name)] = rest
    return values, rescued_text(rescued)


def _read_array(scalar: pa.Scalar, element: DataType) -> tuple[object, str | None]:
    if not _is_list(scalar):
        return None, json_text(scalar)
    read = [read_scalar(value, element) for value in scalar.values]
    if any(rest is not None for _, rest in read):
        return None, json_text(scalar)
    return [value for value, _ in read], None


def _convert(scalar: pa.Scalar, declared: DataType) -> object:
    kind = scalar.type
    if pa.types.is_nested(kind):
        return json_text(scalar) if declared.sql == "STRING" else MISFIT
    if pa.types.is_boolean(kind) and declared.sql != "STRING":
        return scalar.as_py() if declared.sql == "BOOLEAN" else MISFIT
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _convert_number(scalar, declared)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _convert_time(scalar, declared)
    text = _text(scalar)
    if text is None or (declared.sql != "STRING" and not is_text(kind)):
        return MISFIT
    return read_value(text, declared)


def _convert_number(scalar: pa.Scalar, declared: DataType) -> object:
    text = _text(scalar)
    assert text is not None  # noqa: S101 - a number has a text; for the type checker
    is_float = pa.types.is_floating(scalar.type)
    if is_float and not math.isfinite(scalar.as_py()):
        return MISFIT
    if declared.sql == "STRING" or pa.types.is_decimal(declared.arrow):
        return read_value(text, declared)
    # a whole float is the number that it is: 2^60 has more digits than the shortest text that names it
    number = Decimal(float(scalar.as_py())) if is_float else Decimal(text)
    if declared.sql == "DOUBLE":
        nearest = float(number)
        return nearest if is_float or (math.isfinite(nearest) and Decimal(repr(nearest)) == number) else MISFIT
    if declared.sql in _BITS and number == number.to_integral_value():
        limit = 1 << _BITS[declared.sql]
        return int(number) if -limit <= number < limit else MISFIT
    return MISFIT


def _convert_time(scalar: pa.Scalar, declared: DataType) -> object:
    if declared.sql == "STRING":
        return _text(scalar)
    try:
        instant = _EPOCH + timedelta(microseconds=_microseconds(scalar))
    except OverflowError:
        return MISFIT
    if declared.sql == "TIMESTAMP":
        return instant
    is_day = declared.sql == "DATE" and (pa.types.is_date(scalar.type) or not (instant - _EPOCH) % _DAY)
    return date(instant.year, instant.month, instant.day) if is_day else MISFIT


def _microseconds(scalar: pa.Scalar) -> int:
    if pa.types.is_timestamp(scalar.type):
        return int(scalar.value) * 1_000_000 // _UNITS[scalar.type.unit]
    return int(scalar.value) * (86_400_000_000 if scalar.type == pa.date32() else 1_000)


def _text(scalar: Any) -> str | None:
    """The text of a scalar that is not nested; None for bytes that are no UTF-8."""
    spell = next((spell for is_such, spell in _SPELLINGS if is_such(scalar.type)), str)
    try:
        return spell(scalar)
    except UnicodeDecodeError:
        return None


def _spell_float(scalar: Any) -> str:
    value = scalar.as_py()
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return repr(value) if scalar.type == pa.float64() else str(scalar.type.to_pandas_dtype()(value))


def _spell_date(scalar: Any) -> str:
    return str(np.datetime64(scalar.value, "D" if scalar.type == pa.date32() else "ms").astype("datetime64[D]"))


def _bytes(scalar: pa.Scalar) -> bytes:
    buffer = scalar.as_buffer()
    return b"" if buffer is None else bytes(buffer)


def _bare(scalar: pa.Scalar) -> pa.Scalar:
    """The value behind a dictionary's index, an extension or a run."""
    while isinstance(scalar, pa.DictionaryScalar | pa.ExtensionScalar | pa.RunEndEncodedScalar):
        found = scalar.value
        if not isinstance(found, pa.Scalar):
            return pa.scalar(None)
        scalar = found
    return scalar


def is_text(kind: pa.DataType) -> bool:
    """Whether it holds texts, or bytes that may be some."""
    return kind in _TEXTS or pa.types.is_fixed_size_binary(kind)


_TEXTS = (pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view())
_SPELLINGS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Any], str]], ...] = (
    (is_text, lambda scalar: _bytes(scalar).decode()),
    (pa.types.is_floating, _spell_float),
    (pa.types.is_decimal, lambda scalar: format(scalar.as_py(), "f")),
    (pa.types.is_boolean, lambda scalar: "true" if scalar.as_py() else "false"),
    (
        pa.types.is_timestamp,
        lambda scalar: f"{np.datetime64(scalar.value, scalar.type.unit)}{'Z' if scalar.type.tz else ''}",
    ),
    (pa.types.is_date, _spell_date),
    (pa.types.is_time, lambda scalar: str(np.datetime64(scalar.value, scalar.type.unit)).rpartition("T")[2]),
    (pa.types.is_duration, lambda scalar: str(np.timedelta64(scalar.value, scalar.type.unit))),
)


def _is_list(scalar: pa.Scalar) -> bool:
    return isinstance(scalar, pa.ListScalar) and not isinstance(scalar, pa.MapScalar)


def _members(scalar: Any) -> Iterator[tuple[str, pa.Scalar]]:
    for position in range(scalar.type.num_fields):
        yield scalar.type.field(position).name, scalar[position]
