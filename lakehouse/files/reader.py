"""Landing files as typed Arrow, streamed: the one reader of both engines."""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

import pyarrow as pa

from kit.errors import Invalid, Unavailable
from lakehouse.dataset import AutoLoader, Dataset
from lakehouse.files.csv_lines import CsvLines
from lakehouse.files.json_lines import JsonLines
from lakehouse.files.listing import LandingFile, leads_outside
from lakehouse.files.rows import CORRUPT, RESCUED, ROW_NUMBER, SourceColumns
from lakehouse.files.unreadable import Unreadable
from lakehouse.properties import arrow_schema

BATCH_ROWS = 65_536
BATCH_BYTES = 32 << 20
CHUNK_BYTES = 8 << 20
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
_TIMESTAMP = pa.timestamp("us", tz="UTC")


class NotReadable(Invalid):
    """The declaration cannot be read from files: the message names the dataset and what to change."""

    code = "files.not_readable"


class ChangedWhileRead(Unavailable):
    """A file was changed while its rows were being read: the batch has to be planned anew."""

    code = "files.changed_while_read"


class _Format(Protocol):
    def read(self, buffer: bytes, *, final: bool) -> tuple[int, list[pa.Table]]: ...

    def read_corrupt(self, line: bytes, *, continued: bool) -> pa.Table: ...


_FORMATS: dict[str, Callable[[SourceColumns], _Format]] = {"csv": CsvLines, "json": JsonLines}


def read_files(
    landing: Path,
    files: Sequence[LandingFile],
    dataset: Dataset,
    ingested_at: datetime,
    on_unreadable: Callable[[LandingFile, str], None],
    *,
    chunk_bytes: int = CHUNK_BYTES,
) -> Iterator[pa.RecordBatch]:
    """Every record of the files, in order, as batches of the declared columns in the declared types; at most
    BATCH_ROWS rows each, small files together.

    Memory is bounded by ``chunk_bytes`` and MAX_RECORD_BYTES, not by the size of a file. A file of which no row can
    be had (empty, another encoding or format, no such header, gone or changed since it was listed, linked from
    outside the landing zone) is reported with a reason that holds nothing of its content, before any of its rows is
    yielded, and left out. Raises ChangedWhileRead when a file changes under the reader.
    """
    flow, columns, schema = _check(dataset)
    pending: list[pa.Table] = []
    rows = size = 0
    for file in files:
        constants = {
            "_ingested_at": pa.scalar(ingested_at, _TIMESTAMP),
            "_source_file": pa.scalar(file.path, pa.string()),
            "_file_modification_time": pa.scalar(file.mtime_us, _TIMESTAMP),
            "_datasource": pa.scalar(flow.datasource, pa.string()),
        }
        try:
            for table in _read_file(landing, file, _FORMATS[flow.format](columns), chunk_bytes):
                pending.append(_complete(table, constants, schema))
                rows, size = rows + table.num_rows, size + table.nbytes
                if rows >= BATCH_ROWS or size >= BATCH_BYTES:
                    yield from _batches(pending)
                    pending, rows, size = [], 0, 0
        except Unreadable as reason:
            on_unreadable(file, reason.message)
    if pending:
        yield from _batches(pending)


def _batches(tables: Sequence[pa.Table]) -> list[pa.RecordBatch]:
    return pa.concat_tables(tables).combine_chunks().to_batches(BATCH_ROWS)  # type: ignore[no-any-return]


def _check(dataset: Dataset) -> tuple[AutoLoader, SourceColumns, pa.Schema]:
    flow = dataset.flow
    if not isinstance(flow, AutoLoader) or flow.format not in _FORMATS:
        raise NotReadable(f"{dataset.name}: files are read by a flow AutoLoader of format {' or '.join(_FORMATS)}")
    columns = SourceColumns(dataset)
    if missing := {CORRUPT, RESCUED} - set(dataset.column_names):
        raise NotReadable(
            f"{dataset.name}: declare {' and '.join(sorted(missing))}, or rows that do not fit would be lost"
        )
    known = {CORRUPT, RESCUED, ROW_NUMBER, "_ingested_at", "_source_file", "_file_modification_time", "_datasource"}
    if unknown := set(dataset.column_names) - set(columns.names) - known:
        raise NotReadable(
            f"{dataset.name}: no file gives {', '.join(sorted(unknown))}; names with _ are the reader's own"
        )
    if flow.format == "csv" and any(data_type.fields or data_type.element for data_type in columns.types):
        raise NotReadable(f"{dataset.name}: a CSV field is a scalar; declare STRING in place of STRUCT and ARRAY")
    return flow, columns, arrow_schema(dataset)


def _complete(table: pa.Table, constants: dict[str, pa.Scalar], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_arrays(
        [
            pa.repeat(constants[field.name], table.num_rows) if field.name in constants else table.column(field.name)
            for field in schema
        ],
        schema=schema,
    )


def _read_file(landing: Path, file: LandingFile, reader: _Format, chunk_bytes: int) -> Iterator[pa.Table]:
    with _open(landing, file) as stream:
        head = stream.read(len(BOM_UTF8) + 1)
        for magic, reason in _FOREIGN:
            if head.startswith(magic):
                raise Unreadable(reason)
        yield from _read_stream(stream, head.removeprefix(BOM_UTF8), reader, chunk_bytes)
        if _identity(stream) != (file.size, file.mtime_ns):
            raise ChangedWhileRead(f"{file.path} was changed while it was read; run again")


def _read_stream(stream: BinaryIO, buffer: bytes, reader: _Format, chunk_bytes: int) -> Iterator[pa.Table]:
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


def _open(landing: Path, file: LandingFile) -> BinaryIO:
    path = landing / file.path
    if leads_outside(landing, path):
        raise Unreadable("it is a link that leads out of the landing zone")
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        raise Unreadable("it is gone since it was listed") from None
    except OSError as error:
        raise Unreadable(f"it cannot be opened ({os.strerror(error.errno or 0)})") from None
    size, mtime_ns = _identity(stream)
    reason = ""
    if (size, mtime_ns) != (file.size, file.mtime_ns):
        reason = "it was changed since it was listed"
    elif not size:
        reason = "it is empty (0 bytes)"
    if reason:
        stream.close()
        raise Unreadable(reason)
    return stream


def _identity(stream: BinaryIO) -> tuple[int, int]:
    found = os.fstat(stream.fileno())
    return found.st_size, found.st_mtime_ns
