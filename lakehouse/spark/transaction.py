"""One Delta transaction of Spark: a snapshot, and the one commit made from it.

Delta's public statements (``MERGE``, DataFrame writes) read their snapshot when they run and carry one application id at the
most: between our check of the fence and their start, a lease could go to another writer unnoticed. Hence its
``OptimisticTransaction`` itself, which Delta's statements are made of: the fence and the batch are checked on the very snapshot
that the commit is made from, and because both application ids count as read, any commit that moved either of them in between
makes this one fail.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession

from kit.errors import Fault
from lakehouse.engine import CommitConflict

_DELTA = "org.apache.spark.sql.delta"
_USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
_METRICS = "spark.databricks.delta.history.metricsEnabled"  # Delta's own statements count their rows; here nothing does


class FailedCommit(Fault):
    """Delta did not take a commit for a reason that recomputing does not cure; the message names Delta's error."""

    code = "lakehouse.failed_commit"


class Transaction:
    """Opened on the newest version of ``path``; ``version`` is -1 where there is no table yet."""

    def __init__(self, spark: SparkSession, path: Path) -> None:
        self._spark = spark
        # internals of Scala have no types here: `Any` stops at this class
        self._jvm: Any = spark._jvm
        self._activate()
        self._log: Any = delta_log(spark, path)
        self._txn: Any = self._log.startTransaction(self._none(), self._none())

    @property
    def version(self) -> int:
        return int(self._txn.readVersion())

    @property
    def properties(self) -> dict[str, str]:
        return {pair._1(): pair._2() for pair in _items(self._txn.metadata().configuration())}

    @property
    def schema_json(self) -> str:
        return str(self._txn.metadata().schemaString())

    def last(self, application: str) -> int:
        """The application's transaction version in this snapshot, 0 for none; a commit that moves it makes this one fail."""
        return max(0, int(self._txn.txnVersion(application)))

    def describe(self, schema_json: str, properties: Mapping[str, str], *, name: str, comment: str) -> None:
        """Make the schema and properties part of the commit; on a new table, with name and comment."""
        now = self._txn.metadata()
        arguments = (schema_json, now.partitionColumns(), self._scala_map(properties), now.createdTime())
        if self.version >= 0:
            self._txn.updateMetadata(now.copy(now.id(), now.name(), now.description(), now.format(), *arguments), False)
        else:
            self._txn.updateMetadataForNewTable(now.copy(now.id(), name, comment, now.format(), *arguments))

    def files(self) -> list[Any]:
        """The data files of the snapshot, all counted as read."""
        return list(_items(self._txn.filterFiles()))

    def read(self, files: Iterable[Any]) -> DataFrame:
        """The rows of some of its files."""
        scanned = self._log.createDataFrame(self._txn.snapshot(), self._scala_seq(files), False, self._none())
        return DataFrame(scanned, self._spark)

    def write(self, rows: DataFrame) -> list[Any]:
        """Write data files (a column ``_change_type`` sends rows to the change feed); returns the actions that add them."""
        self._activate()
        return list(_items(self._txn.writeFiles(rows._jdf)))

    def commit(
        self, actions: Iterable[Any], applications: Mapping[str, int], operation: str, info: Mapping[str, str]
    ) -> int:
        """Commit; returns the version. ``info`` is the commit's user metadata. Raises CommitConflict."""
        self._activate()
        marks = [
            self._new("actions.SetTransaction", name, version, self._none()) for name, version in applications.items()
        ]
        settings = {_USER_METADATA: json.dumps(dict(info), sort_keys=True), _METRICS: "false"}
        for key, value in settings.items():
            self._spark.conf.set(key, value)
        try:
            return int(self._txn.commit(self._scala_seq([*actions, *marks]), self._operation(operation)))
        except Py4JJavaError as failure:
            if _is_conflict(failure.java_exception):
                raise CommitConflict("another writer committed first; the batch is computed again") from None
            raise FailedCommit(f"Delta refused the commit: {failure.java_exception.getClass().getName()}") from None
        finally:
            for key in settings:
                self._spark.conf.unset(key)

    def _activate(self) -> None:
        """Delta takes settings from the thread's active session, which another transaction of the thread may have changed."""
        self._jvm.org.apache.spark.sql.classic.SparkSession.setActiveSession(self._spark._jsparkSession)

    def _operation(self, name: str) -> Any:
        """What the table's history calls the commit; without predicates, which could hold values."""
        none, nothing = self._none(), self._scala_seq([])
        if name == "Merge":
            return self._new("DeltaOperations$Merge", none, none, none, none, nothing, nothing, nothing)
        if name == "CreateTable":
            return self._new("DeltaOperations$CreateTable", self._txn.metadata(), False, False, none)
        if name == "SetTableProperties":
            return self._new("DeltaOperations$SetTableProperties", self._scala_map(self.properties))
        mode = getattr(self._jvm.org.apache.spark.sql.SaveMode, name)
        return self._new("DeltaOperations$Write", mode, *[none] * 8)

    def _new(self, name: str, *arguments: Any) -> Any:
        return getattr(self._jvm, f"{_DELTA}.{name}")(*arguments)

    def _none(self) -> Any:
        return self._jvm.scala.Option.empty()

    def _scala_seq(self, items: Iterable[Any]) -> Any:
        listed = self._jvm.java.util.ArrayList()
        for item in items:
            listed.add(item)
        return self._jvm.org.apache.spark.api.python.PythonUtils.toSeq(listed)

    def _scala_map(self, items: Mapping[str, str]) -> Any:
        mapped = self._jvm.java.util.HashMap()
        for key, value in items.items():
            mapped.put(key, value)
        return self._jvm.org.apache.spark.api.python.PythonUtils.toScalaMap(mapped)


def delta_log(spark: SparkSession, path: Path) -> Any:
    """Delta's handle of a table, brought up to date."""
    jvm: Any = spark._jvm
    log = getattr(jvm, f"{_DELTA}.DeltaLog").forTable(spark._jsparkSession, str(path.absolute()))
    log.update(False, jvm.scala.Option.empty(), jvm.scala.Option.empty())
    return log


def _items(scala_collection: Any) -> Iterable[Any]:
    iterator = scala_collection.iterator()
    while iterator.hasNext():
        yield iterator.next()


def _is_conflict(failure: Any) -> bool:
    kind = failure.getClass()
    while kind is not None:
        if kind.getName() == "java.util.ConcurrentModificationException":
            return True
        kind = kind.getSuperclass()
    return False
