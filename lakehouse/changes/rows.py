"""Changes as rows of a bronze dataset: the declared columns, what each change was, and where it stands in the source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.catalog import FEED_COLUMNS
from lakehouse.changes.source import FeedGap, SourceCommit, SourceFile
from lakehouse.dataset import ChangeFeed, Dataset
from lakehouse.engine import CHANGE_TYPE, UnreadableTable
from lakehouse.files.arrow_rows import fit
from lakehouse.files.rows import RESCUED, ROW_NUMBER, SourceColumns
from lakehouse.properties import arrow_schema

_OF_THE_FEED = frozenset({CHANGE_TYPE})
"""Columns of a change data file that are not the source's own."""

_ROWS_PER_BATCH = 16_384


@dataclass(frozen=True, slots=True)
class Arrival:
    """What all rows of one batch share: when it was planned, and which snapshot its versions count from."""

    ingested_at: datetime
    generation: int


def read_changes(
    landing: Path, dataset: Dataset, commits: Iterator[SourceCommit], arrival: Arrival
) -> Iterator[pa.RecordBatch]:
    """Every change of the commits, in order, in the declared columns; a few thousand rows are in memory at a time.

    Raises FeedGap where a file is gone.
    """
    reader = _Reader(landing, dataset, arrival)
    for commit in commits:
        for file in commit.files:
            yield from reader.read(commit, file)


class _Reader:
    def __init__(self, landing: Path, dataset: Dataset, arrival: Arrival) -> None:
        flow = dataset.flow
        assert isinstance(flow, ChangeFeed)  # noqa: S101 - the caller's dispatch, for the type checker
        self._landing, self._flow, self._arrival = landing, flow, arrival
        self._columns, self._schema = SourceColumns(dataset), arrow_schema(dataset)

    def read(self, commit: SourceCommit, file: SourceFile) -> Iterator[pa.RecordBatch]:
        where = f"{self._flow.path}/{file.path}"
        try:
            with pq.ParquetFile(self._landing / where, pre_buffer=False) as parquet:
                number = 0
                for rows in parquet.iter_batches(_ROWS_PER_BATCH):
                    yield self._complete(commit, file, where, rows, number)
                    number += rows.num_rows
        except FileNotFoundError:
            raise FeedGap(
                f"{self._flow.path}: a file of version {commit.version} is gone (vacuumed?), so changes are missing"
            ) from None
        except (pa.ArrowInvalid, OSError):
            raise UnreadableTable(
                f"{self._flow.path}: a file of version {commit.version} is damaged; restore it, or resync"
            ) from None

    def _complete(
        self, commit: SourceCommit, file: SourceFile, where: str, rows: pa.RecordBatch, number: int
    ) -> pa.RecordBatch:
        for name, value in file.partition:
            rows = rows.append_column(name, pa.repeat(pa.scalar(value, pa.string()), rows.num_rows))
        typed, rescued = fit(rows, self._columns, _OF_THE_FEED if file.change is None else frozenset())
        change = rows.column(CHANGE_TYPE).cast(pa.string()) if file.change is None else file.change
        known: dict[str, Any] = {
            **dict(zip(self._columns.names, typed, strict=True)),
            **dict(
                zip(FEED_COLUMNS, (change, commit.version, commit.timestamp, self._arrival.generation), strict=True)
            ),
            RESCUED: rescued,
            ROW_NUMBER: pa.array(range(number + 1, number + 1 + rows.num_rows), pa.int64()),
            "_ingested_at": self._arrival.ingested_at,
            "_source_file": where,
            "_file_modification_time": commit.timestamp,
            "_datasource": self._flow.datasource,
            "_correction": None,
        }
        return pa.RecordBatch.from_arrays(
            [_array(known.get(field.name), field, rows.num_rows) for field in self._schema], schema=self._schema
        )


def _array(value: object, field: pa.Field, count: int) -> pa.Array:
    """The column itself, or one value for all rows."""
    return value if isinstance(value, pa.Array) else pa.repeat(pa.scalar(value, field.type), count)
