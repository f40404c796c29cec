"""One unit of work on Spark: pinned snapshots as temporary views of a Spark session of its own, results as Arrow."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import StorageLevel
from pyspark.sql import DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F

from lakehouse.dataset import Dataset
from lakehouse.days import Days
from lakehouse.engine import CHANGE, CHANGE_TYPE, Commit, Committed, DuplicateKey, Restriction
from lakehouse.paths import table_path
from lakehouse.properties import arrow_schema
from lakehouse.spark import commit as delta
from lakehouse.spark.edge import SPARK_FAILURES, declared_rows, declared_spelling, quoted, raised_by
from lakehouse.spark.footers import silent_footers
from lakehouse.sql.language import parse, parse_expression

_SETTINGS = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    # Delta 4.4's parser knows only the older way of binding :as_of
    "spark.sql.legacy.parameterSubstitution.constantsOnly": "true",
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}
Write = Callable[[SparkSession, Path, Dataset, DataFrame, Commit], Committed]


class SparkSessionOfWork:
    """See lakehouse.engine.Session. Materialized rows are kept by Spark's cache, which spills to its executors' disks.

    ``spark`` must be this session's alone (``newSession``): views and settings are its own, and queries name views as they are.
    ``scratch`` must be visible to driver and executors.
    """

    def __init__(self, spark: SparkSession, lake: Path, scratch: Path, as_of: date) -> None:
        self._spark = spark
        self._lake = lake
        self._scratch = scratch / uuid.uuid4().hex
        self._as_of = as_of
        self._kept: list[DataFrame] = []
        self._views: set[str] = set()
        for key, value in _SETTINGS.items():
            spark.conf.set(key, value)

    def close(self) -> None:
        """Forget views and kept rows, and remove what lies in the scratch folder."""
        for rows in self._kept:
            rows.unpersist()
        for view in self._views:
            self._spark.catalog.dropTempView(view)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def bind(self, view: str, table: str, version: int, restriction: Restriction | None = None) -> None:
        with _failures():
            rows = self._delta().option("versionAsOf", version).load(self._path(table))
            if restriction is not None and restriction.columns:
                rows = rows.select(*map(quoted, restriction.columns))
            conditions = _conditions(restriction) if restriction is not None else []
            if conditions:
                whole = f"{view}__whole"
                self._show(whole, rows)
                rows = self._run(f"SELECT * FROM {quoted(whole)} WHERE {' AND '.join(conditions)}")
            self._show(view, rows)

    def bind_changes(self, view: str, table: str, after: int, upto: int, columns: Sequence[str]) -> None:
        with _failures():
            if after < upto:
                feed = self._delta().option("readChangeFeed", "true")
                rows = feed.option("startingVersion", after + 1).option("endingVersion", upto).load(self._path(table))
            else:
                table_rows = self._delta().option("versionAsOf", upto).load(self._path(table))
                rows = table_rows.where("false").withColumn(CHANGE_TYPE, F.lit(""))
            self._keep(view, rows.select(*map(quoted, columns)).distinct())

    def bind_empty(self, view: str, dataset: Dataset) -> None:
        self.load(view, arrow_schema(dataset).empty_table())

    def load(self, view: str, rows: pa.Table | pa.RecordBatchReader) -> None:
        with _failures():
            self._show(view, self._stored(rows))

    def define(self, view: str, sql: str) -> None:
        with _failures():
            self._show(view, self._query(sql))

    def materialize(self, view: str, sql: str) -> int:
        with _failures():
            return self._keep(view, self._query(sql))

    def extend(self, view: str, sql: str) -> int:
        with _failures():
            before = self._spark.table(quoted(view))
            added = self._persisted(self._query(sql))
            self._show(view, before.unionByName(added))
            return added.count()

    def fetch(self, sql: str, limit: int | None = None, *, lenient: bool = False) -> pa.Table:
        with _failures():
            rows = self._run(sql) if lenient else self._query(sql)
            return (rows if limit is None else rows.limit(limit)).toArrow()

    def columns(self, view: str) -> Mapping[str, str]:
        with _failures():
            fields = self._spark.table(quoted(view)).schema.fields
        return {field.name: declared_spelling(field.dataType) for field in fields}

    def append(self, target: Dataset, sql: str | Sequence[str], commit: Commit) -> Committed:
        rows = sql if isinstance(sql, str) else " UNION ALL ".join(sql)
        return self._write(target, rows, commit, delta.append)

    def merge(self, target: Dataset, sql: str, commit: Commit, days: Sequence[Days] = ()) -> Committed:
        return self._write(target, sql, commit, partial(delta.merge, days=days), extra=(CHANGE,))

    def replace(self, target: Dataset, sql: str, commit: Commit) -> Committed:
        return self._write(target, sql, commit, delta.replace)

    def append_rows(self, target: Dataset, rows: pa.RecordBatchReader, commit: Commit) -> Committed:
        with _failures():
            arrived = self._stored(rows)
        return self._commit(target, declared_rows(target, arrived), commit, delta.append)

    def _write(self, target: Dataset, sql: str, commit: Commit, write: Write, extra: tuple[str, ...] = ()) -> Committed:
        with _failures():
            # kept: the checks, the search for touched files and the write must all see the same rows
            rows = declared_rows(target, self._query(sql), extra).persist(StorageLevel.MEMORY_AND_DISK)
        try:
            with _failures():
                _compute(target, rows)
            return self._commit(target, rows, commit, write)
        finally:
            rows.unpersist()

    def _commit(self, target: Dataset, rows: DataFrame, commit: Commit, write: Write) -> Committed:
        with _failures(), silent_footers(self._spark, target):
            return write(self._spark, table_path(self._lake, target.name), target, rows, commit)

    def _query(self, sql: str) -> DataFrame:
        """A query of the language; what the language refuses is refused here too, or one engine would run what the other does not."""
        return self._run(parse(sql).text)

    def _run(self, sql: str) -> DataFrame:
        return self._spark.sql(sql, args={"as_of": self._as_of})

    def _show(self, view: str, rows: DataFrame) -> None:
        rows.createOrReplaceTempView(quoted(view))
        self._views.add(view)

    def _keep(self, view: str, rows: DataFrame) -> int:
        kept = self._persisted(rows)
        self._show(view, kept)
        return kept.count()

    def _persisted(self, rows: DataFrame) -> DataFrame:
        kept = rows.persist(StorageLevel.MEMORY_AND_DISK)
        self._kept.append(kept)
        return kept

    def _stored(self, rows: pa.Table | pa.RecordBatchReader) -> DataFrame:
        """Arrow rows by way of a Parquet file, so that neither Python nor the driver ever holds them all."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        file = self._scratch / f"{uuid.uuid4().hex}.parquet"
        with pq.ParquetWriter(file, rows.schema) as writer:
            for batch in rows.to_batches() if isinstance(rows, pa.Table) else rows:
                writer.write_batch(batch)
        return self._spark.read.parquet(file.as_uri())

    def _delta(self) -> DataFrameReader:
        return self._spark.read.format("delta")

    def _path(self, table: str) -> str:
        return str(table_path(self._lake, table).absolute())


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except SPARK_FAILURES as failure:
        raise raised_by(failure) from None


def _conditions(restriction: Restriction) -> list[str]:
    keys = [parse_expression(key).text for key in restriction.key]
    conditions = []
    if restriction.touched is not None:
        pairs = " AND ".join(f"__t.k{position} <=> ({key})" for position, key in enumerate(keys))
        conditions.append(f"EXISTS (SELECT 1 FROM {quoted(restriction.touched)} AS __t WHERE {pairs})")
    if restriction.buckets > 1:
        conditions.append(f"pmod(hash({', '.join(keys)}), {restriction.buckets}) = {restriction.bucket}")
    return conditions


def _compute(target: Dataset, rows: DataFrame) -> None:
    """Compute persisted rows whole, before a table is touched: a value that does not fit fails here, and so does a key that
    stands twice."""
    counted = rows.groupBy(*target.keys).count().where("count > 1").count() if target.keys else rows.count()
    if target.keys and counted:
        raise DuplicateKey(f"{target.name}: the query yields {counted} keys ({', '.join(target.keys)}) more than once")
