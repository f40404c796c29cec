"""Parquet: row by row of the declared columns, streamed page by page, whatever the size of file and row groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.files.arrow_rows import Fitting
from lakehouse.files.rows import SourceColumns
from lakehouse.files.unreadable import Unreadable

MAGIC = b"PAR1"
_PAGE_BYTES = 1 << 20
_MOST_ROWS = 16_384

_DAMAGED = "it is damaged, or uses what this reader does not know: its Parquet cannot be read to the end"
_READ_FAILED = (pa.ArrowException, OSError, EOFError, ValueError)


def read_parquet(stream: BinaryIO, columns: SourceColumns, chunk_bytes: int) -> Iterator[pa.Table]:
    """The rows of an open Parquet file, about ``chunk_bytes`` of them at a time.

    Columns are matched by name without case (an exact match first); what has no column and what does not fit its column is
    in ``_rescued_data``. Raises Unreadable for what is not Parquet, for a file of none of the declared columns, and, perhaps
    after the first rows, for a damaged one.
    """
    if stream.read(len(MAGIC)) != MAGIC:
        raise Unreadable("it is not Parquet: the dataset's flow reads that only")
    stream.seek(0)
    try:
        file = pq.ParquetFile(
            pa.PythonFile(stream, mode="r"),
            buffer_size=_PAGE_BYTES,
            pre_buffer=False,
            coerce_int96_timestamp_unit="us",
            page_checksum_verification=True,
        )
        fitting = Fitting(file.schema_arrow.names, columns)
    except _READ_FAILED:
        raise Unreadable(_DAMAGED) from None
    if fitting.is_foreign:
        raise Unreadable("it has none of the declared columns")
    first = 1
    for batch in _batches(file, chunk_bytes):
        yield fitting.read(batch.columns, batch.num_rows, first)
        first += batch.num_rows


def _batches(file: pq.ParquetFile, chunk_bytes: int) -> Iterator[pa.RecordBatch]:
    sizes = [file.metadata.row_group(position) for position in range(file.num_row_groups)]
    widest = max((group.total_byte_size // max(group.num_rows, 1) for group in sizes), default=0)
    rows = max(1, min(_MOST_ROWS, chunk_bytes // max(widest, 1)))
    try:
        yield from file.iter_batches(batch_size=rows)
    except _READ_FAILED:
        raise Unreadable(_DAMAGED) from None
