"""Whether two lakes hold the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
from deltalake import DeltaTable

_OWN = ("__START_AT", "__END_AT")
"""Columns of history, which are no technical ones though they begin with an underscore."""


def compare(ours: Path, other: Path, datasets: Sequence[str]) -> int:
    """Compare every row, both ways, in every column that both builds' tables have; ends the benchmark where they differ, or where
    only one has a column that is not technical. Returns how many rows there are.

    The instant of its ingestion (``_ingested_at``) is a build's own and never compared. Technical are the columns of bronze that begin with an underscore: where a record came from, when, in which
    batch, and what of it fitted no column. A hand-written build has other ones or none, and leaves out of bronze the records
    that do not parse; ours keeps those, so they are left out of the comparison.
    """
    connection = duckdb.connect(config={"memory_limit": "4GiB"})
    connection.execute("SET TimeZone = 'UTC'")
    return sum(
        _compare(connection, dataset, [DeltaTable(lake / dataset.replace(".", "/")) for lake in (ours, other)])
        for dataset in datasets
    )


def _compare(connection: duckdb.DuckDBPyConnection, dataset: str, tables: Sequence[DeltaTable]) -> int:
    names = [[field.name for field in table.schema().fields] for table in tables]
    differing = {name for name in set(names[0]) ^ set(names[1]) if not name.startswith("_") or name in _OWN}
    if differing:
        raise SystemExit(f"{dataset}: only one of the builds has {', '.join(sorted(differing))}")
    columns = ", ".join(f'"{name}"' for name in names[0] if name in names[1] and name != "_ingested_at")
    scans = []
    for table, known in zip(tables, names, strict=True):
        parsed = " WHERE _corrupt_record IS NULL" if "_corrupt_record" in known else ""
        scans.append(f"SELECT {columns} FROM read_parquet({table.file_uris()}){parsed}")
    for one, two, kind in ((*scans, "ours alone"), (*scans[::-1], "the other alone")):
        if alone := _count(connection, f"({one}) EXCEPT ALL ({two})"):
            raise SystemExit(f"{dataset}: {alone} rows are in {kind}; there is nothing to time")
    return _count(connection, scans[0])


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM ({query})").fetchone()
    assert row is not None
    return int(row[0])
