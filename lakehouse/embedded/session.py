"""One unit of work on DuckDB: pinned snapshots as views, Spark SQL transpiled by the dialect module, results as Arrow."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from functools import partial
from itertools import chain
from pathlib import Path

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

from lakehouse.dataset import Dataset
from lakehouse.days import Days
from lakehouse.embedded import commit as delta
from lakehouse.embedded.edge import edge_select, raised_by
from lakehouse.embedded.pieces import Pieces
from lakehouse.embedded.scan import Scans, quoted
from lakehouse.engine import CHANGE, CHANGE_TYPE, Commit, Committed, DuplicateKey, Restriction
from lakehouse.paths import table_path
from lakehouse.properties import arrow_schema
from lakehouse.schema import spell
from lakehouse.sql.dialect import to_duckdb
from lakehouse.sql.lenient import to_duckdb_leniently

_ROWS_PER_BATCH = 8_192
"""Of rows on their way to delta-rs, which holds several batches: with 65,536, half a gigabyte of web events."""
_RESULT, _HASHES, _AGAIN = "__result", "__hashes", "__again"


class EmbeddedSession:
    """See lakehouse.engine.Session. All that it makes is temporary, and so its own: ``connection`` is to a database that
    sessions share, and is the session's to close."""

    def __init__(
        self, lake: Path, scratch: Path, connection: duckdb.DuckDBPyConnection, scans: Scans, as_of: date
    ) -> None:
        self._lake = lake
        self._pieces = Pieces(self._run, scratch)
        self._scans = scans
        self._as_of = f"DATE '{as_of.isoformat()}'"
        self._connection = connection

    def close(self) -> None:
        self._connection.close()
        self._pieces.remove()

    def bind(self, view: str, table: str, version: int, restriction: Restriction | None = None) -> None:
        source = self._scans.sql(self._connection, self._path(table), version)
        if restriction is None:
            self._run(f"CREATE OR REPLACE TEMP VIEW {quoted(view)} AS {source}")
            return
        if restriction.columns:
            source = f"SELECT {', '.join(map(quoted, restriction.columns))} FROM ({source})"
        keys = [self._native_expression(expression) for expression in restriction.key]
        if restriction.buckets > 1:
            source = self._pieces.sql(source, keys, restriction.bucket, restriction.buckets)
        whole = f"{view}__whole"
        self._run(f"CREATE OR REPLACE TEMP VIEW {quoted(whole)} AS {source}")
        touched = _touched(restriction.touched, keys) if restriction.touched is not None else ""
        self._run(f"CREATE OR REPLACE TEMP VIEW {quoted(view)} AS SELECT * FROM {quoted(whole)} {touched}")

    def bind_changes(self, view: str, table: str, after: int, upto: int, columns: Sequence[str]) -> None:
        listed = ", ".join(quoted(name) for name in columns)
        if after >= upto:
            source = self._scans.sql(self._connection, self._path(table), upto)
            rows = f"SELECT *, '' AS {quoted(CHANGE_TYPE)} FROM ({source}) WHERE false"
            self._run(f"CREATE OR REPLACE TEMP TABLE {quoted(view)} AS SELECT {listed} FROM ({rows})")
            return
        feed = DeltaTable(self._path(table), version=upto).load_cdf(
            starting_version=after + 1, ending_version=upto, columns=[quoted(name) for name in columns]
        )
        self._keep(view, pa.RecordBatchReader.from_stream(feed), f"SELECT DISTINCT {listed} FROM")

    def bind_empty(self, view: str, dataset: Dataset) -> None:
        self._keep(view, arrow_schema(dataset).empty_table(), "SELECT * FROM")

    def load(self, view: str, rows: pa.Table | pa.RecordBatchReader) -> None:
        self._keep(view, rows, "SELECT * FROM")

    def define(self, view: str, sql: str) -> None:
        self._run(f"CREATE OR REPLACE TEMP VIEW {quoted(view)} AS {self._native(sql)}")

    def materialize(self, view: str, sql: str) -> int:
        self._run(f"CREATE OR REPLACE TEMP TABLE {quoted(view)} AS {self._native(sql)}")
        return self._count(view)

    def extend(self, view: str, sql: str) -> int:
        before = self._count(view)
        self._run(f"INSERT INTO {quoted(view)} BY NAME {self._native(sql)}")
        return self._count(view) - before

    def fetch(self, sql: str, limit: int | None = None, *, lenient: bool = False) -> pa.Table:
        native = self._native(sql, to_duckdb_leniently if lenient else to_duckdb)
        bounded = native if limit is None else f"SELECT * FROM ({native}) LIMIT {int(limit)}"
        return _narrowed(self._run(bounded).to_arrow_table())

    def columns(self, view: str) -> Mapping[str, str]:
        arrow = self._run(f"SELECT * FROM {quoted(view)} LIMIT 0").to_arrow_table().schema
        return {name: spell(arrow.field(name).type) or kind for name, kind in self._describe(view).items()}

    def append(self, target: Dataset, sql: str | Sequence[str], commit: Commit) -> Committed:
        return self._write(target, (sql,) if isinstance(sql, str) else sql, commit, delta.append)

    def replace(self, target: Dataset, sql: str, commit: Commit) -> Committed:
        return self._write(target, (sql,), commit, delta.replace)

    def merge(self, target: Dataset, sql: str, commit: Commit, days: Sequence[Days] = ()) -> Committed:
        return self._write(target, (sql,), commit, partial(delta.merge, days=days), extra=(CHANGE,))

    def append_rows(self, target: Dataset, rows: pa.RecordBatchReader, commit: Commit) -> Committed:
        return delta.append(self._path(target.name), target, rows, commit)

    def _write(
        self,
        target: Dataset,
        queries: Sequence[str],
        commit: Commit,
        write: Callable[[Path, Dataset, pa.RecordBatchReader, Commit], Committed],
        extra: tuple[str, ...] = (),
    ) -> Committed:
        results = [f"{_RESULT}{position}" for position in range(len(queries))]
        for result, sql in zip(results, queries, strict=True):
            self.define(result, sql)
        self._refuse_duplicate_keys(target, results)
        order = f" ORDER BY {', '.join(map(quoted, target.cluster_by))}" if target.cluster_by else ""
        edges = [edge_select(target, self._describe(result), result, extra) + order for result in results]
        stream = _GuardedStream(self._run(edge).to_arrow_reader(_ROWS_PER_BATCH) for edge in edges)
        try:
            return write(self._path(target.name), target, stream.reader, commit)
        except Exception:
            if stream.failure is not None:  # the cause: delta-rs reports only that its source broke
                raise raised_by(stream.failure) from None
            raise

    def _refuse_duplicate_keys(self, target: Dataset, results: Sequence[str]) -> None:
        """Equal keys have equal hashes, which take a fraction of the memory, and can be grouped in as many parts as one likes: the keys
        themselves are compared only where two hashes are the same."""
        if not target.keys:
            return
        keys = ", ".join(map(quoted, target.keys))
        for table in (_HASHES, _AGAIN):
            self._run(f"CREATE OR REPLACE TEMP TABLE {table} (hash UBIGINT)")
        for result in results:
            self._run(f"INSERT INTO {_HASHES} SELECT hash({keys}) FROM {quoted(result)}")
        for part in range(len(results)):
            self._run(
                f"INSERT INTO {_AGAIN} SELECT hash FROM {_HASHES} WHERE hash % {len(results)} = {part} "
                "GROUP BY hash HAVING count(*) > 1"
            )
        self._run(f"DROP TABLE {_HASHES}")
        if self._count(_AGAIN) and (repeated := self._repeated(keys, results)):
            raise DuplicateKey(
                f"{target.name}: the query yields {repeated} keys ({', '.join(target.keys)}) more than once"
            )

    def _repeated(self, keys: str, results: Sequence[str]) -> int:
        """How many keys whose hash comes again come again themselves."""
        suspects = " UNION ALL ".join(
            f"SELECT {keys} FROM {quoted(result)} WHERE hash({keys}) IN (FROM {_AGAIN})" for result in results
        )
        row = self._run(
            f"SELECT count(*) FROM (SELECT 1 FROM ({suspects}) GROUP BY {keys} HAVING count(*) > 1)"
        ).fetchone()
        return int(row[0]) if row else 0

    def _native(self, sql: str, translate: Callable[[str], str] = to_duckdb) -> str:
        return re.sub(r"\$as_of\b", self._as_of, translate(sql))

    def _native_expression(self, expression: str) -> str:
        return self._native(f"SELECT {expression}").removeprefix("SELECT ")

    def _keep(self, view: str, rows: pa.Table | pa.RecordBatchReader, select: str) -> None:
        self._connection.register("__arriving", rows)
        try:
            self._run(f"CREATE OR REPLACE TEMP TABLE {quoted(view)} AS {select} __arriving")
        finally:
            self._connection.unregister("__arriving")

    def _count(self, view: str) -> int:
        row = self._run(f"SELECT count(*) FROM {quoted(view)}").fetchone()
        return int(row[0]) if row else 0

    def _describe(self, view: str) -> dict[str, str]:
        return {row[0]: row[1] for row in self._run(f"DESCRIBE {quoted(view)}").fetchall()}

    def _run(self, native: str) -> duckdb.DuckDBPyConnection:
        try:
            return self._connection.execute(native)
        except duckdb.Error as failure:
            raise raised_by(failure) from None

    def _path(self, table: str) -> Path:
        return table_path(self._lake, table)


def _touched(view: str, keys: Sequence[str]) -> str:
    """A semi join, not EXISTS: for an expression that EXISTS correlates, DuckDB first collects all of its values."""
    renamed = ", ".join(f"k{position} AS __touched{position}" for position in range(len(keys)))
    same = " AND ".join(f"__touched{position} IS NOT DISTINCT FROM ({key})" for position, key in enumerate(keys))
    return f"SEMI JOIN (SELECT {renamed} FROM {quoted(view)}) AS __t ON {same}"


def _narrowed(rows: pa.Table) -> pa.Table:
    """DuckDB's 128-bit sums of integers as the BIGINT they are in Spark, where they fit."""
    for position, field in enumerate(rows.schema):
        if field.type == _HUGEINT:
            with suppress(pa.ArrowInvalid):
                rows = rows.set_column(position, field.name, rows.column(position).cast(pa.int64()))
    return rows


_HUGEINT = pa.decimal128(38, 0)


class _GuardedStream:
    """Arrow streams of one schema, one after the other, that remember why they broke."""

    def __init__(self, sources: Iterator[pa.RecordBatchReader]) -> None:
        self.failure: BaseException | None = None
        first = next(sources)
        self.reader = pa.RecordBatchReader.from_batches(first.schema, self._batches(chain((first,), sources)))

    def _batches(self, sources: Iterator[pa.RecordBatchReader]) -> Iterator[pa.RecordBatch]:
        try:
            for source in sources:
                yield from source
        except Exception as failure:
            self.failure = failure
            raise
