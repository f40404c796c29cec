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
_WINDOW = 128 << 10
"""Bytes looked over for trouble at a time, so that a chunk with much of it is not looked over as often."""


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
        if self._header is None:
            record = scan_record(buffer, position, final=final) if position < len(buffer) else None
            if record is None:
                return 0, []
            self._header = self._read_header(record)
            position = record.end
        position, stretches, exact = self._divide(buffer, position, self._header, final=final)
        table = self._read_fast(b"".join(stretches), exact, self._header)
        return position, [table] if table.num_rows else []

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

    def _divide(
        self, buffer: bytes, position: int, header: Header, *, final: bool
    ) -> tuple[int, list[bytes], list[Row]]:
        """Where the buffer's last whole record ends, the stretches that Arrow's parser can read, and in order the rows of the
        records between them, for each of which a stand-in is among the stretches.

        After trouble one record is read exactly, and twice as many each time the stretch that follows is shorter than that.
        """
        stretches: list[bytes] = []
        rows: list[Row] = []
        stand_in = f"{_stand_in(header.width)}\n".encode()
        window, patience = _WINDOW, 1
        while (position := skip_blank_lines(buffer, position)) < len(buffer):
            is_last = position + window >= len(buffer)
            end, troubled = well_formed_stretch(buffer[position : position + window], final=final and is_last)
            stretches.append(buffer[position : position + end])
            position += end
            if troubled:
                patience = 1 if end > patience * _WINDOW // 64 else patience * 2
                position, exact, stuck = self._read_exactly(buffer, position, patience, header, final=final)
                rows += exact
                stretches += [stand_in] * len(exact)
                if stuck:
                    break
            elif is_last:
                break
            window = _WINDOW if end or troubled else window * 2
        return position, stretches, rows

    def _read_exactly(
        self, buffer: bytes, position: int, count: int, header: Header, *, final: bool
    ) -> tuple[int, list[Row], bool]:
        rows: list[Row] = []
        while len(rows) < count and (position := skip_blank_lines(buffer, position)) < len(buffer):
            record = scan_record(buffer, position, final=final)
            if record is None:
                return position, rows, True
            rows.append(self._read_row(record, header))
            position = record.end
        return position, rows, False

    def _read_row(self, record: Record, header: Header) -> Row:
        if record.fields is None:
            return self._columns.corrupt_row(record.text)
        return read_record(record.fields, header, self._columns)

    def _read_fast(self, data: bytes, exact: list[Row], header: Header) -> pa.Table:
        """The rows of well-formed records, with ``exact`` ones where there are stand-ins for them."""
        if not data:
            return self._columns.table([], [])
        texts, ragged, stand_ins = _parse(data, header.width)
        given = dict(zip(stand_ins, exact, strict=True))
        troubled = np.zeros(texts.num_rows, dtype=np.bool_)
        troubled[[*ragged, *stand_ins]] = True
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
            given.get(int(position)) or read_record(ragged.get(int(position), fields), header, self._columns)
            for position, fields in zip(positions, found, strict=True)
        ]
        numbers = table.column(ROW_NUMBER).to_numpy()[positions]
        return replace_rows(table, positions, self._columns.table(rows, numbers))

    def _numbers(self, count: int) -> npt.NDArray[np.int64]:
        first = self._records + 1
        self._records += count
        return np.arange(first, first + count, dtype=np.int64)


def well_formed_stretch(buffer: bytes, *, final: bool) -> tuple[int, bool]:
    """The end of the stretch of whole records at the buffer's beginning on which Arrow's parser agrees with `csv_record`,
    and whether what follows has to be read exactly (else it is a record whose end is still to come).

    In it every quote opens or closes a field or is doubled, every CR is followed by LF, and all is UTF-8.
    """
    data = np.frombuffer(buffer, np.uint8)
    quotes = np.flatnonzero(data == _QUOTE) if b'"' in buffer else np.empty(0, np.intp)
    trouble = min(_stray_quote(data, quotes, final=final), _stray_return(data, final=final), _not_utf8(buffer))
    if trouble > len(data) and final:
        return len(buffer), False
    newlines = np.flatnonzero(data[:trouble] == _LF)
    if len(quotes):
        newlines = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
    end = int(newlines[-1]) + 1 if len(newlines) else 0
    return end, trouble <= len(data) and (final or buffer.find(b"\n", trouble) >= 0)


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


def _not_utf8(buffer: bytes) -> int:
    if not buffer.isascii():
        try:
            buffer.decode()
        except UnicodeDecodeError as error:
            return error.start
    return len(buffer) + 1


def _stand_in(width: int) -> str:
    """Stands for a record that is read exactly: never a record of a stretch, for the quote's sake, and of another width."""
    return 'exact",' if width == 1 else 'exact"'


def _parse(data: bytes, width: int) -> tuple[pa.RecordBatch, dict[int, list[str | None]], list[int]]:
    """The fields as text, an empty unquoted one NULL; the fields of records that have more or fewer than ``width``, by
    position; and the positions of stand-ins. Such rows are NULL throughout in the table.
    """
    ragged: dict[int, list[str | None]] = {}
    stand_ins: list[int] = []
    stand_in = _stand_in(width)

    def set_aside(row: Any) -> str:
        if row.text == stand_in:
            stand_ins.append(row.number - 1)
        else:
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
    if ragged or stand_ins:
        total = texts.num_rows + len(ragged) + len(stand_ins)
        kept = np.ones(total, dtype=np.bool_)
        kept[[*ragged, *stand_ins]] = False
        source = np.full(total, -1, dtype=np.int64)
        source[kept] = np.arange(texts.num_rows)
        texts = texts.take(pa.array(source, mask=source < 0)).combine_chunks()
    columns = [column.chunk(0) if column.num_chunks else pa.array([], pa.string()) for column in texts.columns]
    return pa.RecordBatch.from_arrays(columns, names=names), ragged, stand_ins


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
