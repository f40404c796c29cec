"""One function builds every scan from a Delta snapshot: its files, its schema, its partitions, and a refusal of what it
cannot read. DuckDB never guesses from paths or from the first file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

from lakehouse.engine import UnreadableTable

READABLE_FEATURES = frozenset({"timestampNtz", "vacuumProtocolCheck"})
"""Delta reader features that do not change what a data file's rows mean to a plain Parquet reader."""

_KEPT = 256
"""How many scans a process keeps before it begins anew."""


class Scans:
    """Scans by snapshot, each made once: the views of a run read the same ones again and again, and to load a snapshot and look at its
    files' schemas takes longer than many a query."""

    def __init__(self) -> None:
        self._made: dict[tuple[Path, int, int, int], str] = {}

    def sql(self, connection: duckdb.DuckDBPyConnection, path: Path, version: int) -> str:
        """`scan_sql` of a table's version."""
        try:
            commit = (path / "_delta_log" / f"{version:020}.json").stat()
        except FileNotFoundError:
            # cleaned up behind a checkpoint: nothing tells this table from one made later in its place
            return scan_sql(connection, DeltaTable(path, version=version))
        snapshot = (path, version, commit.st_ino, commit.st_mtime_ns)
        if (sql := self._made.get(snapshot)) is None:
            sql = scan_sql(connection, DeltaTable(path, version=version))
            if len(self._made) >= _KEPT:
                self._made.clear()
            self._made[snapshot] = sql
        return sql


def scan_sql(connection: duckdb.DuckDBPyConnection, table: DeltaTable) -> str:
    """DuckDB SQL that reads exactly the rows of a loaded snapshot, with its columns in the table's order and types.

    Raises UnreadableTable, naming the feature, for deletion vectors, column mapping and unknown reader features.
    """
    _refuse_unreadable(table)
    fields = {field.name: _duckdb_type(field.type) for field in pa.schema(table.schema()).__iter__()}
    partition_columns = table.metadata().partition_columns
    groups = _files_by_partition(table, partition_columns)
    if not groups:
        empty = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in fields.items())
        return f"SELECT {empty} WHERE false"
    return " UNION ALL ".join(
        _read_files(connection, files, fields, dict(zip(partition_columns, values, strict=True)))
        for values, files in groups.items()
    )


def stored_size(connection: duckdb.DuckDBPyConnection, table: DeltaTable, columns: Collection[str]) -> tuple[int, int]:
    """(bytes, rows): what these columns take in a snapshot's data files, by the files' footers, and how many rows there are."""
    files = table.file_uris()
    if not files:
        return 0, 0
    listed = ", ".join(map(literal, files))
    read = ", ".join(map(literal, columns)) or "''"
    found = connection.execute(
        f"""
        SELECT (
          SELECT coalesce(sum(total_compressed_size), 0) FROM parquet_metadata([{listed}])
          WHERE split_part(path_in_schema, ', ', 1) IN ({read})
        ), (SELECT sum(num_rows) FROM parquet_file_metadata([{listed}]))
        """
    ).fetchone()
    assert found is not None  # noqa: S101 - one row by its form, for the type checker
    return int(found[0]), int(found[1])


def quoted(name: str) -> str:
    """A DuckDB identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A DuckDB string literal."""
    return "'" + value.replace("'", "''") + "'"


def _refuse_unreadable(table: DeltaTable) -> None:
    protocol = table.protocol()
    unknown = set(protocol.reader_features or ()) - READABLE_FEATURES
    if "deletionVectors" in unknown and not _has_deletion_vectors(table):
        unknown.discard("deletionVectors")
    if protocol.min_reader_version == 2 or unknown:  # noqa: PLR2004 - reader version 2 is column mapping
        names = ", ".join(sorted(unknown)) or "columnMapping"
        raise UnreadableTable(
            f"the table needs Delta reader feature {names}, which the embedded engine does not read; use the Spark engine"
        )


def _has_deletion_vectors(table: DeltaTable) -> bool:
    return bool(pa.table(table.deletion_vectors()).num_rows)


def _files_by_partition(table: DeltaTable, partition_columns: list[str]) -> dict[tuple[Any, ...], list[str]]:
    uris = table.file_uris()
    if not partition_columns:
        return {(): uris} if uris else {}
    groups: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    root = table.table_uri.rstrip("/")
    for action in pa.table(table.get_add_actions(flatten=True)).to_pylist():
        values = tuple(action[f"partition.{name}"] for name in partition_columns)
        groups[values].append(f"{root}/{action['path']}")
    return dict(groups)


def _read_files(
    connection: duckdb.DuckDBPyConnection, files: list[str], fields: dict[str, str], partition: dict[str, Any]
) -> str:
    listed = ", ".join(literal(file) for file in files)
    source = f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
    stored = {row[0]: row[1] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
    columns = ", ".join(_column(name, kind, stored, partition) for name, kind in fields.items())
    return f"SELECT {columns} FROM {source}"


def _column(name: str, kind: str, stored: dict[str, str], partition: dict[str, Any]) -> str:
    if name in partition:
        value = partition[name]
        text = "NULL" if value is None else literal(str(value))
        return f"CAST({text} AS {kind}) AS {quoted(name)}"
    if name not in stored:
        return f"CAST(NULL AS {kind}) AS {quoted(name)}"
    if stored[name] == kind:
        return quoted(name)
    return f"CAST({quoted(name)} AS {kind}) AS {quoted(name)}"


def _duckdb_type(arrow: pa.DataType) -> str:
    if pa.types.is_struct(arrow):
        members = [arrow.field(position) for position in range(arrow.num_fields)]
        return "STRUCT(" + ", ".join(f"{quoted(member.name)} {_duckdb_type(member.type)}" for member in members) + ")"
    if pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
        return _duckdb_type(arrow.value_type) + "[]"
    if pa.types.is_map(arrow):
        return f"MAP({_duckdb_type(arrow.key_type)}, {_duckdb_type(arrow.item_type)})"
    return _duckdb_scalar(arrow)


def _duckdb_scalar(arrow: pa.DataType) -> str:
    if pa.types.is_decimal(arrow):
        return f"DECIMAL({arrow.precision},{arrow.scale})"
    if pa.types.is_timestamp(arrow):
        return "TIMESTAMP WITH TIME ZONE" if arrow.tz else "TIMESTAMP"
    if pa.types.is_string(arrow) or pa.types.is_large_string(arrow) or pa.types.is_string_view(arrow):
        return "VARCHAR"
    if arrow in _SCALARS:
        return _SCALARS[arrow]
    raise UnreadableTable(f"the table has a column of type {arrow}, which the embedded engine does not read")


_SCALARS = {
    pa.bool_(): "BOOLEAN",
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.date32(): "DATE",
    pa.binary(): "BLOB",
    pa.large_binary(): "BLOB",
    pa.binary_view(): "BLOB",
}
