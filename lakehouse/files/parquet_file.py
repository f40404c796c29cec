"""Parquet: row by row of the declared columns, streamed page by page, whatever the size of file and row groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lakehouse.files.parquet_column import bare, json_column, read_typed
from lakehouse.files.parquet_value import quoted, read_scalar, unknown_text
from lakehouse.files.rows import Row, SourceColumns, replace_rows, rescued_text
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
        header = _Header(file.schema_arrow.names, columns)
    except _READ_FAILED:
        raise Unreadable(_DAMAGED) from None
    if header.is_foreign:
        raise Unreadable("it has none of the declared columns")
    reader, first = _Rows(columns, header), 1
    for batch in _batches(file, chunk_bytes):
        yield reader.read(batch, first)
        first += batch.num_rows


def _batches(file: pq.ParquetFile, chunk_bytes: int) -> Iterator[pa.RecordBatch]:
    sizes = [file.metadata.row_group(position) for position in range(file.num_row_groups)]
    widest = max((group.total_byte_size // max(group.num_rows, 1) for group in sizes), default=0)
    rows = max(1, min(_MOST_ROWS, chunk_bytes // max(widest, 1)))
    try:
        yield from file.iter_batches(batch_size=rows)
    except _READ_FAILED:
        raise Unreadable(_DAMAGED) from None


class _Header:
    """Which column of the file feeds which declared one; ``unknown`` has the names under which the others are rescued."""

    def __init__(self, names: list[str], columns: SourceColumns) -> None:
        self.sources: list[int | None] = [None] * len(columns.names)
        self.unknown: dict[int, str] = {}
        for declared, name in enumerate(columns.names):
            alike = [position for position, found in enumerate(names) if found.casefold() == name.casefold()]
            self.sources[declared] = next(
                (position for position in alike if names[position] == name), next(iter(alike), None)
            )
        for position, name in enumerate(names):
            if position not in self.sources:
                self.unknown[position] = name if name and names.count(name) == 1 else f"_column_{position + 1}"

    @property
    def is_foreign(self) -> bool:
        return all(source is None for source in self.sources)


class _Rows:
    """Reads batches of one file."""

    def __init__(self, columns: SourceColumns, header: _Header) -> None:
        self._columns = columns
        self._header = header

    def read(self, batch: pa.RecordBatch, first: int) -> pa.Table:
        """The rows of a batch, numbered from ``first``."""
        found = [bare(column) for column in batch.columns]
        numbers = np.arange(first, first + batch.num_rows)
        troubled = np.zeros(batch.num_rows, dtype=np.bool_)
        typed = []
        for source, data_type in zip(self._header.sources, self._columns.types, strict=True):
            if source is None:
                typed.append(pa.nulls(batch.num_rows, data_type.arrow))
                continue
            column, unsettled = read_typed(found[source], data_type)
            typed.append(column)
            troubled |= unsettled
        corrupt = pa.nulls(batch.num_rows, pa.string())
        table = pa.Table.from_arrays(
            [*typed, corrupt, self._unknown(found, batch.num_rows), pa.array(numbers)], schema=self._columns.schema
        )
        positions = np.flatnonzero(troubled)
        return replace_rows(table, positions, self._exactly(found, positions, numbers[positions]))

    def _unknown(self, found: list[pa.Array], count: int) -> pa.Array:
        """The unknown values of each row as the text of a JSON object; NULL where there are none."""
        if not self._header.unknown:
            return pa.nulls(count, pa.string())
        members = [
            pc.binary_join_element_wise("," + quoted(name) + ":", json_column(found[position]), "").fill_null("")
            for position, name in self._header.unknown.items()
        ]
        # not joined with null_handling="skip": that loses the rows without a value where there is one column only
        joined = pc.binary_join_element_wise(*members, "")
        objects = pc.binary_join_element_wise("{", pc.utf8_slice_codeunits(joined, 1), "}", "")
        return pc.if_else(pc.equal(joined, ""), pa.scalar(None, pa.string()), objects)

    def _exactly(
        self, found: list[pa.Array], positions: npt.NDArray[np.int64], numbers: npt.NDArray[np.int64]
    ) -> pa.Table:
        return self._columns.table(
            [self._read_row([column[int(position)] for column in found]) for position in positions], numbers
        )

    def _read_row(self, scalars: list[pa.Scalar]) -> Row:
        values: list[object] = [None] * len(self._columns.names)
        rests: dict[int, tuple[str, str | None]] = {
            position: (name, unknown_text(scalars[position])) for position, name in self._header.unknown.items()
        }
        for declared, source in enumerate(self._header.sources):
            if source is not None:
                values[declared], rest = read_scalar(scalars[source], self._columns.types[declared])
                rests[source] = (self._columns.names[declared], rest)
        rescued = {quoted(name): rest for _, (name, rest) in sorted(rests.items()) if rest is not None}
        return Row(tuple(values), rescued=rescued_text(rescued))
