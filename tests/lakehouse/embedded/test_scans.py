"""A snapshot is looked at once, however many views read it."""

from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse.embedded import scan
from lakehouse.embedded.scan import Scans


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as database:
        yield database


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The versions that have been loaded."""
    versions: list[int] = []

    def load(path: Path, version: int) -> DeltaTable:
        versions.append(version)
        return DeltaTable(path, version=version)

    monkeypatch.setattr(scan, "DeltaTable", load)
    return versions


def test_each_version_is_loaded_once(connection: duckdb.DuckDBPyConnection, tmp_path: Path, loaded: list[int]) -> None:
    for number in (1, 2):
        write_deltalake(tmp_path / "t", pa.table({"a": [number]}), mode="append")
    scans = Scans()
    for version in (0, 1, 0, 1):
        rows = connection.execute(scans.sql(connection, tmp_path / "t", version)).fetchall()
        assert sorted(rows) == [(1,), (2,)][: version + 1]
    assert loaded == [0, 1]


def test_a_table_made_anew_in_its_place_is_another(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    scans = Scans()
    for column in ("a", "b"):
        write_deltalake(tmp_path / "t", pa.table({column: [1]}))
        assert connection.execute(scans.sql(connection, tmp_path / "t", 0)).description[0][0] == column
        rmtree(tmp_path / "t")


def test_a_version_whose_commit_is_cleaned_up_is_loaded_each_time(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, loaded: list[int]
) -> None:
    write_deltalake(tmp_path / "t", pa.table({"a": [1]}))
    DeltaTable(tmp_path / "t").create_checkpoint()
    (tmp_path / f"t/_delta_log/{0:020}.json").unlink()
    scans = Scans()
    for _ in range(2):
        assert connection.execute(scans.sql(connection, tmp_path / "t", 0)).fetchall() == [(1,)]
    assert loaded == [0, 0]


def test_what_is_kept_is_bounded(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, loaded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "_KEPT", 2)
    scans = Scans()
    for name in "abcd":
        write_deltalake(tmp_path / name, pa.table({"a": [1]}))
        scans.sql(connection, tmp_path / name, 0)
    assert len(scans._made) <= 2
    scans.sql(connection, tmp_path / "a", 0)
    assert loaded == [0] * 5
