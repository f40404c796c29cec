"""From text to declared types: the one grammar of values, for every format.

`read_value` is the definition. `read_column` does the same to a whole Arrow column: values in the *plain* spelling of
their type (a regular expression under which Arrow's own cast cannot fail and means the same) are cast at once; the
others are reported as unsettled, and the caller asks `read_value`.

- Spaces (ASCII) around a value are tolerated; a value of nothing but spaces is NULL. Strings are kept as they are.
- INT, BIGINT: sign and digits. DOUBLE: sign, digits, point, exponent; finite. DECIMAL: the same, and only without loss.
- BOOLEAN: true, false in any case. DATE: yyyy-MM-dd.
- TIMESTAMP: a date, or a date and ``hh:mm[:ss[.fraction]]`` after ``T`` or a space, with an optional offset (``Z``,
  ``±hh``, ``±hhmm``, ``±hh:mm`` up to 14:59). No offset means UTC, a date alone means 00:00. Up to 9 decimals, cut to
  microseconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.schema import DataType

MISFIT: Final = object()
"""What `read_value` answers for a text that is no value of the type."""

_SPACES = " \t\r\n\v\f"
_BIGINT_DIGITS = 19
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?"
    r"(?:Z|([+-])(0[0-9]|1[0-4])(?::?([0-5][0-9]))?)?)?"
)


def read_value(text: str, data_type: DataType) -> object:
    """The value a text stands for, None for an empty one, or MISFIT. Scalar types only."""
    if data_type.sql == "STRING":
        return text
    stripped = text.strip(_SPACES)
    return _reader(data_type)(stripped) if stripped else None


@lru_cache(maxsize=512)
def _reader(data_type: DataType) -> Callable[[str], object]:
    if pa.types.is_decimal(data_type.arrow):
        return _decimal_reader(data_type.arrow.precision, data_type.arrow.scale)
    return {
        "INT": lambda text: _read_integer(text, 31),
        "BIGINT": lambda text: _read_integer(text, 63),
        "DOUBLE": _read_double,
        "BOOLEAN": lambda text: {"true": True, "false": False}.get(text.lower(), MISFIT),
        "DATE": _read_date,
        "TIMESTAMP": _read_timestamp,
    }[data_type.sql]


def _read_integer(text: str, bits: int) -> object:
    if not _INTEGER.fullmatch(text) or len(text.lstrip("+-0")) > _BIGINT_DIGITS:
        return MISFIT
    number = int(text[:1].strip("0123456789") + (text.lstrip("+-0") or "0"))
    return number if -(1 << bits) <= number < 1 << bits else MISFIT


def _read_double(text: str) -> object:
    if not _NUMBER.fullmatch(text):
        return MISFIT
    number = float(text)
    return number if math.isfinite(number) else MISFIT


def _decimal_reader(precision: int, scale: int) -> Callable[[str], object]:
    unit, exactly = Decimal(1).scaleb(-scale), Context(prec=precision + 1)

    def read(text: str) -> object:
        if not _NUMBER.fullmatch(text):
            return MISFIT
        try:
            number = Decimal(text)
        except InvalidOperation:
            return MISFIT
        if number and number.adjusted() >= precision - scale:
            return MISFIT
        rounded = number.quantize(unit, context=exactly)
        return rounded if rounded == number else MISFIT

    return read


def _read_date(text: str) -> object:
    if not _DATE.fullmatch(text):
        return MISFIT
    try:
        return date.fromisoformat(text)
    except ValueError:
        return MISFIT


def _read_timestamp(text: str) -> object:
    if not (match := _TIMESTAMP.fullmatch(text)):
        return MISFIT
    year, month, day, hour, minute, second, fraction, sign, offset_hours, offset_minutes = match.groups()
    microsecond = int((fraction or "")[:6].ljust(6, "0"))
    offset = timedelta(hours=int(offset_hours or 0), minutes=int(offset_minutes or 0))
    try:
        local = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), microsecond, tzinfo=UTC
        )
        return local + offset if sign == "-" else local - offset
    except (ValueError, OverflowError):
        return MISFIT


_MONTH_DAY = r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
_PLAIN_DATE = rf"(?:[1-9][0-9]{{3}}-{_MONTH_DAY}|[1-9][0-9](?:0[48]|[2468][048]|[13579][26])-02-29)"
_PLAIN_CLOCK = r"[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?"
_PLAIN_OFFSET = r"(?:Z|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)"
_PLAIN_LOCAL = rf"^{_PLAIN_DATE}(?:{_PLAIN_CLOCK})?$"
_PLAIN_ZONED = rf"^[1-8][0-9]{{3}}-{_MONTH_DAY}{_PLAIN_CLOCK}{_PLAIN_OFFSET}$"
_EXCESS_DECIMALS = r"(\.[0-9]{6})[0-9]{1,3}"
_UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")


def read_column(texts: pa.StringArray, data_type: DataType) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """The typed column, and which rows are unsettled: those are NULL in it and have to be asked of `read_value`."""
    if data_type.sql == "STRING":
        return texts, np.zeros(len(texts), dtype=np.bool_)
    plain = _is_plain(texts, data_type)
    if not _all(plain):
        texts = _tidy(texts, data_type)
        plain = _is_plain(texts, data_type)
    unsettled = np.zeros(len(texts), dtype=np.bool_)
    if not _all(plain):
        unsettled = pc.invert(plain.fill_null(True)).to_numpy(zero_copy_only=False)
        texts = pc.if_else(plain, texts, pa.scalar(None, pa.string()))
    return _cast(texts, data_type), unsettled


def _all(flags: pa.BooleanArray) -> bool:
    return pc.all(flags).as_py() is not False


def _tidy(texts: pa.StringArray, data_type: DataType) -> pa.StringArray:
    texts = pc.ascii_trim(texts, characters=_SPACES)
    if data_type.sql == "TIMESTAMP":
        texts = pc.replace_substring_regex(texts, pattern=_EXCESS_DECIMALS, replacement=r"\1")
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def _is_plain(texts: pa.StringArray, data_type: DataType) -> pa.BooleanArray:
    if data_type.sql != "TIMESTAMP":
        return pc.match_substring_regex(texts, pattern=_plain_pattern(data_type))
    local = pc.match_substring_regex(texts, pattern=_PLAIN_LOCAL)
    return local if _all(local) else pc.or_(local, pc.match_substring_regex(texts, pattern=_PLAIN_ZONED))


@lru_cache(maxsize=512)
def _plain_pattern(data_type: DataType) -> str:
    if pa.types.is_decimal(data_type.arrow):
        whole, scale = data_type.arrow.precision - data_type.arrow.scale, data_type.arrow.scale
        digits = rf"[0-9]{{1,{whole}}}" if whole else "0"
        return rf"^-?{digits}(?:\.[0-9]{{1,{scale}}})?$" if scale else rf"^-?{digits}$"
    return {
        "INT": r"^-?[0-9]{1,9}$",
        "BIGINT": r"^-?[0-9]{1,18}$",
        "DOUBLE": r"^-?[0-9]{1,18}(?:\.[0-9]{1,18})?$",
        "BOOLEAN": r"^(?i:true|false)$",
        "DATE": rf"^{_PLAIN_DATE}$",
    }[data_type.sql]


def _cast(texts: pa.StringArray, data_type: DataType) -> pa.Array:
    if data_type.sql != "TIMESTAMP":
        return texts.cast(data_type.arrow)
    zoned = pc.match_substring_regex(texts, pattern="(?:Z|[+-][0-9:]+)$", ignore_case=False)
    zoned = pc.and_(zoned, pc.greater(pc.binary_length(texts), len("yyyy-MM-dd")))
    if not pc.any(zoned).as_py():
        return texts.cast(pa.timestamp("us")).cast(_UTC_MICROSECONDS)
    nothing = pa.scalar(None, pa.string())
    local = pc.if_else(zoned, nothing, texts).cast(pa.timestamp("us")).cast(_UTC_MICROSECONDS)
    return pc.coalesce(pc.if_else(zoned, texts, nothing).cast(_UTC_MICROSECONDS), local)
