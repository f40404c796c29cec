"""Parquet landing files: what each kind of value becomes, what is rescued, which files are refused, how much memory it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakehouse.files.arrow_column import bare, json_column, read_typed
from lakehouse.files.arrow_value import read_scalar, unknown_text
from lakehouse.files.listing import LandingFile, list_files
from lakehouse.files.reader import BATCH_ROWS, FileSpoiled, read_files
from lakehouse.schema import parse_type
from tests.fixtures.landing import INGESTED_AT, Landing, bronze_dataset, damaged_late
from tests.fixtures.parts import require_proc

NOON = datetime(2026, 3, 1, 12, 30, 0, 123456, tzinfo=UTC)
BIG = 2**53 + 1


def parquet(columns: Mapping[str, pa.Array], **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(dict(columns)), sink, **options)
    return sink.getvalue().to_pybytes()


def read_one(landing: Landing, column: pa.Array, declared: str) -> list[tuple[object, str | None]]:
    rows = landing.read(parquet({"v": column}), {"v": declared}, "parquet")
    return [(row["v"], row["_rescued_data"]) for row in rows]


@pytest.mark.parametrize(
    ("stored", "declared", "expected"),
    [
        (pa.array(["x", "", None]), "STRING", ["x", "", None]),
        (pa.array(["x", None], pa.large_string()), "STRING", ["x", None]),
        (pa.array(["x", None, "x"]).dictionary_encode(), "STRING", ["x", None, "x"]),
        (pa.array([b"caf\xc3\xa9"]), "STRING", ["café"]),
        (pa.array([7, -7], pa.int64()), "STRING", ["7", "-7"]),
        (pa.array([1.5, 3.0]), "STRING", ["1.5", "3.0"]),
        (pa.array([True, False]), "STRING", ["true", "false"]),
        (pa.array([NOON], pa.timestamp("us", "UTC")), "STRING", ["2026-03-01T12:30:00.123456Z"]),
        (pa.array([date(2026, 3, 1)]), "STRING", ["2026-03-01"]),
        (pa.array([time(1, 2, 3)], pa.time64("us")), "STRING", ["01:02:03.000000"]),
        (pa.array([Decimal("1.50")]), "STRING", ["1.50"]),
        (pa.array([{"a": 1, "b": "é"}]), "STRING", ['{"a":1,"b":"é"}']),
        (pa.array([[1, None]]), "STRING", ["[1,null]"]),
        (pa.array([1, 2**31 - 1, None], pa.uint64()), "INT", [1, 2**31 - 1, None]),
        (pa.array([3.0, -0.0, None]), "INT", [3, 0, None]),
        (pa.array(["12", " 7 ", ""]), "INT", [12, 7, None]),
        (pa.array([Decimal("12.00")]), "BIGINT", [12]),
        (pa.array([2**63 - 1], pa.uint64()), "BIGINT", [2**63 - 1]),
        (pa.array([5, 2**53], pa.int64()), "DOUBLE", [5.0, 2.0**53]),
        (pa.array([0.5], pa.float32()), "DOUBLE", [0.5]),
        (pa.array([Decimal("0.1")]), "DOUBLE", [0.1]),
        (pa.array([19.99, 1e-6]), "DECIMAL(18,6)", [Decimal("19.99"), Decimal("0.000001")]),
        (pa.array([19.99], pa.float32()), "DECIMAL(18,6)", [Decimal("19.99")]),
        (pa.array([Decimal("19.990000000")]), "DECIMAL(18,6)", [Decimal("19.99")]),
        (pa.array([10**11], pa.int64()), "DECIMAL(18,6)", [Decimal(10**11)]),
        (pa.array(["19.99"]), "DECIMAL(18,6)", [Decimal("19.99")]),
        (pa.array(["true", "FALSE"]), "BOOLEAN", [True, False]),
        (pa.array([date(2026, 3, 1)]), "TIMESTAMP", [datetime(2026, 3, 1, tzinfo=UTC)]),
        (pa.array([1_772_323_200_000], pa.timestamp("ms")), "TIMESTAMP", [datetime(2026, 3, 1, tzinfo=UTC)]),
        (pa.array([-1], pa.timestamp("ns")), "TIMESTAMP", [datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)]),
        (pa.array([NOON], pa.timestamp("us", "Asia/Tokyo")), "TIMESTAMP", [NOON]),
        (pa.array(["2026-03-01T14:30:00.123456789+02:00"]), "TIMESTAMP", [NOON]),
        (pa.array([1_772_323_200_000_000_000], pa.timestamp("ns")), "DATE", [date(2026, 3, 1)]),
        (pa.nulls(2), "DECIMAL(18,6)", [None, None]),
        (pa.array([["a", None], [], None]), "ARRAY<STRING>", [["a", None], [], None]),
        (pa.array([{"ZIP": 1, "city": "Köln"}, None]), "STRUCT<city: STRING, ZIP: STRING>", [{"city": "Köln", "ZIP": "1"}, None]),
    ],
)  # fmt: skip
def test_what_converts_without_loss_is_converted(
    landing: Landing, stored: pa.Array, declared: str, expected: list[Any]
) -> None:
    assert read_one(landing, stored, declared) == [(value, None) for value in expected]


@pytest.mark.parametrize(
    ("stored", "declared", "rescued"),
    [
        (pa.array([2**31, -(2**31) - 1], pa.int64()), "INT", ["2147483648", "-2147483649"]),
        (pa.array([2**64 - 1], pa.uint64()), "BIGINT", ["18446744073709551615"]),
        (pa.array([1.5, float("nan"), float("-inf")]), "INT", ["1.5", '"NaN"', '"-Infinity"']),
        (pa.array([float("nan")]), "DOUBLE", ['"NaN"']),
        (pa.array([float("inf")], pa.float32()), "STRING", ['"Infinity"']),
        (pa.array([BIG], pa.int64()), "DOUBLE", [str(BIG)]),
        (pa.array([1e-7, 1e12]), "DECIMAL(18,6)", ["1e-07", "1000000000000.0"]),
        (pa.array([Decimal("0.0000001")]), "DECIMAL(18,6)", ["0.0000001"]),
        (pa.array([1], pa.int64()), "BOOLEAN", ["1"]),
        (pa.array([1], pa.int64()), "TIMESTAMP", ["1"]),
        (pa.array([True]), "INT", ["true"]),
        (pa.array(["soon"]), "TIMESTAMP", ['"soon"']),
        (pa.array([NOON], pa.timestamp("us", "UTC")), "DATE", ['"2026-03-01T12:30:00.123456Z"']),
        (pa.array([10**17 * 9], pa.timestamp("us", "UTC")), "TIMESTAMP", ['"30489-11-11T16:00:00.000000Z"']),
        (pa.array([3_000_000], pa.date32()), "DATE", ['"10183-09-21"']),
        (pa.array([b"\xff\xfe"]), "STRING", ['"//4="']),
        (pa.array([time(1, 2, 3)], pa.time64("us")), "TIMESTAMP", ['"01:02:03.000000"']),
        (pa.array([{"a": 1}]), "INT", ['{"a":1}']),
        (pa.array([[1, "x"][:1]]), "STRUCT<a: INT>", ["[1]"]),
        (pa.array([["1", "x"]]), "ARRAY<INT>", ['["1","x"]']),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int32())), "ARRAY<INT>", ['{"k":1}']),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_null_and_rescued(
    landing: Landing, stored: pa.Array, declared: str, rescued: list[str]
) -> None:
    assert read_one(landing, stored, declared) == [(None, f'{{"v":{text}}}') for text in rescued]


def test_of_a_struct_only_what_does_not_fit_is_rescued(landing: Landing) -> None:
    stored = pa.array([{"street": "A", "number": "x", "floor": 3}])
    (row,) = landing.read(parquet({"home": stored}), {"home": "STRUCT<street: STRING, number: INT>"}, "parquet")
    assert row["home"] == {"street": "A", "number": None}
    assert json.loads(row["_rescued_data"]) == {"home": {"number": "x", "floor": 3}}


def test_columns_are_matched_by_name_without_case_and_the_others_kept(landing: Landing) -> None:
    content = parquet(
        {
            "NAME": pa.array(["x", "y"]),
            "extra": pa.array([1, None]),
            "Id": pa.array([1, 2]),
            'say "é"': pa.array(["a\n", None]),
            "id": pa.array([7, 8]),
        }
    )
    first, second = landing.read(content, {"id": "BIGINT", "name": "STRING", "later": "DATE"}, "parquet")
    assert (first["id"], first["name"], first["later"], first["_row_number"]) == (7, "x", None, 1)
    assert first["_rescued_data"] == '{"extra":1,"Id":1,"say \\"é\\"":"a\\n"}'
    assert second["_rescued_data"] == '{"Id":2}'
    assert first["_corrupt_record"] is None


def test_one_unknown_column_is_kept_where_it_has_a_value(landing: Landing) -> None:
    content = parquet({"id": pa.array([1, 2, 3]), "extra": pa.array([None, "x", None])})
    rows = landing.read(content, {"id": "BIGINT"}, "parquet")
    assert [row["_rescued_data"] for row in rows] == [None, '{"extra":"x"}', None]


def test_a_misfit_is_rescued_beside_the_unknown_in_the_order_of_the_file(landing: Landing) -> None:
    content = parquet({"id": pa.array(["1", "x"]), "extra": pa.array([[1], [2]]), "n": pa.array([1.5, 2.0])})
    rows = landing.read(content, {"n": "INT", "id": "INT"}, "parquet")
    assert [(row["id"], row["n"], row["_rescued_data"]) for row in rows] == [
        (1, None, '{"extra":[1],"n":1.5}'),
        (None, 2, '{"id":"x","extra":[2]}'),
    ]


COLUMNS = {"id": "BIGINT", "name": "STRING"}
GOOD = parquet({"id": pa.array([1, 2])})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b'{"id": 1}\n', "it is not Parquet"),
        (b"PAR1", "it is damaged"),
        (GOOD[:-5], "it is damaged"),
        (GOOD[: len(GOOD) // 2] + b"\x00" * 9 + GOOD[-8:], "it is damaged"),
        (b"PAR1" + b"\xff" * 200 + b"\xff\xff\xff\x7fPAR1", "it is damaged"),
        (parquet({"other": pa.array(["secret"])}), "it has none of the declared columns"),
    ],
)  # fmt: skip
def test_a_file_without_rows_to_have_is_left_out_with_its_reason(landing: Landing, content: bytes, reason: str) -> None:
    assert landing.read(content, COLUMNS, "parquet") == []
    assert [found[: len(reason)] for found in landing.unreadable.values()] == [reason]
    assert "secret" not in str(landing.unreadable)


def test_a_file_of_no_rows_is_not_unreadable(landing: Landing) -> None:
    assert landing.read(parquet({"id": pa.array([], pa.int64())}), COLUMNS, "parquet") == []
    assert landing.unreadable == {}


def test_of_a_file_damaged_behind_its_first_rows_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "1.parquet").write_bytes(GOOD)
    (tmp_path / "2.parquet").write_bytes(damaged_late("id", 1000))
    (tmp_path / "3.parquet").write_bytes(GOOD)
    reasons: dict[str, str] = {}
    batches = list(read(tmp_path, reasons))
    assert [row["_source_file"] for batch in batches for row in batch.to_pylist()] == ["1.parquet"] * 2 + [
        "3.parquet"
    ] * 2
    assert list(reasons) == ["2.parquet"]


def test_damage_that_shows_when_rows_were_handed_on_is_loud(tmp_path: Path) -> None:
    (tmp_path / "1.parquet").write_bytes(damaged_late("id", 4 * BATCH_ROWS))
    reasons: dict[str, str] = {}
    with pytest.raises(FileSpoiled):
        list(read(tmp_path, reasons))
    assert list(reasons) == ["1.parquet"]


def read(zone: Path, reasons: dict[str, str]) -> Iterator[pa.RecordBatch]:
    files = sorted(list_files(zone, "*.parquet"), key=lambda file: file.path)

    def note(file: LandingFile, reason: str) -> None:
        reasons[file.path] = reason

    return read_files(zone, files, bronze_dataset(COLUMNS, "parquet"), INGESTED_AT, note)


_TYPES = ("STRING", "INT", "BIGINT", "DOUBLE", "DECIMAL(6,2)", "DECIMAL(38,10)", "BOOLEAN", "DATE", "TIMESTAMP", "ARRAY<INT>", "STRUCT<a: INT>")  # fmt: skip
_EDGES = [0, 1, -1, 100, 2**31 - 1, 2**31, -(2**31), 2**53, BIG, 2**63 - 1, -(2**63), 999_999, 10_000]


def _arrays() -> st.SearchStrategy[pa.Array]:
    def of(values: st.SearchStrategy[Any], *types: pa.DataType) -> st.SearchStrategy[pa.Array]:
        listed = st.lists(st.none() | values, max_size=8)
        return st.builds(pa.array, listed, st.sampled_from(types))

    integers = st.sampled_from(_EDGES) | st.integers(-(2**63), 2**63 - 1)
    small = st.sampled_from([0, 1, -1, 100]) | st.integers(-100, 100)
    floats = (
        st.sampled_from([1.5, 3.0, -0.0, 0.1, 19.99, 1e300, 2.0**53, 2.0**31, float("nan"), float("inf")]) | st.floats()
    )
    texts = st.sampled_from(
        ["", " 1 ", "1.50", "x", "true", "2026-03-01", "2026-03-01T10:00:00.1234567+02:00", 'q"\\\n']
    ) | st.text(max_size=5)
    instants = (
        st.sampled_from(
            [0, -1, 86_400_000_000, 253_402_300_799_999_999, 253_402_300_800_000_000, -62_135_596_800_000_001]
        )
        | integers
    )
    return st.one_of(
        of(integers, pa.int64()), of(small, pa.int8(), pa.int16(), pa.int32()), of(st.integers(0, 2**64 - 1), pa.uint64()), of(floats, pa.float64()),
        of(st.floats(width=32), pa.float32()), of(texts, pa.string(), pa.large_string()), of(st.binary(max_size=4), pa.binary()), of(st.booleans(), pa.bool_()),
        of(instants, pa.timestamp("us", "UTC"), pa.timestamp("ns"), pa.timestamp("ms", "Asia/Tokyo"), pa.timestamp("s")),
        of(st.integers(-(2**31), 2**31 - 1) | st.sampled_from([-719_162, -719_163, 2_932_896, 2_932_897]), pa.date32()),
        of(st.decimals(-9999, 9999, places=3), pa.decimal128(9, 3)), of(st.lists(small, max_size=2), pa.list_(pa.int32())),
    )  # fmt: skip


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
def test_a_whole_float_is_the_number_that_it_is(kind: pa.DataType) -> None:
    """Not the shortest text that names it, which has fewer digits."""
    stored = pa.array([2.0**60, 2.0**63], kind)
    assert read_scalar(stored[0], parse_type("BIGINT")) == (2**60, None)
    assert read_scalar(stored[1], parse_type("BIGINT"))[0] is None


@settings(max_examples=300, deadline=None)
@example(stored=pa.array([115_261_552.0], pa.float32()), declared="INT")
@given(stored=_arrays(), declared=st.sampled_from(_TYPES))
def test_whole_chunks_read_as_values_do_one_by_one(stored: pa.Array, declared: str) -> None:
    data_type = parse_type(declared)
    column = bare(stored)
    typed, unsettled = read_typed(column, data_type)
    assert typed.type == data_type.arrow
    for position, scalar in enumerate(stored):
        value, rest = read_scalar(scalar, data_type)
        if unsettled[position]:
            assert typed[position].as_py() is None
        else:
            assert (repr(typed[position].as_py()), None) == (repr(pa.scalar(value, data_type.arrow).as_py()), rest)
    assert json_column(column).to_pylist() == [unknown_text(scalar) for scalar in stored]


def test_memory_does_not_grow_with_the_row_group(tmp_path: Path) -> None:
    """One row group of 160 MB takes no more memory to read than one of 40 MB, give or take."""
    require_proc()
    peaks = []
    for rows in (40_000, 160_000):
        run_script(_WRITE, str(tmp_path / f"{rows}.parquet"), str(rows))
        read_rows, peak = map(int, run_script(_MEASURE, str(tmp_path), f"{rows}.parquet").split())
        assert read_rows == rows
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 64 * 1024


def run_script(script: str, *arguments: str) -> str:
    """What a script prints, in a process of its own: this one's memory must not count."""
    return subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True).stdout


_WRITE = """
import sys
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
rows = int(sys.argv[2])
random = np.random.default_rng(7).integers(0, 1 << 62, size=(rows, 125), dtype=np.int64)
blobs = pa.FixedSizeBinaryArray.from_buffers(pa.binary(1000), rows, [None, pa.py_buffer(random)])
table = pa.table({"id": pa.array(np.arange(rows)), "blob": blobs})
pq.write_table(table, sys.argv[1], row_group_size=rows, use_dictionary=False, compression="none")
"""
_MEASURE = """
import sys
from pathlib import Path
from bench.harness.process import memory_kb
from lakehouse.files.listing import list_files
from lakehouse.files.reader import read_files
from tests.fixtures.landing import INGESTED_AT, bronze_dataset
zone, name = Path(sys.argv[1]), sys.argv[2]
dataset = bronze_dataset({"id": "BIGINT"}, "parquet")
rows = sum(b.num_rows for b in read_files(zone, list_files(zone, name), dataset, INGESTED_AT, print, chunk_bytes=1 << 20))
print(rows, memory_kb("VmHWM"))
"""
