"""What a CSV record means, read one at a time: RFC 4180, and what to do with that which is not.

A field that begins with a quote ends at the next single quote (two are one), which a comma or the end of the line must follow.
Any other field ends at the next comma or line end; a quote inside it is an ordinary character. Lines end in LF or CRLF. Where
a quoted field is not closed, or is followed by anything else, the record is malformed: its *first line* is the malformed
record, and reading goes on with the line after it, so that one stray quote cannot swallow the rest of the file. A record
that is not UTF-8 is malformed as a whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lakehouse.files.rows import Row, SourceColumns, rescued_text
from lakehouse.files.typed import MISFIT, read_value

_QUOTED = re.compile(rb'"([^"]*+(?:""[^"]*+)*+)"')
_BARE = re.compile(rb"[^,\n]*+")
_BLANK = re.compile(rb"(?:\r?\n)*+")
FIELD_COUNT = "_field_count"


@dataclass(frozen=True, slots=True)
class Record:
    """``text`` is the record without its line end, ``end`` where the next one begins. An empty unquoted field is None;
    ``fields`` is None where the record is malformed."""

    text: bytes
    fields: list[str | None] | None
    end: int


def skip_blank_lines(buffer: bytes, start: int) -> int:
    """Where the next record begins: empty lines are none."""
    match = _BLANK.match(buffer, start)
    return match.end() if match else start


def scan_record(buffer: bytes, start: int, final: bool) -> Record | None:
    """The record at ``start`` (not a blank line). None where its end is not in the buffer and more is to come."""
    fields: list[bytes | None] = []
    position = start
    while True:
        if buffer[position : position + 1] == b'"':
            quoted = _QUOTED.match(buffer, position)
            if not quoted:
                return _malformed(buffer, start, final) if final else None
            position, field = quoted.end(), quoted[1].replace(b'""', b'"')
            after = buffer[position : position + 2]
            if not final and len(after) < 2 and after != b"\n" and after != b",":
                return None
            if not (after[:1] in (b",", b"\n", b"") or after == b"\r\n" or (after == b"\r" and final)):
                return _malformed(buffer, start, final)
            fields.append(field)
            position += after.startswith(b"\r")
        else:
            bare = _BARE.match(buffer, position)
            assert bare is not None  # noqa: S101 - the pattern matches the empty text
            position, field = bare.end(), bare[0]
            if buffer[position : position + 1] != b",":
                field = field.removesuffix(b"\r")
            fields.append(field or None)
        if position == len(buffer) and not final:
            return None
        if buffer[position : position + 1] != b",":
            return _decoded(buffer[start:position], fields, min(position + 1, len(buffer)))
        position += 1


def _decoded(text: bytes, fields: list[bytes | None], end: int) -> Record:
    text = text.removesuffix(b"\r")
    try:
        return Record(text, [None if field is None else field.decode() for field in fields], end)
    except UnicodeDecodeError:
        return Record(text, None, end)


def _malformed(buffer: bytes, start: int, final: bool) -> Record | None:
    end = buffer.find(b"\n", start)
    if end < 0 and not final:
        return None
    line = buffer[start:] if end < 0 else buffer[start:end]
    return Record(line.removesuffix(b"\r"), None, len(buffer) if end < 0 else end + 1)


class Header:
    """Which field of a record feeds which declared column.

    Names are trimmed and compared without case. A field of another name is kept in ``_rescued_data`` under the name as
    found; one without a name of its own (none, a repeated one, one that begins with ``_column_``, or beyond the header) under
    ``_column_<position>``, counted from 1.
    """

    def __init__(self, names: Sequence[str | None], columns: SourceColumns) -> None:
        wanted = {name.casefold(): position for position, name in enumerate(columns.names)}
        self.width = len(names)
        self.sources: list[int | None] = [None] * len(columns.names)
        self.unknown: dict[int, str] = {}
        seen: set[str] = set()
        for position, name in enumerate(found.strip() if found else "" for found in names):
            known = wanted.get(name.casefold())
            if known is not None and self.sources[known] is None:
                self.sources[known] = position
            elif known is not None or not name or name in seen or name.startswith("_column_"):
                self.unknown[position] = f"_column_{position + 1}"
            else:
                self.unknown[position] = name
            seen.add(name)

    @property
    def is_foreign(self) -> bool:
        """Whether it names none of the declared columns: then it is no header of such a file."""
        return all(source is None for source in self.sources)

    def name(self, position: int) -> str:
        return self.unknown.get(position) or f"_column_{position + 1}"


def read_record(fields: Sequence[str | None], header: Header, columns: SourceColumns) -> Row:
    """The typed row of a well-formed record. A record with fewer fields than the header says so as ``_field_count``."""
    values: list[object] = [None] * len(columns.names)
    misfits: dict[int, str] = {}
    for column, position in enumerate(header.sources):
        if position is None or position >= len(fields) or (text := fields[position]) is None:
            continue
        value = read_value(text, columns.types[column])
        if value is MISFIT:
            misfits[position] = columns.names[column]
        else:
            values[column] = value
    rescued: dict[str, str] = {}
    known = set(header.sources)
    for position, text in enumerate(fields):
        if text is not None and (position in misfits or position not in known):
            rescued[quote(misfits.get(position) or header.name(position))] = quote(text)
    if len(fields) < header.width:
        rescued[quote(FIELD_COUNT)] = str(len(fields))
    return Row(tuple(values), rescued=rescued_text(rescued))


def quote(text: str) -> str:
    """A text as JSON, non-ASCII characters as they are."""
    return json.dumps(text, ensure_ascii=False)
