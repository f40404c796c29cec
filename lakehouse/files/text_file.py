"""Text files, fed to the reader of their format chunk by chunk."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import BinaryIO, Protocol

import pyarrow as pa

from lakehouse.files.unreadable import Unreadable

MAX_RECORD_BYTES = 16 << 20
"""A longer record is not parsed: it becomes corrupt rows of at most about this size each, with one row number."""

_FOREIGN = (
    (b"\xff\xfe", "it is UTF-16 or UTF-32: land it as UTF-8"),
    (b"\xfe\xff", "it is UTF-16 or UTF-32: land it as UTF-8"),
    (b"\x00\x00\xfe\xff", "it is UTF-16 or UTF-32: land it as UTF-8"),
    (b"\x1f\x8b", "it is compressed (gzip): land it unpacked"),
    (b"\x28\xb5\x2f\xfd", "it is compressed (zstd): land it unpacked"),
    (b"PK\x03\x04", "it is compressed (zip): land it unpacked"),
    (b"PAR1", "it is Parquet: the dataset's flow reads text"),
)


class TextFormat(Protocol):
    """What records of a format mean. Both methods count the records of one file."""

    def read(self, buffer: bytes, *, final: bool) -> tuple[int, list[pa.Table]]: ...

    def read_corrupt(self, line: bytes, *, continued: bool) -> pa.Table: ...


def read_text(stream: BinaryIO, reader: TextFormat, chunk_bytes: int) -> Iterator[pa.Table]:
    """The records of an open text file. Raises Unreadable, before the first, for what is not UTF-8 text."""
    head = stream.read(len(BOM_UTF8) + 1)
    for magic, reason in _FOREIGN:
        if head.startswith(magic):
            raise Unreadable(reason)
    buffer = head.removeprefix(BOM_UTF8)
    mid_line = final = False
    while not final:
        chunk = stream.read(chunk_bytes)
        final, buffer = not chunk, buffer + chunk
        if mid_line:
            line, newline, rest = buffer.partition(b"\n")
            if line:
                yield reader.read_corrupt(line, continued=True)
            buffer, mid_line = rest, not newline
            if mid_line:
                continue
        taken, tables = reader.read(buffer, final=final)
        yield from tables
        buffer = buffer[taken:]
        if not taken and len(buffer) >= MAX_RECORD_BYTES:
            line, newline, buffer = buffer.partition(b"\n")
            mid_line = not newline
            yield reader.read_corrupt(line, continued=False)
