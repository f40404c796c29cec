"""Rows that are typed already (Parquet, Delta) as the columns a dataset declares; what does not fit is rescued.

Names are matched without regard to case, an exact match first. What a value means is said in `arrow_value`; whole columns are
read by `arrow_column`, and rows of which a value needs a closer look are read again, value by value.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.files.arrow_column import bare, json_column, read_typed
from lakehouse.files.arrow_value import quoted, read_scalar, unknown_text
from lakehouse.files.rows import ROW_NUMBER, Row, SourceColumns, replace_rows, rescued_text


def fit(
    rows: pa.RecordBatch, columns: SourceColumns, ignored: frozenset[str] = frozenset()
) -> tuple[list[pa.Array], pa.Array]:
    """The declared columns in order, and ``_rescued_data``. ``ignored`` names columns of the source that are none of its data."""
    names = [name for name in rows.schema.names if name not in ignored]
    given = [column for name, column in zip(rows.schema.names, rows.columns, strict=True) if name not in ignored]
    table = Fitting(names, columns).read(given, rows.num_rows, 1).combine_chunks()
    arrays = [column.chunk(0) if column.num_chunks else pa.array([], column.type) for column in table.columns]
    return arrays[: len(columns.names)], arrays[len(columns.names) + 1]


class Fitting:
    """Which column of a source feeds which declared one; reads batches of that source. Columns that feed none are rescued under
    their name, or under ``_column_<position>``, counted from 1, where that is no name of their own."""

    def __init__(self, names: list[str], columns: SourceColumns) -> None:
        self._columns = columns
        self._sources: list[int | None] = []
        for declared in columns.names:
            alike = [position for position, found in enumerate(names) if found.casefold() == declared.casefold()]
            exact = (position for position in alike if names[position] == declared)
            self._sources.append(next(exact, next(iter(alike), None)))
        self._unknown = {
            position: name if name and names.count(name) == 1 else f"_column_{position + 1}"
            for position, name in enumerate(names)
            if position not in self._sources
        }

    @property
    def is_foreign(self) -> bool:
        """Whether the source has none of the declared columns."""
        return all(source is None for source in self._sources)

    def read(self, columns: list[pa.Array], count: int, first: int) -> pa.Table:
        """The rows of a batch as typed columns, numbered from ``first``."""
        found = [bare(column) for column in columns]
        troubled = np.zeros(count, dtype=np.bool_)
        typed = []
        for source, data_type in zip(self._sources, self._columns.types, strict=True):
            if source is None:
                typed.append(pa.nulls(count, data_type.arrow))
                continue
            column, unsettled = read_typed(found[source], data_type)
            typed.append(column)
            troubled |= unsettled
        table = pa.Table.from_arrays(
            [
                *typed,
                pa.nulls(count, pa.string()),
                self._rescued(found, count),
                pa.array(np.arange(first, first + count)),
            ],
            schema=self._columns.schema,
        )
        return self._settle(table, found, np.flatnonzero(troubled))

    def _rescued(self, found: list[pa.Array], count: int) -> pa.Array:
        """The unknown values of each row as the text of a JSON object; NULL where there are none."""
        if not self._unknown:
            return pa.nulls(count, pa.string())
        members = [
            pc.binary_join_element_wise("," + quoted(name) + ":", json_column(found[position]), "").fill_null("")
            for position, name in self._unknown.items()
        ]
        # not joined with null_handling="skip": that loses the rows without a value where there is one column only
        joined = pc.binary_join_element_wise(*members, "")
        objects = pc.binary_join_element_wise("{", pc.utf8_slice_codeunits(joined, 1), "}", "")
        return pc.if_else(pc.equal(joined, ""), pa.scalar(None, pa.string()), objects)

    def _settle(self, table: pa.Table, found: list[pa.Array], positions: npt.NDArray[np.int64]) -> pa.Table:
        numbers = table.column(ROW_NUMBER).to_numpy()[positions]
        rows = [self._read_row([column[int(position)] for column in found]) for position in positions]
        return replace_rows(table, positions, self._columns.table(rows, numbers))

    def _read_row(self, scalars: list[pa.Scalar]) -> Row:
        values: list[object] = [None] * len(self._columns.names)
        rests: dict[int, tuple[str, str | None]] = {
            position: (name, unknown_text(scalars[position])) for position, name in self._unknown.items()
        }
        for declared, source in enumerate(self._sources):
            if source is not None:
                values[declared], rest = read_scalar(scalars[source], self._columns.types[declared])
                rests[source] = (self._columns.names[declared], rest)
        rescued = {quoted(name): rest for _, (name, rest) in sorted(rests.items()) if rest is not None}
        return Row(tuple(values), rescued=rescued_text(rescued))
