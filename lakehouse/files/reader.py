"""Landing files as typed Arrow, streamed: the one reader of both engines."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from kit.errors import Invalid, Unavailable
from lakehouse.dataset import AutoLoader, Dataset
from lakehouse.files.csv_lines import CsvLines
from lakehouse.files.json_lines import JsonLines
from lakehouse.files.listing import LandingFile, leads_outside
from lakehouse.files.parquet_file import read_parquet
from lakehouse.files.rows import CORRUPT, RESCUED, ROW_NUMBER, SourceColumns
from lakehouse.files.text_file import read_text
from lakehouse.files.unreadable import Unreadable
from lakehouse.properties import arrow_schema

BATCH_ROWS = 65_536
BATCH_BYTES = 32 << 20
CHUNK_BYTES = 8 << 20

_TIMESTAMP = pa.timestamp("us", tz="UTC")


class NotReadable(Invalid):
    """The declaration cannot be read from files: the message names the dataset and what to change."""

    code = "files.not_readable"


class ChangedWhileRead(Unavailable):
    """A file was changed while its rows were being read: the batch has to be planned anew."""

    code = "files.changed_while_read"


class FileSpoiled(Unavailable):
    """A file proved unreadable, and was reported, after some of its rows had been yielded: what was read is to be given up and
    the other files read again."""

    code = "files.spoiled"


Read = Callable[[BinaryIO, SourceColumns, int], Iterator[pa.Table]]

_FORMATS: dict[str, Read] = {
    "csv": lambda stream, columns, chunk_bytes: read_text(stream, CsvLines(columns), chunk_bytes),
    "json": lambda stream, columns, chunk_bytes: read_text(stream, JsonLines(columns), chunk_bytes),
    "parquet": read_parquet,
}


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

    Memory is bounded by ``chunk_bytes`` and the longest record, not by the size of a file. A file that cannot be read
    (empty, damaged, another encoding or format, no such header, gone or changed since it was listed, linked from outside the
    landing zone) is reported with a reason that holds nothing of its content, and left out. Raises FileSpoiled where
    that shows after rows of it were yielded, and ChangedWhileRead when a file changes under the reader.
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
            "_correction": pa.scalar(None, pa.int64()),
        }
        before, is_under_way = len(pending), False
        try:
            for table in _read_file(landing, file, _FORMATS[flow.format], columns, chunk_bytes):
                pending.append(_complete(table, constants, schema))
                rows, size = rows + table.num_rows, size + table.nbytes
                if rows >= BATCH_ROWS or size >= BATCH_BYTES:
                    is_under_way = True
                    yield from _batches(pending)
                    pending, rows, size = [], 0, 0
        except Unreadable as reason:
            on_unreadable(file, reason.message)
            if is_under_way:
                raise FileSpoiled(f"{file.path} is left out: {reason.message}; the others are read again") from None
            del pending[before:]
            rows, size = sum(table.num_rows for table in pending), sum(table.nbytes for table in pending)
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
    known = {
        CORRUPT,
        RESCUED,
        ROW_NUMBER,
        "_ingested_at",
        "_source_file",
        "_file_modification_time",
        "_datasource",
        "_correction",
    }
    if unknown := set(dataset.column_names) - set(columns.names) - known:
        raise NotReadable(
            f"{dataset.name}: no file gives {', '.join(sorted(unknown))}; names with _ are the reader's own"
        )
    if flow.format == "csv" and any(data_type.fields or data_type.element for data_type in columns.types):
        raise NotReadable(f"{dataset.name}: a CSV field is a scalar; declare STRING in place of STRUCT and ARRAY")
    if any(data_type.entry for data_type in columns.types):
        raise NotReadable(
            f"{dataset.name}: no file format has MAPs here; declare ARRAY<STRUCT<…>>, or STRING to keep the JSON"
        )
    return flow, columns, arrow_schema(dataset)


def _complete(table: pa.Table, constants: dict[str, pa.Scalar], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_arrays(
        [
            pa.repeat(constants[field.name], table.num_rows) if field.name in constants else table.column(field.name)
            for field in schema
        ],
        schema=schema,
    )


def _read_file(
    landing: Path, file: LandingFile, read: Read, columns: SourceColumns, chunk_bytes: int
) -> Iterator[pa.Table]:
    with _open(landing, file) as stream:
        try:
            yield from read(stream, columns, chunk_bytes)
        except Unreadable:
            _refuse_changed(stream, file)
            raise
        _refuse_changed(stream, file)


def _refuse_changed(stream: BinaryIO, file: LandingFile) -> None:
    if _identity(stream) != (file.size, file.mtime_ns):
        raise ChangedWhileRead(f"{file.path} was changed while it was read; run again")


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
