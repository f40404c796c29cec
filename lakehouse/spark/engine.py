"""The Spark implementation of lakehouse.engine.Engine."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from pyspark.sql import SparkSession

from lakehouse.dataset import Dataset
from lakehouse.engine import Fence, check_retention
from lakehouse.paths import table_path
from lakehouse.properties import file_bytes
from lakehouse.scratch import own_scratch, remove_leftovers
from lakehouse.spark import commit as delta
from lakehouse.spark.edge import SPARK_FAILURES, quoted, raised_by
from lakehouse.spark.footers import silent_footers
from lakehouse.spark.launch import silence_values
from lakehouse.spark.session import SparkSessionOfWork
from lakehouse.spark.transaction import Transaction, delta_log

_OPTIMIZED_BYTES = "spark.databricks.delta.optimize.maxFileSize"
"""Size of the files that OPTIMIZE writes."""

_LISTING_TASKS = "spark.sql.sources.parallelPartitionDiscovery.parallelism"
"""In how many tasks a vacuum lists a table's folders: 10,000 unless said otherwise."""


class SparkEngine:
    """Spark with Delta over a lake folder (see ``launch``). Driver and executors see ``lake`` and ``scratch`` alike."""

    name = "spark"

    def __init__(self, lake: Path, spark: SparkSession, scratch: Path) -> None:
        self._lake = lake
        self._spark = spark
        self._scratch = scratch
        remove_leftovers(scratch)
        silence_values(spark)

    @contextmanager
    def session(self, as_of: date) -> Iterator[SparkSessionOfWork]:
        session = SparkSessionOfWork(self._spark.newSession(), self._lake, own_scratch(self._scratch), as_of)
        try:
            yield session
        finally:
            session.close()

    def version(self, table: str) -> int | None:
        path = self._existing(table)
        return None if path is None else int(delta_log(self._spark, path).snapshot().version())

    def batch(self, table: str, flow: str) -> int:
        path = self._existing(table)
        return 0 if path is None else Transaction(self._spark, path).last(flow)

    def pieces(self, reads: Mapping[str, Collection[str]]) -> int:  # noqa: ARG002 - the port's signature
        return 1  # Spark spills what does not fit, and grows by executors

    def create(self, target: Dataset, fence: Fence) -> int:
        return delta.create_table(self._spark, table_path(self._lake, target.name), target, fence)

    def claim(self, table: str, fence: Fence) -> None:
        if (path := self._existing(table)) is not None:
            delta.claim_table(self._spark, path, fence)

    def maintain(self, target: Dataset, fence: Fence) -> None:
        path = self._existing(target.name)
        if path is None:
            return
        transaction = Transaction(self._spark, path)
        delta.guard(transaction, fence)
        order = f" ZORDER BY ({', '.join(map(quoted, target.cluster_by))})" if target.cluster_by else ""
        size = file_bytes(target)
        is_small = sum(file.size() < size // 2 for file in transaction.files()) > 1
        try:
            if is_small:
                self._spark.conf.set(_OPTIMIZED_BYTES, size)
                with silent_footers(self._spark, target):
                    self._spark.sql(f"OPTIMIZE delta.{quoted(str(path.absolute()))}{order}")
            delta_log(self._spark, path).checkpoint()
        except SPARK_FAILURES as failure:
            raise raised_by(failure) from None

    def vacuum(self, table: str, fence: Fence, retention_hours: int) -> int:
        check_retention(retention_hours)
        path = self._existing(table)
        if path is None:
            return 0
        delta.guard(Transaction(self._spark, path), fence)
        before = _data_files(path)
        self._spark.conf.set(_LISTING_TASKS, self._spark.sparkContext.defaultParallelism)
        try:
            self._spark.sql(f"VACUUM delta.{quoted(str(path.absolute()))} RETAIN {int(retention_hours)} HOURS")
        except SPARK_FAILURES as failure:
            raise raised_by(failure) from None
        finally:
            self._spark.conf.unset(_LISTING_TASKS)
        return before - _data_files(path)

    def _existing(self, table: str) -> Path | None:
        """The table's folder; None where there is no Delta log, so that asking creates nothing."""
        path = table_path(self._lake, table)
        return path if any((path / "_delta_log").glob("*.json")) else None


def _data_files(path: Path) -> int:
    return sum(1 for file in path.rglob("*.parquet") if "_delta_log" not in file.parts)
