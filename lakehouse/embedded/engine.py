"""The embedded implementation of lakehouse.engine.Engine."""

from __future__ import annotations

import math
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import duckdb

from lakehouse.allocators import DUCKDB_SETTINGS, configure_arrow, give_back
from lakehouse.dataset import Dataset
from lakehouse.embedded import commit as delta
from lakehouse.embedded import maintenance
from lakehouse.embedded.scan import Scans, stored_size
from lakehouse.embedded.session import EmbeddedSession
from lakehouse.engine import Fence
from lakehouse.paths import table_path
from lakehouse.scratch import own_scratch, remove_leftovers
from lakehouse.sql.dialect import install

_EXPANSION = 12
"""Memory that one byte of Parquet may need on its way through windows and joins: about 6 as columns, and as much again for
the operators. Measured on web events (bench/memory.py)."""

_ROW_BYTES = 16
"""And what each row needs besides: its place in a hash table, however well its columns are compressed."""

_OVERCOMMIT = 1.5
"""How many times the limit a piece may need: DuckDB spills a little in less time than the input takes to be cut into more pieces.
Not everything can be spilled, so no piece may need more (ADR 0005)."""

_BESIDE_MB = 512
"""What delta-rs, the rows on their way to it and freed memory on its way back take beside DuckDB, which knows nothing of them; half
of a small limit."""


class EmbeddedEngine:
    """DuckDB and delta-rs over a lake folder. ``scratch`` takes what does not fit ``memory_limit_mb``."""

    name = "embedded"

    def __init__(self, lake: Path, *, scratch: Path, memory_limit_mb: int = 2048, threads: int = 0) -> None:
        self._lake = lake
        self._scratch = scratch
        self._duckdb_mb = max(memory_limit_mb - _BESIDE_MB, memory_limit_mb // 2)
        self._threads = threads
        self._lock = threading.Lock()
        self._database: duckdb.DuckDBPyConnection | None = None
        self._scans = Scans()
        remove_leftovers(scratch)
        configure_arrow()

    @contextmanager
    def session(self, as_of: date) -> Iterator[EmbeddedSession]:
        session = EmbeddedSession(self._lake, own_scratch(self._scratch), self._connection(), self._scans, as_of)
        try:
            yield session
        finally:
            session.close()
            give_back()

    def _connection(self) -> duckdb.DuckDBPyConnection:
        """A connection to the one database of all sessions: to open one and to define the macros takes longer than many a
        query. One that a fatal error has put out of use is replaced."""
        with self._lock:
            if self._database is None or not _is_usable(self._database):
                self._database = self._open()
            return self._database.cursor()

    def _open(self) -> duckdb.DuckDBPyConnection:
        database = duckdb.connect(
            ":memory:",
            config={
                "temp_directory": str(own_scratch(self._scratch)),
                "memory_limit": f"{self._duckdb_mb}MiB",
                "preserve_insertion_order": "false",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                **DUCKDB_SETTINGS,
                **({"threads": str(self._threads)} if self._threads else {}),
            },
        )
        install(database)
        return database

    def version(self, table: str) -> int | None:
        return delta.newest_version(table_path(self._lake, table))

    def batch(self, table: str, flow: str) -> int:
        loaded = delta.load_table(table_path(self._lake, table))
        return 0 if loaded is None else loaded.transaction_version(flow) or 0

    def pieces(self, reads: Mapping[str, Collection[str]]) -> int:
        needed = 0
        with self._connection() as connection:
            for name, columns in reads.items():
                if (table := delta.load_table(table_path(self._lake, name))) is not None:
                    stored, rows = stored_size(connection, table, columns)
                    needed += stored * _EXPANSION + rows * _ROW_BYTES
        return max(1, math.ceil(needed / (_OVERCOMMIT * (self._duckdb_mb << 20))))

    def create(self, target: Dataset, fence: Fence) -> int:
        return delta.create_table(table_path(self._lake, target.name), target, fence).version()

    def claim(self, table: str, fence: Fence) -> None:
        delta.claim_table(table_path(self._lake, table), fence)

    def maintain(self, target: Dataset, fence: Fence) -> None:
        maintenance.maintain_table(table_path(self._lake, target.name), target, fence)

    def vacuum(self, table: str, fence: Fence, retention_hours: int) -> int:
        return maintenance.vacuum_table(table_path(self._lake, table), fence, retention_hours)


def _is_usable(database: duckdb.DuckDBPyConnection) -> bool:
    try:
        database.execute("SELECT 1")
    except duckdb.Error:
        return False
    return True
