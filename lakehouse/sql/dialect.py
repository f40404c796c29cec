"""Spark SQL to DuckDB: sqlglot's translation plus the corrections it needs, each with a name."""

from __future__ import annotations

from functools import lru_cache

import duckdb
from sqlglot.dialects.duckdb import DuckDB

from lakehouse.sql.language import tree_of


@lru_cache(maxsize=2048)
def to_duckdb(sql: str) -> str:
    """DuckDB SQL with the meaning of a Spark SQL query; ``:as_of`` becomes ``$as_of``. Raises UnsupportedSql.

    It runs on connections prepared by `install`.
    """
    return tree_of(sql).sql(dialect=DuckDB, unsupported_level=None)


def install(connection: duckdb.DuckDBPyConnection) -> None:
    """Prepare a connection for `to_duckdb`: UTC and the macros of the corrections."""
    connection.execute("SET TimeZone = 'UTC'")
