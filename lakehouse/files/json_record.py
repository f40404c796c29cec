"""What a JSON line means, read one at a time: RFC 8259, one object a line, each member named once.

Values are judged by their text: the content of a string, the literal of a number or boolean. A STRING column keeps
that text, and the JSON text of an object or array. ``null``, a missing member and an unknown member that is ``null``
carry nothing.
"""

from __future__ import annotations

import json
import re
from json import JSONDecodeError

from lakehouse.files.rows import Row, SourceColumns, rescued_text
from lakehouse.files.typed import MISFIT, read_value
from lakehouse.schema import DataType

MAX_DEPTH = 100
_SPACE = re.compile(r"[ \t\r\n]*+")
_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[{]|[\]}]', re.DOTALL)


class Malformed(ValueError):
    """The line is not one JSON object, or an object in it names a member twice, or it nests deeper than MAX_DEPTH."""


def _refuse_constant(_name: str) -> object:
    raise Malformed


_VALUE = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_refuse_constant).raw_decode

_Span = tuple[int, int]


def read_line(line: bytes, columns: SourceColumns) -> Row:
    """The typed row of a line that is not blank; a corrupt row where it does not parse."""
    try:
        text = line.decode()
        _check_depth(text)
        members, end = _read_members(text, _skip(text, 0))
        if _skip(text, end) != len(text):
            raise Malformed
        values, rescued = _read_object(text, members, columns.names, columns.types)
    except ValueError:
        return columns.corrupt_row(line)
    return Row(tuple(values), rescued=rescued_text(rescued))


def _read_object(
    text: str, members: dict[str, tuple[_Span, _Span]], names: tuple[str, ...], types: tuple[DataType, ...]
) -> tuple[list[object], dict[str, str]]:
    """Values by declared name, and what was not taken: JSON texts by JSON text of the name, in the order of the
    line.
    """
    values: list[object] = [None] * len(names)
    rescued: dict[str, str] = {}
    declared = {name: position for position, name in enumerate(names)}
    for name, ((name_start, name_end), (start, end)) in members.items():
        position = declared.get(name)
        if position is not None:
            values[position], rest = _read_any(text, start, end, types[position])
        else:
            rest = None if text.startswith("null", start) else text[start:end]
        if rest is not None:
            rescued[text[name_start:name_end]] = rest
    return values, rescued


def _read_any(text: str, start: int, end: int, data_type: DataType) -> tuple[object, str | None]:
    """The value of one JSON text, and what of it has to be rescued."""
    raw, first = text[start:end], text[start]
    if raw == "null":
        return None, None
    if data_type.fields:
        if first != "{":
            return None, raw
        members, _ = _read_members(text, start)
        names, types = zip(*data_type.fields, strict=True)
        values, rescued = _read_object(text, members, names, types)
        return dict(zip(names, values, strict=True)), rescued_text(rescued)
    if data_type.element:
        return _read_array(text, start, data_type.element) if first == "[" else (None, raw)
    if first in "{[":
        return (raw, None) if data_type.sql == "STRING" else (None, raw)
    found = _VALUE(text, start)[0] if first == '"' else raw
    value = read_value(found, data_type) if _is_unicode(found) else MISFIT
    return (None, raw) if value is MISFIT else (value, None)


def _read_array(text: str, start: int, element: DataType) -> tuple[object, str | None]:
    """An array fits as a whole or not at all."""
    values: list[object] = []
    fits = True
    position = _skip(text, start + 1)
    while text[position] != "]":
        end = _VALUE(text, position)[1]
        value, rest = _read_any(text, position, end, element)
        values.append(value)
        fits = fits and rest is None
        position = _skip(text, end)
        position = _skip(text, position + 1) if text[position] == "," else position
    return (values, None) if fits else (None, text[start : position + 1])


def _read_members(text: str, start: int) -> tuple[dict[str, tuple[_Span, _Span]], int]:
    """Where the name and the value of each member stand, and where the object ends."""
    members: dict[str, tuple[_Span, _Span]] = {}
    if text[start : start + 1] != "{":
        raise Malformed
    position = _skip(text, start + 1)
    if text[position : position + 1] == "}":
        return members, position + 1
    while True:
        if text[position : position + 1] != '"':
            raise Malformed
        name, name_end = _value(text, position)
        colon = _skip(text, name_end)
        if text[colon : colon + 1] != ":" or name in members:
            raise Malformed
        value_start = _skip(text, colon + 1)
        value_end = _value(text, value_start)[1]
        members[name] = (position, name_end), (value_start, value_end)
        position = _skip(text, value_end)
        mark = text[position : position + 1]
        if mark == "}":
            return members, position + 1
        if mark != ",":
            raise Malformed
        position = _skip(text, position + 1)


def _value(text: str, start: int) -> tuple[str, int]:
    try:
        return _VALUE(text, start)
    except JSONDecodeError as error:
        raise Malformed from error


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _is_unicode(text: str) -> bool:
    """Whether it has no lone surrogate, which no UTF-8 text can hold."""
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for match in _BRACKET.finditer(text):
        depth += match[0] in "[{"
        depth -= match[0] in "]}"
        if depth > MAX_DEPTH:
            raise Malformed
