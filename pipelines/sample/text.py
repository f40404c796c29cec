"""Lines of text by the hundred thousand: Arrow string arrays, made column by column."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from enum import IntEnum
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.sample.draws import Ints, Mask

Text = Any  # a pyarrow.StringArray; pyarrow has no types for its arrays or compute functions
OFFSET_HOURS = 2
_UNIX_EPOCH = date(1970, 1, 1)


class Spelling(IntEnum):
    """How an instant is written. All but the last say the same instant."""

    ZULU = 0  # 2026-03-01T09:30:00Z
    SPACE = 1  # 2026-03-01 09:30:00
    OFFSET = 2  # 2026-03-01T11:30:00+02:00
    DATE_ONLY = 3  # 2026-03-01


def concat(*parts: Text | str, separator: str = "") -> Text:
    """The parts of each row, one after the other; a plain string stands in every row."""
    return pc.binary_join_element_wise(*map(_typed, parts), pa.scalar(separator, pa.string()))


def lookup(pool: Sequence[str], positions: NDArray[np.integer[Any]]) -> Text:
    """``pool[position]`` for each row."""
    return pa.array(pool, pa.string()).take(_numbers(positions))


def either(where: Mask, yes: Text | str, no: Text | str) -> Text:
    """``yes`` in the marked rows, ``no`` in the others."""
    return pc.if_else(_flags(where), _typed(yes), _typed(no))


def is_empty(text: Text) -> Mask:
    """Which rows hold no character."""
    return np.asarray(pc.equal(text, _typed("")))


def digits(numbers: NDArray[np.integer[Any]], width: int = 0) -> Text:
    """Whole numbers in decimal, with leading zeros up to ``width``."""
    text = _numbers(numbers).cast(pa.string())
    return pc.utf8_lpad(text, width, "0") if width else text


def money(cents: Ints) -> Text:
    """Amounts with two decimals and a point."""
    sign = lookup(("", "-"), (cents < 0).astype(np.int8))
    return concat(sign, digits(np.abs(cents) // 100), ".", digits(np.abs(cents) % 100, 2))


def without_first(text: Text) -> Text:
    """Each row without its first character."""
    return pc.utf8_slice_codeunits(text, 1)


def shortened(text: Text, length: int) -> Text:
    """At most the first ``length`` characters of each row."""
    return pc.utf8_slice_codeunits(text, 0, length)


def in_capitals(text: Text) -> Text:
    return pc.utf8_upper(text)


def instants(first_day: date, days: Ints, seconds: Ints, spelling: Ints) -> Text:
    """Instants by day (counted from ``first_day``) and second of the day, each in its spelling."""
    unix = ((first_day - _UNIX_EPOCH).days + days) * 86400 + seconds
    shown = unix + np.where(spelling == Spelling.OFFSET, OFFSET_HOURS * 3600, 0)
    text = _numbers(shown).view(pa.timestamp("s")).cast(pa.string())
    time = either(spelling == Spelling.DATE_ONLY, "", pc.utf8_slice_codeunits(text, 11))
    before, after = ("T", " ", "T", ""), ("Z", "", f"+{OFFSET_HOURS:02}:00", "")
    return concat(shortened(text, 10), lookup(before, spelling), time, lookup(after, spelling))


def joined_bytes(lines: Text) -> bytes:
    """The UTF-8 bytes of the rows, one after the other."""
    if len(lines) == 0:
        return b""
    _, offsets, data = lines.buffers()
    ends = np.frombuffer(offsets, np.int32)[lines.offset : lines.offset + len(lines) + 1]
    return bytes(memoryview(data)[int(ends[0]) : int(ends[-1])])


# pyarrow.array() and untyped literals look for pandas on every call, which costs more than a small file: hence these.


def _typed(part: Text | str) -> Any:
    return pa.scalar(part, pa.string()) if isinstance(part, str) else part


def _numbers(values: NDArray[np.integer[Any]]) -> Any:
    data = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, data])


def _flags(mask: Mask) -> Any:
    return pa.Array.from_buffers(pa.bool_(), len(mask), [None, pa.py_buffer(np.packbits(mask, bitorder="little"))])
