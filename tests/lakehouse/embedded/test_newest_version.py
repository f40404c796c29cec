"""The newest version as the log's file names tell it."""

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse.embedded.commit import newest_version

ROWS = pa.table({"k": [1]})


def test_no_table_has_none(tmp_path: Path) -> None:
    assert newest_version(tmp_path / "missing") is None
    (tmp_path / "empty/_delta_log").mkdir(parents=True)
    assert newest_version(tmp_path / "empty") is None


def test_it_is_the_one_that_delta_rs_loads_with_and_without_older_entries(tmp_path: Path) -> None:
    for version in range(12):
        write_deltalake(tmp_path, ROWS, mode="append")
        assert newest_version(tmp_path) == DeltaTable(tmp_path).version() == version
    DeltaTable(tmp_path).create_checkpoint()
    for old in sorted((tmp_path / "_delta_log").glob("*.json")):
        old.unlink()
    assert newest_version(tmp_path) == DeltaTable(tmp_path).version() == 11


@pytest.mark.parametrize(
    "name",
    ["_commit_7.json.tmp", "00000000000000000009.json.tmp", "_last_checkpoint", ".00000000000000000009.json.crc"],
)
def test_what_is_no_entry_does_not_count(tmp_path: Path, name: str) -> None:
    write_deltalake(tmp_path, ROWS)
    (tmp_path / "_delta_log" / name).touch()
    assert newest_version(tmp_path) == 0
