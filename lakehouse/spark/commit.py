"""The commit protocol on Spark: the same checks, application ids and properties as `lakehouse.embedded.commit`.

Open a transaction, check the lease, check on its snapshot that no higher fence and not this batch is in it already, and commit
from it with both transaction ids; a conflict goes to the caller, who recomputes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from kit.faults import boundary
from lakehouse.dataset import Dataset
from lakehouse.days import Days, within_sql
from lakehouse.engine import CHANGE, FENCE_APP_ID, Commit, CommitConflict, Committed, Fence, SchemaDrift, StaleFence
from lakehouse.properties import FENCE_PROPERTY, delta_schema_json, table_properties
from lakehouse.spark.edge import quoted
from lakehouse.spark.transaction import Transaction

Write = Callable[[Transaction], list[Any]]


def create_table(spark: SparkSession, path: Path, target: Dataset, fence: Fence) -> int:
    """The table as declared: created, or given the columns and properties its declaration has gained; returns the version.

    Raises SchemaDrift where a column changed its type or is gone from the declaration.
    """
    return _declared(spark, path, target, fence).version


def claim_table(spark: SparkSession, path: Path, fence: Fence) -> None:
    """A commit of metadata: every transaction that is open on the table, on either engine, fails against it."""
    while (transaction := Transaction(spark, path)).version >= 0 and fence_of(transaction) < fence.token:
        fence.check()
        properties = transaction.properties | {FENCE_PROPERTY: str(fence.token)}
        transaction.describe(transaction.schema_json, properties, name="", comment="")
        try:
            transaction.commit([], {FENCE_APP_ID: fence.token}, "SetTableProperties", {})
        except CommitConflict:
            continue  # another commit came first: look again


def append(spark: SparkSession, path: Path, target: Dataset, rows: DataFrame, commit: Commit) -> Committed:
    """Add rows."""
    return _commit(
        spark, path, target, commit, "Append", lambda transaction: transaction.write(_clustered(target, rows))
    )


def replace(spark: SparkSession, path: Path, target: Dataset, rows: DataFrame, commit: Commit) -> Committed:
    """Put rows in place of all that the table holds."""

    def write(transaction: Transaction) -> list[Any]:
        removed = [file.remove() for file in transaction.files()]
        return [*transaction.write(_clustered(target, rows)), *removed]

    return _commit(spark, path, target, commit, "Overwrite", write)


def merge(
    spark: SparkSession, path: Path, target: Dataset, rows: DataFrame, commit: Commit, days: Sequence[Days] = ()
) -> Committed:
    """Apply whole-row upserts and deletes by the declared keys; ``rows`` are read twice and hold a key once."""

    def write(transaction: Transaction) -> list[Any]:
        touched = _touched_files(transaction, target, rows, days)
        changed = _merged(target, transaction.read(touched), rows)
        return [*transaction.write(changed), *(file.remove() for file in touched)]

    return _commit(spark, path, target, commit, "Merge", write)


def fence_of(transaction: Transaction) -> int:
    """The highest fencing token that has reached the table, by a commit or by a takeover."""
    return max(int(transaction.properties.get(FENCE_PROPERTY, "0")), transaction.last(FENCE_APP_ID))


def guard(transaction: Transaction, fence: Fence) -> None:
    """Raise StaleFence unless the lease holds and the snapshot knows no newer one."""
    fence.check()
    if (reached := fence_of(transaction)) > fence.token:
        raise StaleFence(f"a writer with a newer lease ({reached}) has the table; this one holds {fence.token}")


def _commit(
    spark: SparkSession, path: Path, target: Dataset, commit: Commit, operation: str, write: Write
) -> Committed:
    transaction = _declared(spark, path, target, commit.fence)
    if transaction.last(commit.flow) >= commit.batch:
        return Committed(transaction.version, written=False)
    boundary("commit.fence_checked")
    applications = {FENCE_APP_ID: commit.fence.token, commit.flow: commit.batch}
    info = {**commit.info, "flow": commit.flow, "batch": str(commit.batch), "fence": str(commit.fence.token)}
    actions = write(transaction)
    try:
        version = transaction.commit(actions, applications, operation, info)
    except CommitConflict as conflict:
        commit.fence.check()
        raise CommitConflict(f"{target.name}: {conflict.message}") from None
    boundary("commit.written")
    return Committed(version, written=True)


def _declared(spark: SparkSession, path: Path, target: Dataset, fence: Fence) -> Transaction:
    """A transaction, guarded, on a table that is as declared."""
    while True:
        transaction = Transaction(spark, path)
        guard(transaction, fence)
        exists, known = transaction.version >= 0, transaction.properties
        schema = _evolved_schema(target, transaction.schema_json) if exists else delta_schema_json(target)
        properties = known | table_properties(target)
        if exists and schema == transaction.schema_json and properties == known:
            return transaction
        transaction.describe(schema, properties, name=target.name, comment=target.comment)
        transaction.commit([], {FENCE_APP_ID: fence.token}, "SetTableProperties" if exists else "CreateTable", {})


def _touched_files(transaction: Transaction, target: Dataset, rows: DataFrame, days: Sequence[Days]) -> list[Any]:
    files = {_file_name(file.path()): file for file in transaction.files()}
    if not files:
        return []
    found = transaction.read(files.values()).alias("t").where(within_sql(target, days, "`") or "true")
    stored = found.select(*target.keys, F.input_file_name().alias("__file"))
    matched = stored.join(rows.select(*target.keys), list(target.keys), "left_semi").select("__file").distinct()
    return [files[_file_name(row[0])] for row in matched.collect()]


def _merged(target: Dataset, stored: DataFrame, rows: DataFrame) -> DataFrame:
    """What replaces the touched files (``_change_type`` is NULL) and what goes to the change feed."""
    old = (
        "named_struct("
        + ", ".join(f"'{name}', t.{quoted(name)}" for name in target.column_names)
        + ", '_change_type', {})"
    )
    new = old.replace(" t.", " s.")
    nothing = "CAST(NULL AS STRING)"
    joined = (
        stored.select(F.lit(True).alias("__stored"), "*")
        .alias("t")
        .join(
            rows.alias("s"),
            F.expr(" AND ".join(f"t.{quoted(key)} = s.{quoted(key)}" for key in target.keys)),
            "full_outer",
        )
    )
    images = f"""
        CASE WHEN s.{CHANGE} IS NULL THEN array({old.format(nothing)})
             WHEN t.__stored AND s.{CHANGE} = 'delete' THEN array({old.format("'delete'")})
             WHEN t.__stored THEN array({new.format(nothing)}, {old.format("'update_preimage'")}, {new.format("'update_postimage'")})
             WHEN s.{CHANGE} <> 'delete' THEN array({new.format(nothing)}, {new.format("'insert'")}) END"""
    return joined.selectExpr(f"inline({images})")


def _clustered(target: Dataset, rows: DataFrame) -> DataFrame:
    return rows.orderBy(*target.cluster_by) if target.cluster_by else rows


def _file_name(path: str) -> str:
    """Data files carry a UUID in their names: the last part alone tells them apart, whatever the path's spelling."""
    return path.rpartition("/")[2]


def _evolved_schema(target: Dataset, stored_json: str) -> str:
    stored = json.loads(stored_json)
    declared = {field["name"]: field for field in json.loads(delta_schema_json(target))["fields"]}
    for field in stored["fields"]:
        name = field["name"]
        if name not in declared:
            raise SchemaDrift(
                f"{target.name}: the table has column {name}, its declaration has not; run it with --full-refresh"
            )
        if field["type"] != declared[name]["type"]:
            raise SchemaDrift(
                f"{target.name}.{name} is declared with another type than the table has; run it with --full-refresh"
            )
    present = {field["name"] for field in stored["fields"]}
    gained = [field for name, field in declared.items() if name not in present]
    return json.dumps({**stored, "fields": [*stored["fields"], *gained]}) if gained else stored_json
