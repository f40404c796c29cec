"""CSV in chunks: the well-formed stretch of a chunk goes through Arrow's parser, the rest through `csv_record`."""

from __future__ import annotations

from codecs import BOM_UTF8
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from lakehouse.files.csv_record import Header, Record, quote, read_record, scan_record, skip_blank_lines
from lakehouse.files.rows import ROW_NUMBER, Row, SourceColumns, replace_rows, rescued_text
from lakehouse.files.typed import read_column
from lakehouse.files.unreadable import Unreadable

_QUOTE, _COMMA, _LF, _CR = 34, 44, 10, 13
_PATIENCE = 256
"""Records read exactly after trouble before the fast path is tried again; doubles within a chunk."""


class CsvLines:
    """Reads one CSV file, fed chunk by chunk."""

    def __init__(self, columns: SourceColumns) -> None:
        self._columns = columns
        self._header: Header | None = None
        self._records = 0

    def read(self, buffer: bytes, *, final: bool) -> tuple[int, list[pa.Table]]:
        """Rows of the records that end in the buffer, and how many bytes they took. ``final``: nothing comes after
        it.
        """
        position = skip_blank_lines(buffer, 0)
        tables: list[pa.Table] = []
        if self._header is None:
            record = scan_record(buffer, position, final=final) if position < len(buffer) else None
            if record is None:
                return 0, []
            self._header = self._read_header(record)
            position = record.end
        patience = _PATIENCE
        while (position := skip_blank_lines(buffer, position)) < len(buffer):
            end, troubled = well_formed_stretch(buffer, position, final=final)
            if end > position:
                tables.append(self._read_fast(buffer[position:end], self._header))
                position = end
            if not troubled:
                break
            position, exact, stuck = self._read_exactly(buffer, position, patience, self._header, final=final)
            tables.append(exact)
            patience *= 2
            if stuck:
                break
        return position, [table for table in tables if table.num_rows]

    def read_corrupt(self, line: bytes, *, continued: bool) -> pa.Table:
        """The row of a line (or a piece of one) that is not to be parsed."""
        if self._header is None:
            raise Unreadable("its first line is too long or not closed: it has to be a header")
        self._records += not continued
        return self._columns.table([self._columns.corrupt_row(line)], [self._records])

    def _read_header(self, record: Record) -> Header:
        if record.fields is None:
            raise Unreadable("its header is not well-formed CSV in UTF-8")
        header = Header(record.fields, self._columns)
        if header.is_foreign:
            raise Unreadable("its header names none of the declared columns")
        return header

    def _read_exactly(
        self, buffer: bytes, position: int, count: int, header: Header, *, final: bool
    ) -> tuple[int, pa.Table, bool]:
        rows: list[Row] = []
        stuck = False
        while len(rows) < count and (position := skip_blank_lines(buffer, position)) < len(buffer):
            record = scan_record(buffer, position, final=final)
            if stuck := record is None:
                break
            rows.append(self._read_row(record, header))
            position = record.end
        return position, self._columns.table(rows, self._numbers(len(rows))), stuck

    def _read_row(self, record: Record, header: Header) -> Row:
        if record.fields is None:
            return self._columns.corrupt_row(record.text)
        return read_record(record.fields, header, self._columns)

    def _read_fast(self, data: bytes, header: Header) -> pa.Table:
        texts, ragged = _parse(data, header.width)
        troubled = np.zeros(texts.num_rows, dtype=np.bool_)
        troubled[list(ragged)] = True
        columns: list[pa.Array] = []
        for source, data_type in zip(header.sources, self._columns.types, strict=True):
            if source is None:
                columns.append(pa.nulls(texts.num_rows, data_type.arrow))
                continue
            typed, unsettled = read_column(texts.column(source), data_type)
            columns.append(typed)
            troubled |= unsettled
        table = pa.Table.from_arrays(
            [
                *columns,
                pa.nulls(texts.num_rows, pa.string()),
                _rescue_unknown(texts, header),
                pa.array(self._numbers(texts.num_rows)),
            ],
            schema=self._columns.schema,
        )
        positions = np.flatnonzero(troubled)
        if not len(positions):
            return table
        found = zip(*(column.to_pylist() for column in texts.take(pa.array(positions)).columns), strict=True)
        rows = [
            read_record(ragged.get(int(position), fields), header, self._columns)
            for position, fields in zip(positions, found, strict=True)
        ]
        numbers = table.column(ROW_NUMBER).to_numpy()[positions]
        return replace_rows(table, positions, self._columns.table(rows, numbers))

    def _numbers(self, count: int) -> npt.NDArray[np.int64]:
        first = self._records + 1
        self._records += count
        return np.arange(first, first + count, dtype=np.int64)


def well_formed_stretch(buffer: bytes, start: int, *, final: bool) -> tuple[int, bool]:
    """The end of the stretch of whole records from ``start`` on which Arrow's parser agrees with `csv_record`, and
    whether what follows has to be read exactly (else it is a record whose end is still to come).

    In it every quote opens or closes a field or is doubled, every CR is followed by LF, and all is UTF-8.
    """
    data = np.frombuffer(buffer, np.uint8, offset=start)
    quotes = np.flatnonzero(data == _QUOTE) if buffer.find(b'"', start) >= 0 else np.empty(0, np.intp)
    trouble = min(_stray_quote(data, quotes, final=final), _stray_return(data, final=final), _not_utf8(buffer, start))
    if trouble > len(data) and final:
        return len(buffer), False
    newlines = np.flatnonzero(data[:trouble] == _LF)
    if len(quotes):
        newlines = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
    end = start + int(newlines[-1]) + 1 if len(newlines) else start
    return end, trouble <= len(data) and (final or buffer.find(b"\n", start + trouble) >= 0)


def _stray_quote(data: npt.NDArray[np.uint8], quotes: npt.NDArray[np.intp], *, final: bool) -> int:
    nowhere = len(data) + 1
    opening, closing = quotes[::2], quotes[1::2]
    before = data[opening - 1]
    misplaced = ~np.isin(before, (_COMMA, _LF, _QUOTE)) & (opening > 0)
    # A doubled quote reads as a closing and an opening one side by side; any other opening quote follows no quote.
    misplaced[1:] |= (before[1:] == _QUOTE) & (opening[1:] - 1 != closing[: len(opening) - 1])
    first = int(opening[misplaced][0]) if misplaced.any() else nowhere
    inner = closing[closing < len(data) - 1]
    unfollowed = ~np.isin(data[inner + 1], (_COMMA, _LF, _CR, _QUOTE))
    if unfollowed.any():
        first = min(first, int(inner[unfollowed][0]))
    if final and len(quotes) % 2:
        first = min(first, int(quotes[-1]))
    return first


def _stray_return(data: npt.NDArray[np.uint8], *, final: bool) -> int:
    returns = np.flatnonzero(data == _CR)
    inner = returns[returns < len(data) - 1]
    stray = inner[data[inner + 1] != _LF]
    if len(stray):
        return int(stray[0])
    return int(returns[-1]) if final and len(returns) > len(inner) else len(data) + 1


def _not_utf8(buffer: bytes, start: int) -> int:
    if buffer.isascii():
        return len(buffer) - start + 1
    try:
        memoryview(buffer)[start:].tobytes().decode()
    except UnicodeDecodeError as error:
        return error.start
    return len(buffer) - start + 1


def _parse(data: bytes, width: int) -> tuple[pa.RecordBatch, dict[int, list[str | None]]]:
    """The fields as text, an empty unquoted one NULL; and the fields of records that have more or fewer than
    ``width``, by position (such a row is NULL throughout in the table).
    """
    ragged: dict[int, list[str | None]] = {}

    def set_aside(row: Any) -> str:
        record = scan_record(row.text.encode(), 0, final=True)
        ragged[row.number - 1] = record.fields if record and record.fields else []
        return "skip"

    if data.startswith(BOM_UTF8):  # Arrow would drop it as the mark of a file
        data = BOM_UTF8 + data
    names = [str(position) for position in range(width)]
    texts = pa.csv.read_csv(
        pa.BufferReader(data),
        pa.csv.ReadOptions(column_names=names, block_size=len(data) + 1, use_threads=False),
        pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=set_aside),
        pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    ).combine_chunks()
    if ragged:
        total = texts.num_rows + len(ragged)
        kept = np.setdiff1d(np.arange(total), np.fromiter(ragged, np.int64))
        source = np.full(total, -1, dtype=np.int64)
        source[kept] = np.arange(texts.num_rows)
        texts = texts.take(pa.array(source, mask=source < 0)).combine_chunks()
    columns = [column.chunk(0) if column.num_chunks else pa.array([], pa.string()) for column in texts.columns]
    return pa.RecordBatch.from_arrays(columns, names=names), ragged


def _rescue_unknown(texts: pa.RecordBatch, header: Header) -> pa.Array:
    if not header.unknown:
        return pa.nulls(texts.num_rows, pa.string())
    names = [quote(name) for name in header.unknown.values()]
    found = zip(*(texts.column(position).to_pylist() for position in header.unknown), strict=True)
    return pa.array(
        [
            rescued_text({name: quote(text) for name, text in zip(names, fields, strict=True) if text is not None})
            for fields in found
        ],
        pa.string(),
    )
