"""What a caller of the reader may rely on, whatever the format."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.dataset import Dataset
from lakehouse.files.listing import LandingFile, list_files
from lakehouse.files.reader import BATCH_ROWS, ChangedWhileRead, NotReadable, read_files
from lakehouse.properties import arrow_schema
from tests.fixtures.landing import INGESTED_AT, Landing, bronze_dataset
from tests.fixtures.parts import require_proc

COLUMNS = {"id": "BIGINT", "name": "STRING"}


def _read(
    zone: Path, files: list[LandingFile], dataset: Dataset | None = None
) -> tuple[list[pa.RecordBatch], dict[str, str]]:
    reasons: dict[str, str] = {}
    batches = read_files(
        zone,
        files,
        dataset or bronze_dataset(COLUMNS, "csv"),
        INGESTED_AT,
        lambda file, reason: reasons.update({file.path: reason}),
        chunk_bytes=4096,
    )
    return list(batches), reasons


def test_batches_have_the_declared_schema_and_say_where_each_row_is_from(tmp_path: Path) -> None:
    for name, content, mtime in (
        ("b.csv", "id,name\n1,x\n2,y\n", 1_700_000_000.25),
        ("a.csv", "name,id\nz,3\n", 1_700_000_001),
    ):
        (tmp_path / name).write_text(content)
        os.utime(tmp_path / name, (mtime, mtime))
    dataset = bronze_dataset(COLUMNS, "csv")
    (batch,), _ = _read(tmp_path, list_files(tmp_path, "*.csv"), dataset)
    assert batch.schema == arrow_schema(dataset)
    kept = ("id", "_source_file", "_row_number", "_file_modification_time", "_ingested_at", "_datasource")
    first, second = datetime(2023, 11, 14, 22, 13, 20, 250_000, UTC), datetime(2023, 11, 14, 22, 13, 21, tzinfo=UTC)
    assert [tuple(row[name] for name in kept) for row in batch.to_pylist()] == [
        (1, "b.csv", 1, first, INGESTED_AT, "shop"),
        (2, "b.csv", 2, first, INGESTED_AT, "shop"),
        (3, "a.csv", 1, second, INGESTED_AT, "shop"),
    ]


def test_many_small_files_become_few_batches(landing: Landing) -> None:
    names = [f"small-{n}.csv" for n in range(50)]
    for name in names:
        (landing.path / name).write_text("id,name\n" + "1,x\n" * 10)
    (batch,) = landing.batches(names, COLUMNS, "csv")
    assert batch.num_rows == 500


def test_a_large_file_comes_in_batches_of_bounded_size_in_order(landing: Landing) -> None:
    count = BATCH_ROWS * 2 + 17
    (landing.path / "large.csv").write_text("id,name\n" + "".join(f"{n},x\n" for n in range(count)))
    batches = landing.batches(["large.csv"], COLUMNS, "csv", chunk_bytes=100_000)
    assert max(batch.num_rows for batch in batches) <= BATCH_ROWS
    assert pa.Table.from_batches(batches).column("id").to_pylist() == list(range(count))
    assert pa.Table.from_batches(batches).column("_row_number").to_pylist() == list(range(1, count + 1))


def test_an_unreadable_file_stops_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("id,name\n1,x\n")
    (tmp_path / "2.csv").write_text("")
    (tmp_path / "3.csv").write_text("id,name\n3,x\n")
    files = [*list_files(tmp_path, "*.csv"), LandingFile("gone.csv", 5, 5)]
    (tmp_path / "3.csv").write_text("id,name\n3,x\n4,y\n")
    (tmp_path / "4.csv").write_text("id,name\n5,x\n")
    (batch,), reasons = _read(tmp_path, [*files, *list_files(tmp_path, "4.csv")])
    assert batch.column("id").to_pylist() == [1, 5]
    assert reasons == {
        "2.csv": "it is empty (0 bytes)",
        "3.csv": "it was changed since it was listed",
        "gone.csv": "it is gone since it was listed",
    }


def test_a_link_out_of_the_landing_zone_is_refused(tmp_path: Path) -> None:
    zone = tmp_path / "landing"
    zone.mkdir()
    (tmp_path / "secret.csv").write_text("id,name\n1,x\n")
    (zone / "out.csv").symlink_to(tmp_path / "secret.csv")
    (zone / "in.csv").write_text("id,name\n2,x\n")
    (zone / "within.csv").symlink_to(zone / "in.csv")
    batches, reasons = _read(zone, list_files(zone, "*.csv"))
    assert [row["id"] for batch in batches for row in batch.to_pylist()] == [2, 2]
    assert reasons == {"out.csv": "it is a link that leads out of the landing zone"}


def test_a_file_that_changes_under_the_reader_is_loud(tmp_path: Path) -> None:
    path = tmp_path / "grows.csv"
    path.write_text("id,name\n" + "1,x\n" * (BATCH_ROWS + 5000))
    batches = read_files(
        tmp_path,
        list_files(tmp_path, "*.csv"),
        bronze_dataset(COLUMNS, "csv"),
        INGESTED_AT,
        lambda *_: None,
        chunk_bytes=4096,
    )
    next(batches)
    with path.open("a") as file:
        file.write("2,y\n")
    with pytest.raises(ChangedWhileRead):
        list(batches)


@pytest.mark.parametrize(
    ("columns", "format_"),
    [
        ({"id": "BIGINT", "home": "STRUCT<street: STRING>"}, "csv"),
        ({"id": "BIGINT", "_other": "STRING"}, "csv"),
        ({"id": "BIGINT", "tags": "MAP<STRING, INT>"}, "json"),
        (COLUMNS, "xml"),
    ],
)
def test_a_declaration_that_files_cannot_feed_is_refused(tmp_path: Path, columns: dict[str, str], format_: str) -> None:
    with pytest.raises(NotReadable, match=r"bronze\.things"):
        _read(tmp_path, [], bronze_dataset(columns, format_))


@pytest.mark.parametrize("format_", ["csv", "json"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, format_: str) -> None:
    """Reading 250 MB takes no more memory than reading 60 MB, give or take."""
    require_proc()
    peaks = []
    for times in (20, 80):
        line = "1," + "x" * 900 if format_ == "csv" else '{"id":1,"name":"' + "x" * 900 + '"}'
        with (tmp_path / f"{times}.{format_}").open("w") as file:
            file.write("id,name\n" if format_ == "csv" else "")
            for _ in range(times):
                file.write((line + "\n") * 3500)
        command = [sys.executable, "-c", _MEASURE, str(tmp_path), f"{times}.{format_}", format_]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        rows, peak = map(int, ran.stdout.split())
        assert rows == times * 3500
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 64 * 1024


_MEASURE = """
import sys
from pathlib import Path
from bench.harness.process import memory_kb
from lakehouse.files.listing import list_files
from lakehouse.files.reader import read_files
from tests.fixtures.landing import INGESTED_AT, bronze_dataset
zone, name, format_ = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
dataset = bronze_dataset({"id": "BIGINT", "name": "STRING"}, format_)
rows = sum(b.num_rows for b in read_files(zone, list_files(zone, name), dataset, INGESTED_AT, print, chunk_bytes=1 << 20))
print(rows, memory_kb("VmHWM"))
"""
