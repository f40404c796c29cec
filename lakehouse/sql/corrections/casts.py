"""Corrections of casts: which texts are numbers, truth values, dates and instants, and how values become text."""

from __future__ import annotations

import unicodedata

from sqlglot import exp

from lakehouse.sql.corrections.base import Correction, call, fails, guard, macro, once
from lakehouse.sql.types import KIND, Kind

_BLANK = r"[\x00-\x20\x7F]*"
_INTEGER = r"[+-]?[0-9]+"
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_HEXADECIMAL = r"[+-]?0[xX][0-9a-fA-F.]+[pP][+-]?[0-9]+[dDfF]?"
_DAY = r"([+-]?[0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2})"
_CLOCK = r"(?:[ T]([0-9]{1,2})(?::([0-9]{1,2})(?::([0-9]{1,2})(?:\.([0-9]*))?"
_ZONE = r" *(?:(Z|UTC|GMT|UT)|([+-])([0-9]{1,2})(?::?([0-9]{1,2})(?::?([0-9]{1,2}))?)?)?"
_DIGITS_END = 0x20000
"""Unicode has its decimal digits in the first two planes; every process looks through them at its start."""
_DIGITS = "".join(chr(point) for point in range(128, _DIGITS_END) if unicodedata.category(chr(point)) == "Nd")
_AS_ASCII = "".join(str(unicodedata.digit(digit)) for digit in _DIGITS)


def _matches(pattern: str) -> str:
    return f"regexp_full_match(CAST(x AS VARCHAR), '{_BLANK}{pattern}{_BLANK}')"


_TRIMMED = f"regexp_extract(CAST(x AS VARCHAR), '^{_BLANK}(.*?){_BLANK}$', 1)"


_TARGETS = {
    exp.DType.INT: "int",
    exp.DType.BIGINT: "bigint",
    exp.DType.DOUBLE: "double",
    exp.DType.BOOLEAN: "boolean",
    exp.DType.DATE: "date",
    exp.DType.TIMESTAMPTZ: "timestamp",
}


def _cast(node: exp.Expr) -> exp.Expr:
    assert isinstance(node, exp.Cast)  # noqa: S101 - for the type checker
    kind = node.this.meta.get(KIND)
    if _is_plain(node, kind):
        return node
    trying = isinstance(node, exp.TryCast)
    if node.to.is_type(exp.DType.TEXT, exp.DType.VARCHAR):
        return once(node.this, lambda value: call("c360_text", value))
    if node.to.is_type(exp.DType.DECIMAL):
        return once(node.this, lambda value: _to_decimal(value, node, trying=trying))
    return once(
        node.this, lambda value: _tried(value, call(f"c360_try_{_TARGETS[node.to.this]}", value.copy()), trying=trying)
    )


def _is_plain(node: exp.Cast, kind: Kind | None) -> bool:
    """Whether DuckDB's own cast means the same."""
    to = node.to.this
    if isinstance(node.this, exp.Null):
        return True
    if node.this.is_string:
        return not isinstance(node, exp.TryCast)
    if to in (exp.DType.DATE, exp.DType.TIMESTAMPTZ):
        return kind in (Kind.DATE, Kind.TIMESTAMP)
    return to in (exp.DType.DECIMAL, exp.DType.DOUBLE) and kind is Kind.EXACT


def _tried(value: exp.Expr, result: exp.Expr, *, trying: bool) -> exp.Expr:
    return result if trying else call("c360_strict", value, result)


def _to_decimal(value: exp.Expr, node: exp.Cast, *, trying: bool) -> exp.Expr:
    """A DECIMAL or an integer is cast as it is; a text, and the text of a DOUBLE, are read as Spark reads them."""
    text = exp.TryCast(this=call("c360_number_text", value.copy()), to=node.to.copy())
    number = type(node)(this=value.copy(), to=node.to.copy())
    result = exp.Case(ifs=[exp.If(this=call("c360_is_text_or_double", value.copy()), true=text)], default=number)
    return _tried(value, result, trying=trying)


def _whole(native: str) -> str:
    return (
        f"CASE WHEN typeof(x) = 'VARCHAR' THEN CASE WHEN {_matches(_INTEGER)} THEN TRY_CAST({_TRIMMED} AS {native}) END"
        f" WHEN typeof(x) = 'DOUBLE' THEN TRY_CAST(trunc(TRY_CAST(CAST(x AS VARCHAR) AS DOUBLE)) AS {native})"
        f" WHEN starts_with(typeof(x), 'DECIMAL(') THEN TRY_CAST(regexp_replace(CAST(x AS VARCHAR), '\\..*', '') AS {native})"
        f" ELSE TRY_CAST(x AS {native}) END"
    )


_DOUBLE = (
    f"CASE WHEN typeof(x) <> 'VARCHAR' THEN TRY_CAST(x AS DOUBLE)"
    f" WHEN {fails(_matches(_HEXADECIMAL), 'a text is a hexadecimal number, which only one engine reads')} THEN NULL"
    f" WHEN {_matches(_NUMBER + '[dDfF]?')} THEN c360_double_of(rtrim({_TRIMMED}, 'dDfF'))"
    f" WHEN {_matches('(?i:[+]?inf(inity)?)')} THEN CAST('inf' AS DOUBLE) WHEN {_matches('(?i:-inf(inity)?)')} THEN CAST('-inf' AS DOUBLE)"
    f" WHEN {_matches('(?i:nan)')} THEN CAST('nan' AS DOUBLE) END"
)
_BOOLEAN = (
    f"CASE WHEN typeof(x) = 'VARCHAR' THEN CASE WHEN {_matches('(?i:t|true|y|yes|1)')} THEN true WHEN {_matches('(?i:f|false|n|no|0)')} THEN false END"
    " WHEN starts_with(typeof(x), 'DECIMAL(') THEN regexp_matches(CAST(x AS VARCHAR), '[1-9]') ELSE TRY_CAST(x AS BOOLEAN) END"
)
_DATE = (
    f"CASE WHEN typeof(x) = 'VARCHAR' THEN list_transform([regexp_extract(CAST(x AS VARCHAR), '^{_BLANK}{_DAY}(?:[ T](?s:.*))?)?)?{_BLANK}$', ['y', 'm', 'd'])], LAMBDA v : c360_day(v))[1]"
    " ELSE TRY_CAST(x AS DATE) END"
)
_CLOCK_ALONE = f"{_matches('T?[0-9]{1,2}:[0-9 :.]*.*')} OR {_matches('T[0-9]{1,2}.*')}"
_NAMED_ZONE = (
    "regexp_matches(CAST(x AS VARCHAR), ':[0-9.]+ *[A-Za-z]{3,}')"
    f" AND NOT regexp_matches(CAST(x AS VARCHAR), '(UTC|GMT){_BLANK}$')"
)
_INSTANT_FIELDS = "['y', 'm', 'd', 'h', 'mi', 's', 'f', 'z', 'sign', 'zh', 'zm', 'zs']"
_INSTANT = (
    "CASE WHEN typeof(x) <> 'VARCHAR' THEN TRY_CAST(x AS TIMESTAMPTZ)"
    f" WHEN {fails(_CLOCK_ALONE, 'a text that is a time of day alone depends on the day it is read: add the date')} THEN NULL"
    f" WHEN {fails(_NAMED_ZONE, 'a text that names a time zone has another instant on each engine: write the offset')} THEN NULL"
    f" ELSE list_transform([regexp_extract(CAST(x AS VARCHAR), '^{_BLANK}{_DAY}{_CLOCK}{_ZONE})?)?)?)?)?{_BLANK}$', {_INSTANT_FIELDS})], LAMBDA v : c360_instant_of(v))[1] END"
)
_TRIED = (
    macro("c360_or(text, otherwise)", "CASE WHEN text = '' THEN otherwise ELSE text END"),
    macro(
        "c360_offset(v)",
        "CAST(c360_or(v.zh, '0') AS BIGINT) * 3600 + CAST(c360_or(v.zm, '0') AS BIGINT) * 60 + CAST(c360_or(v.zs, '0') AS BIGINT)",
    ),
    macro(
        "c360_day(v)",
        "CASE WHEN v.y <> '' THEN TRY(make_date(CAST(v.y AS INTEGER), CAST(c360_or(v.m, '1') AS INTEGER), CAST(c360_or(v.d, '1') AS INTEGER))) END",
    ),
    macro(
        "c360_instant_of(v)",
        "CASE WHEN v.y = '' OR CAST(c360_or(v.h, '0') AS INTEGER) > 23 OR CAST(c360_or(v.mi, '0') AS INTEGER) > 59 OR CAST(c360_or(v.s, '0') AS INTEGER) > 59"
        " OR CAST(c360_or(v.zm, '0') AS INTEGER) > 59 OR CAST(c360_or(v.zs, '0') AS INTEGER) > 59 OR c360_offset(v) > 64800 THEN NULL"
        " ELSE TRY(timezone('UTC', make_timestamp(CAST(c360_day(v) - DATE '1970-01-01' AS BIGINT) * 86400000000"
        " + (CAST(c360_or(v.h, '0') AS BIGINT) * 3600 + CAST(c360_or(v.mi, '0') AS BIGINT) * 60 + CAST(c360_or(v.s, '0') AS BIGINT)"
        " - CASE WHEN v.sign = '-' THEN -c360_offset(v) ELSE c360_offset(v) END) * 1000000 + CAST(rpad(left(v.f, 6), 6, '0') AS BIGINT)))) END",
    ),
    macro(
        "c360_double_of(text)",
        "coalesce(TRY_CAST(text AS DOUBLE), CASE WHEN starts_with(text, '-') THEN CAST('-inf' AS DOUBLE) ELSE CAST('inf' AS DOUBLE) END)",
    ),
    macro("c360_try_int(x)", _whole("INTEGER")),
    macro("c360_try_bigint(x)", _whole("BIGINT")),
    macro("c360_try_double(x)", _DOUBLE),
    macro("c360_try_boolean(x)", _BOOLEAN),
    macro("c360_try_date(x)", _DATE),
    macro("c360_try_timestamp(x)", _INSTANT),
    macro(
        "c360_ascii_digits(x)",
        f"CASE WHEN regexp_matches(x, '[^\\x00-\\x7F]') THEN translate(x, '{_DIGITS}', '{_AS_ASCII}') ELSE x END",
    ),
    macro(
        "c360_plain(v)",
        "v.sign || left(repeat('0', CAST(v.e AS INTEGER)) || v.whole, length(v.whole)) || '.'"
        " || right(repeat('0', CAST(v.e AS INTEGER)) || v.whole, CAST(v.e AS INTEGER)) || v.places",
    ),
    macro(
        "c360_number_of(text)",
        f"CASE WHEN NOT regexp_full_match(text, '{_NUMBER}') THEN NULL WHEN regexp_matches(text, '[eE]-0*[0-9]{{4,}}$') THEN '0'"
        " WHEN regexp_matches(text, '[eE]-') THEN c360_plain(regexp_extract(text, '^([+-]?)([0-9]*)\\.?([0-9]*)[eE]-([0-9]+)$', ['sign', 'whole', 'places', 'e']))"
        " ELSE text END",
    ),
    macro("c360_number_text(x)", f"c360_number_of(c360_ascii_digits({_TRIMMED}))"),
    macro("c360_is_text_or_double(x)", "typeof(x) IN ('VARCHAR', 'DOUBLE')"),
    macro(
        "c360_strict(x, y)",
        f"CASE WHEN {fails('x IS NOT NULL AND y IS NULL', 'a value is not of the type it is cast to; use try_cast')} THEN NULL ELSE y END",
    ),
)

CORRECTIONS = (
    Correction(
        "cast",
        "the engines disagree on which texts are values, on how a fraction becomes an integer, and on how values become text",
        {exp.Cast: _cast, exp.TryCast: _cast},
        macros=_TRIED,
    ),
)

MACROS = (
    guard(
        "c360_not_double(x)",
        "typeof(x) = 'DOUBLE'",
        "a DOUBLE has other texts on each engine: cast it to DECIMAL first",
    ),
    macro(
        "c360_text(x)",
        "CASE WHEN typeof(x) = 'TIMESTAMP WITH TIME ZONE' THEN regexp_replace(CAST(x AS VARCHAR), '\\+00$', '') ELSE CAST(c360_not_double(x) AS VARCHAR) END",
    ),
)
