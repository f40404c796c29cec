"""What every step of the hand-written build uses: one DuckDB connection, and tables written to Delta."""

from __future__ import annotations

from pathlib import Path

import duckdb
from deltalake import DeltaTable, WriterProperties, write_deltalake

_ROWS_PER_BATCH = 65_536
_CONFIGURATION = {"delta.enableChangeDataFeed": "true"}
_PARQUET = WriterProperties(compression="ZSTD", compression_level=1)


def connect(memory_limit_mb: int = 2048) -> duckdb.DuckDBPyConnection:
    """A database in memory; the limit is the one that our engine has by default."""
    connection = duckdb.connect(config={"memory_limit": f"{memory_limit_mb}MiB"})
    connection.execute("SET TimeZone = 'UTC'")
    for layer in ("reference", "bronze", "silver", "gold"):
        connection.execute(f"CREATE SCHEMA {layer}")
    return connection


def write(connection: duckdb.DuckDBPyConnection, lake: Path, name: str, query: str) -> None:
    """Stream a query's rows into the Delta table ``layer.noun``; from then on the name stands for the files written."""
    layer, noun = name.split(".")
    rows = connection.execute(query).to_arrow_reader(_ROWS_PER_BATCH)
    write_deltalake(lake / layer / noun, rows, configuration=_CONFIGURATION, writer_properties=_PARQUET)
    files = DeltaTable(lake / layer / noun).file_uris()
    connection.execute(f"CREATE VIEW {name} AS FROM read_parquet({files})")
