"""Arrow rows of a served dataset → profile segments, a column at a time.

How values look in JSON (partners read the same in the OpenAPI document):
    DECIMAL    a string with exactly the declared number of decimals ("1234.50"): money must survive readers that parse numbers as floats
    TIMESTAMP  RFC 3339 in UTC, microseconds only where there are any ("2011-12-09T12:50:00Z")
    DATE       ISO 8601 ("2011-12-09")
    DOUBLE     a number; NaN and infinities are null, as JSON has none
    STRUCT     an object with every declared member; ARRAY an array; NULL is null
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.dataset import Column, Dataset, InvalidDeclaration
from lakehouse.engine import NullKey
from lakehouse.online.store import ProfileSegments
from lakehouse.schema import DataType, parse_type

PUBLIC_SEGMENT = "public"
"""Segment of every column that is not ``pii.*``, the subject key included."""

_ROWS_AT_ONCE = 8192  # bounds the Python objects alive at one time
_PLAIN_SCALE = 6  # with more decimals Arrow may write an exponent


class ProfileEncoder:
    """Encodes rows of one served dataset. ``view`` and ``key`` come from its ``serving``; ``fields`` names each segment's fields."""

    def __init__(self, dataset: Dataset) -> None:
        if dataset.serving is None:
            raise InvalidDeclaration(f"{dataset.name} is not served; declare serving=Serving(key=..., path=...)")
        key = dataset.column(dataset.serving.key)
        if key.is_pii or key.data_type != parse_type("STRING"):
            raise InvalidDeclaration(
                f"{dataset.name}.{key.name}: a serving key stands in URLs; it must be a STRING and not personal"
            )
        self.view = dataset.serving.path
        self.key = key.name
        self._dataset = dataset
        self._columns = _by_segment(dataset.columns)
        self.fields: Mapping[str, tuple[str, ...]] = {
            segment: tuple(column.name for column in columns) for segment, columns in self._columns.items()
        }

    def encode(self, rows: pa.Table | pa.RecordBatch) -> Iterator[tuple[str, ProfileSegments]]:
        """(key, segments) of each row. ``rows`` has the declared columns with their declared types, others are ignored.

        Equal rows give equal bytes. Raises NullKey for a row without a key.
        """
        for batch in pa.table(rows).to_batches(max_chunksize=_ROWS_AT_ONCE):
            keys = batch.column(self.key).to_pylist()
            if None in keys:
                raise NullKey(f"{self._dataset.name}: a row has no {self.key}; it cannot be served")
            segments = [_members(batch, columns) for columns in self._columns.values()]
            for key, *parts in zip(keys, *segments, strict=True):
                yield key, dict(zip(self._columns, parts, strict=True))


def _by_segment(columns: tuple[Column, ...]) -> dict[str, tuple[Column, ...]]:
    segments: dict[str, list[Column]] = {PUBLIC_SEGMENT: []}
    for column in columns:
        segments.setdefault(column.cls if column.is_pii else PUBLIC_SEGMENT, []).append(column)
    return {segment: tuple(members) for segment, members in segments.items()}


def _members(batch: pa.RecordBatch, columns: tuple[Column, ...]) -> list[bytes]:
    """Per row, the inside of a JSON object of these columns."""
    names = [column.name for column in columns]
    values = [_plain(batch.column(column.name), column.data_type).to_pylist() for column in columns]
    return [orjson.dumps(dict(zip(names, row, strict=True)))[1:-1] for row in zip(*values, strict=True)]


def _plain(values: pa.Array[Any], kind: DataType) -> pa.Array[Any]:
    """The same values in types that are JSON's own."""
    if kind.fields:
        members = [_plain(values.field(name), member) for name, member in kind.fields]
        return pa.StructArray.from_arrays(members, names=[name for name, _ in kind.fields], mask=values.is_null())
    if kind.element is not None:
        return _lists(values.cast(kind.arrow), kind.element)
    if pa.types.is_timestamp(kind.arrow):
        return _instants(values.cast(kind.arrow))
    if pa.types.is_decimal(kind.arrow):
        return _decimals(values.cast(kind.arrow))
    if pa.types.is_date(kind.arrow):
        return values.cast(kind.arrow).cast(pa.string())
    return values


def _lists(values: pa.ListArray[Any], element: DataType) -> pa.Array[Any]:
    lengths = pc.fill_null(pc.list_value_length(values), 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    return pa.ListArray.from_arrays(offsets, _plain(pc.list_flatten(values), element), mask=values.is_null())


def _decimals(values: pa.Array[Any]) -> pa.Array[Any]:
    if values.type.scale <= _PLAIN_SCALE:
        return values.cast(pa.string())
    return pa.array([None if value is None else f"{value:f}" for value in values.to_pylist()], pa.string())


def _instants(values: pa.Array[Any]) -> pa.Array[Any]:
    text = pc.replace_substring(values.cast(pa.string()), " ", "T", max_replacements=1)
    return pc.replace_substring(text, ".000000Z", "Z", max_replacements=1)
