"""Rows of a file on their way to Arrow: source columns as declared, then what did not fit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lakehouse.dataset import Dataset
from lakehouse.schema import DataType

CORRUPT = "_corrupt_record"
RESCUED = "_rescued_data"
ROW_NUMBER = "_row_number"


@dataclass(frozen=True, slots=True)
class Row:
    """One record. ``values`` are in the order of the source columns; ``rescued`` is the text of a JSON object."""

    values: tuple[object, ...]
    corrupt: str | None = None
    rescued: str | None = None


class SourceColumns:
    """The columns a dataset takes from its files: all it declares whose names do not begin with ``_``."""

    def __init__(self, dataset: Dataset) -> None:
        sources = [column for column in dataset.columns if not column.name.startswith("_")]
        self.names: tuple[str, ...] = tuple(column.name for column in sources)
        self.types: tuple[DataType, ...] = tuple(column.data_type for column in sources)
        self.schema = pa.schema(
            [
                *(pa.field(name, data_type.arrow) for name, data_type in zip(self.names, self.types, strict=True)),
                pa.field(CORRUPT, pa.string()),
                pa.field(RESCUED, pa.string()),
                pa.field(ROW_NUMBER, pa.int64()),
            ]
        )

    def corrupt_row(self, record: bytes) -> Row:
        r"""The row of a record that does not parse: nothing but its whole text.

        Bytes that are not UTF-8 stand as ``\xNN`` there; the backslashes of such a record are doubled and the row
        says so in ``_rescued_data``, so that the bytes can be had back.
        """
        empty = (None,) * len(self.names)
        try:
            return Row(empty, corrupt=record.decode())
        except UnicodeDecodeError:
            text = record.replace(b"\\", b"\\\\").decode(errors="backslashreplace")
            return Row(empty, corrupt=text, rescued=rescued_text({json.dumps(CORRUPT): '"backslashreplace"'}))

    def table(self, rows: Sequence[Row], numbers: Sequence[int] | npt.NDArray[np.int64]) -> pa.Table:
        """Rows as Arrow, each with its number in the file."""
        columns = list(zip(*(row.values for row in rows), strict=True)) or [()] * len(self.names)
        return pa.Table.from_arrays(
            [
                *(pa.array(column, data_type.arrow) for column, data_type in zip(columns, self.types, strict=True)),
                pa.array([row.corrupt for row in rows], pa.string()),
                pa.array([row.rescued for row in rows], pa.string()),
                pa.array(numbers, pa.int64()),
            ],
            schema=self.schema,
        )


def rescued_text(raw_by_name: dict[str, str]) -> str | None:
    """The text of ``_rescued_data`` from names and values that are JSON texts themselves; None where there are none."""
    if not raw_by_name:
        return None
    return "{" + ",".join(f"{name}:{raw}" for name, raw in raw_by_name.items()) + "}"


def replace_rows(table: pa.Table, positions: npt.NDArray[np.int64], replacement: pa.Table) -> pa.Table:
    """The table with the rows at ``positions`` taken from ``replacement``, in order."""
    if not len(positions):
        return table
    if len(positions) == table.num_rows:
        return replacement
    source = np.arange(table.num_rows, dtype=np.int64)
    source[positions] = np.arange(len(positions)) + table.num_rows
    return pa.concat_tables([table, replacement]).take(pa.array(source))
