"""What a CSV record means, read one at a time: RFC 4180, and what to do with that which is not.

A field that begins with a quote ends at the next single quote (two are one), which a comma or the end of the line
must follow. Any other field ends at the next comma or line end; a quote inside it is an ordinary character. Lines end
in LF or CRLF. Where a quoted field is not closed, or is followed by anything else, the record is malformed: its
*first line* is the malformed record, and reading goes on with the line after it, so that one stray quote cannot
swallow the rest of the file. A record that is not UTF-8 is malformed as a whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lakehouse.files.rows import Row, SourceColumns, rescued_text
from lakehouse.files.typed import MISFIT, read_value

_FIELD = re.compile(rb'"([^"]*+(?:""[^"]*+)*+)"|((?!")(?:[^,\r\n]++|\r(?!\n|\Z))*+)')
_AFTER_FIELD = re.compile(rb",|\r?\n|\r?\Z")
_BLANK = re.compile(rb"(?:\r?\n)*+")
FIELD_COUNT = "_field_count"


@dataclass(frozen=True, slots=True)
class Record:
    """``text`` is the record without its line end, ``end`` where the next one begins. An empty unquoted field is None;
    ``fields`` is None where the record is malformed.
    """

    text: bytes
    fields: list[str | None] | None
    end: int


def skip_blank_lines(buffer: bytes, start: int) -> int:
    """Where the next record begins: empty lines are none."""
    match = _BLANK.match(buffer, start)
    return match.end() if match else start


def scan_record(buffer: bytes, start: int, *, final: bool) -> Record | None:
    """The record at ``start`` (not a blank line). None where its end is not in the buffer and more is to come."""
    fields: list[bytes | None] = []
    position = start
    while True:
        field = _FIELD.match(buffer, position)
        if not field:  # a quote that is not closed, or not yet
            return _malformed(buffer, start, final=final) if final else None
        after = _AFTER_FIELD.match(buffer, field.end())
        if not after:
            return _malformed(buffer, start, final=final)
        if not (final or after[0].endswith((b",", b"\n"))):
            return None
        quoted, bare = field.groups()
        fields.append(bare or None if quoted is None else quoted.replace(b'""', b'"'))
        if after[0] != b",":
            return _decoded(buffer[start : after.start()], fields, after.end())
        position = after.end()


def _decoded(text: bytes, fields: list[bytes | None], end: int) -> Record:
    try:
        return Record(text, [None if field is None else field.decode() for field in fields], end)
    except UnicodeDecodeError:
        return Record(text, None, end)


def _malformed(buffer: bytes, start: int, *, final: bool) -> Record | None:
    end = buffer.find(b"\n", start)
    if end < 0 and not final:
        return None
    line = buffer[start:] if end < 0 else buffer[start:end]
    return Record(line.removesuffix(b"\r"), None, len(buffer) if end < 0 else end + 1)


class Header:
    """Which field of a record feeds which declared column.

    Names are trimmed and compared without case. A field of another name is kept in ``_rescued_data`` under the name as
    found; one without a name of its own (none, a repeated one, one that could be taken for ours, or beyond the
    header) under ``_column_<position>``, counted from 1.
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
            elif known is not None or not name or name in seen or name.startswith(("_column_", FIELD_COUNT)):
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
