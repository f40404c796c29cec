"""Keeps minima and maxima of personal columns out of the footers of Parquet files that Spark writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from pyspark.sql import SparkSession

from lakehouse.dataset import Dataset


@contextmanager
def silent_footers(spark: SparkSession, target: Dataset) -> Iterator[None]:
    """Files written within have no statistics of the dataset's personal columns in their footers."""
    leaves = [
        leaf for column in target.columns if column.is_pii for leaf in _leaves(column.name, column.data_type.arrow)
    ]
    keys = [f"parquet.column.statistics.enabled#{leaf}" for leaf in leaves]
    for key in keys:
        spark.conf.set(key, "false")
    try:
        yield
    finally:
        for key in keys:
            spark.conf.unset(key)


def _leaves(name: str, arrow: pa.DataType) -> list[str]:
    if pa.types.is_struct(arrow):
        members = [arrow.field(position) for position in range(arrow.num_fields)]
        return [leaf for member in members for leaf in _leaves(f"{name}.{member.name}", member.type)]
    if pa.types.is_list(arrow):
        return _leaves(f"{name}.list.element", arrow.value_type)
    return [name]
