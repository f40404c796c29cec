"""The fast readers say what the exact ones say, on anything, and both agree with Python's csv and json where these are strict."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.files.csv_record import Header, read_record, scan_record, skip_blank_lines
from lakehouse.files.json_record import read_line
from lakehouse.files.rows import SourceColumns
from lakehouse.files.typed import MISFIT, read_column, read_value
from lakehouse.schema import parse_type
from tests.fixtures.landing import Landing, bronze_dataset

CSV_COLUMNS = {
    "id": "BIGINT",
    "qty": "INT",
    "name": "STRING",
    "at": "TIMESTAMP",
    "price": "DECIMAL(6,2)",
    "absent": "DATE",
}
CSV_HEADER = b"id, QTY ,name,at,price,extra\n"
JSON_COLUMNS = {
    "id": "BIGINT",
    "name": "STRING",
    "at": "TIMESTAMP",
    "ok": "BOOLEAN",
    "home": "STRUCT<street: STRING, number: INT, moved: DATE>",
    "price": "DECIMAL(6,2)",
    "ratio": "DOUBLE",
    "tags": "ARRAY<STRING>",
}
KEPT = ("_corrupt_record", "_rescued_data", "_row_number")

csv_pieces = st.sampled_from(
    [
        b'"',
        b'""',
        b",",
        b",",
        b",",
        b"\n",
        b"\n",
        b"\r\n",
        b"\r",
        b"1",
        b"22",
        b" ",
        b"x",
        "é".encode(),
        b"\xff",
        b"\xc3",
        b"\x00",
        b"\xef\xbb\xbf",
        b"2024-02-29",
        b"2024-02-30 10:00",
        b"1.50",
        b"1.505",
        b'"a,b"',
        b'"a\nb"',
        b'5" wide',
        b"1,2,n,2024-01-01T00:00Z,1.5,u\n",
        b'3,4,"q ""r""",2024-01-01 01:02:03.1234567+02:00,,\r\n',
    ]
)
messy_csv = st.lists(csv_pieces, max_size=40).map(b"".join)
chunk_sizes = st.sampled_from([1, 2, 3, 7, 16, 61, 1 << 20])


@settings(max_examples=200, deadline=None)
@given(body=messy_csv, chunk_bytes=chunk_sizes)
def test_csv_in_chunks_reads_as_record_by_record(landing: Landing, body: bytes, chunk_bytes: int) -> None:
    found = landing.read(CSV_HEADER + body, CSV_COLUMNS, "csv", chunk_bytes)
    assert [_kept(row, CSV_COLUMNS) for row in found] == list(_csv_one_by_one(CSV_HEADER + body))


def _csv_one_by_one(content: bytes) -> Iterator[dict[str, Any]]:
    columns = SourceColumns(bronze_dataset(CSV_COLUMNS, "csv"))
    first = scan_record(content, 0, final=True)
    assert first
    assert first.fields
    header, position, number = Header(first.fields, columns), first.end, 0
    while (position := skip_blank_lines(content, position)) < len(content):
        record = scan_record(content, position, final=True)
        assert record
        number, position = number + 1, record.end
        row = columns.corrupt_row(record.text) if record.fields is None else read_record(record.fields, header, columns)
        yield _as_arrow(columns, row, number)


json_texts = st.sampled_from(
    [
        '"a"',
        '"a:b"',
        '"é"',
        '"\\u00e9\\ud83d\\ude00"',
        '"\\ud800"',
        '"\\u0000"',
        '"\\u003a"',
        '"\\u003A:"',
        '"\\/"',
        '"x\\',
        '"\t"',
        '"\\x"',
        "1",
        "-0",
        "01",
        "1.0",
        "1.50",
        "1.505",
        "1e2",
        "12345678901234567890",
        "99999.99",
        "NaN",
        "-Infinity",
        "1e999",
        "-",
        "null",
        "true",
        "false",
        "True",
        "nul",
        "{}",
        "[]",
        '["a"]',
        '["a", "\\ud800"]',
        '[1, "b"]',
        "[1,]",
        '{"street": "s", "number": 5}',
        '{"number": "6 ", "moved": "2024-01-01", "zip": 7}',
        '{"number": 6.5, "street": {"a": [1]}}',
        '{"street":"a","street":"b"}',
        '{"zip":null}',
        '"2024-01-01"',
        '"2024-01-01T10:00:00.123456789+02:00"',
        '"9999-12-31T23:59:59-01:00"',
        '" TRUE "',
        '" 12 "',
        '""',
        '"  "',
    ]
)
json_names = st.sampled_from(
    [*JSON_COLUMNS, *JSON_COLUMNS, *JSON_COLUMNS, "other", "ID", "", "na\\u006de", "a:b", "_corrupt_record"]
)
spaces = st.sampled_from(["", "", "", " ", "\t", "\r"])
json_members = st.builds(lambda name, a, b, text: f'"{name}"{a}:{b}{text}', json_names, spaces, spaces, json_texts)
json_objects = st.builds(
    lambda members, space: "{" + f",{space}".join(members) + "}" + space, st.lists(json_members, max_size=6), spaces
)
broken_lines = st.sampled_from(
    ["", " ", "\r", "{", "}", "[]", "null", "{}{}", "{},", '{"id":1}x', "{'id':1}", '{"id":1,}', "\ufeff{}", "\x0b"]
)
json_lines = st.one_of(json_objects, json_objects, json_objects, broken_lines).map(str.encode)
bad_bytes = st.sampled_from(
    [
        b'{"name":"\xff"}',
        b'{"name":"\xed\xa0\x80\\"}',
        b'{"\xff":1}',
        b'{"price":"\xff"}',
        b'{"tags":["\xff"]}',
        b"\xff",
    ]
)
messy_json = st.lists(st.one_of(json_lines, json_lines, json_lines, bad_bytes), max_size=12).map(b"\n".join)


@settings(max_examples=300, deadline=None)
@given(body=messy_json, chunk_bytes=chunk_sizes)
def test_json_in_chunks_reads_as_line_by_line(landing: Landing, body: bytes, chunk_bytes: int) -> None:
    found = landing.read(body or b"\n", JSON_COLUMNS, "json", chunk_bytes)
    columns = SourceColumns(bronze_dataset(JSON_COLUMNS, "json"))
    content = body.removeprefix(b"\xef\xbb\xbf")
    lines = [(number, line) for number, line in enumerate(content.split(b"\n"), 1) if line.strip(b" \t\r")]
    expected = [_as_arrow(columns, read_line(line.removesuffix(b"\r"), columns), number) for number, line in lines]
    assert [_kept(row, JSON_COLUMNS) for row in found] == expected


def _as_arrow(columns: SourceColumns, row: Any, number: int) -> dict[str, Any]:
    return columns.table([row], [number]).to_pylist()[0]


def _kept(row: dict[str, Any], columns: dict[str, str]) -> dict[str, Any]:
    return {name: row[name] for name in (*columns, *KEPT)}


digits = st.text("0123456789", max_size=4)
number_texts = st.from_regex(r"[ ]?[+-]?[0-9]{0,21}(\.[0-9]{0,8})?([eE][+-]?[0-9]{1,3})?[ ]?", fullmatch=True)
moments = st.builds(
    "{}-{}-{}{}{}:{}{}{}{}".format,
    st.sampled_from(["0000", "0001", "0999", "1582", "1900", "2000", "2023", "2024", "8999", "9999", "10000", "24"]),
    st.sampled_from(["01", "02", "04", "12", "13", "00", "1"]),
    st.sampled_from(["01", "28", "29", "30", "31", "32", "00", "9"]),
    st.sampled_from(["T", " ", "t", "", "  "]),
    st.sampled_from(["00", "09", "23", "24", "7"]),
    st.sampled_from(["00", "59", "60", "5"]),
    st.sampled_from(["", ":00", ":59", ":60", ":5"]),
    st.sampled_from(["", ".", ".1", ".123", ".123456", ".1234567", ".123456789", ".1234567890"]),
    st.sampled_from(["", "", "Z", "z", "+00:00", "-00:30", "+14:00", "+15:00", "+0530", "+05", "-0", "+05:60", " Z"]),
)
days = st.builds(
    "{}-{}-{}".format,
    *[st.sampled_from(["0000", "1900", "2000", "2024", "9999", "02", "04", "12", "29", "30", "31"])] * 3,
)
odd_texts = st.sampled_from(
    [
        "",
        " ",
        "true",
        "FALSE",
        " True\t",
        "1",
        "nan",
        "inf",
        "-Infinity",
        "0x1F",
        "1_000",
        "\u0661",
        "1,5",
        "+",
        ".",
        "-.5",
        "5.",
        "\x00",
        "\u00a01",
    ]
)
texts = st.lists(st.none() | st.one_of(number_texts, moments, days, odd_texts, st.text(max_size=5)), max_size=8)
TYPES = [
    "INT",
    "BIGINT",
    "DOUBLE",
    "BOOLEAN",
    "DATE",
    "TIMESTAMP",
    "STRING",
    "DECIMAL(18,6)",
    "DECIMAL(6,0)",
    "DECIMAL(3,3)",
    "DECIMAL(38,6)",
]


@pytest.mark.parametrize("declared", TYPES)
@settings(max_examples=200, deadline=None)
@given(found=texts)
def test_a_column_reads_as_value_by_value(declared: str, found: list[str | None]) -> None:
    data_type = parse_type(declared)
    typed, unsettled = read_column(pa.array(found, pa.string()), data_type)
    assert typed.type == data_type.arrow
    for text, value, is_unsettled in zip(found, typed, unsettled, strict=True):
        if is_unsettled:
            assert text is not None
            assert not value.is_valid
        else:
            expected = None if text is None else read_value(text, data_type)
            assert expected is not MISFIT
            assert value.equals(pa.scalar(expected, data_type.arrow))


fields = st.text(st.sampled_from('ab ,"\n\r\x00é1😀'), max_size=6)


@settings(max_examples=300, deadline=None)
@given(records=st.lists(st.lists(fields, min_size=2, max_size=2), max_size=10), end=st.sampled_from(["\n", "\r\n"]))
def test_what_pythons_csv_writes_comes_back(landing: Landing, records: list[list[str]], end: str) -> None:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([["a", "b"], *records])
    found = landing.read(written.getvalue().encode(), {"a": "STRING", "b": "STRING"}, "csv")
    assert [[row["a"], row["b"]] for row in found] == records
    assert all(row["_corrupt_record"] is None and row["_rescued_data"] is None for row in found)


@settings(max_examples=200, deadline=None)
@given(
    line=st.one_of(
        json_lines,
        st.text(st.sampled_from('{}[]":,\\ua01e.- ntrf'), max_size=12).map(lambda text: ("{" + text).encode()),
    )
)
def test_a_json_line_parses_where_pythons_json_does(landing: Landing, line: bytes) -> None:
    if not line.strip(b" \t\r"):
        return
    row = landing.read(b"\n" + line, {"id": "BIGINT", "name": "STRING"}, "json")[0]
    assert (row["_corrupt_record"] is None) == _is_one_object(line.decode())


def _is_one_object(line: str) -> bool:
    def refuse(_: object) -> None:
        raise ValueError

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found.append(pairs)
        return dict(pairs)

    found: list[list[tuple[str, object]]] = []
    try:
        loaded = json.loads(line, parse_constant=refuse, object_pairs_hook=unique, parse_int=str, parse_float=str)
    except ValueError:
        return False
    return isinstance(loaded, dict) and len(found[-1]) == len(loaded)


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=200) | messy_csv)
def test_no_byte_of_a_csv_file_is_lost(landing: Landing, body: bytes) -> None:
    """Whatever stands between commas, quotes and line ends comes out again, in order."""
    rows = landing.read(b"name,other\n" + body, {"name": "STRING"}, "csv")
    texts = "".join(_csv_text(row) for row in rows)
    assert _letters(texts) == _letters(_escaped(body))


def _csv_text(row: dict[str, Any]) -> str:
    if row["_corrupt_record"] is not None:
        escaped = row["_rescued_data"] is not None
        return str(row["_corrupt_record"] if escaped else row["_corrupt_record"].replace("\\", "\\\\"))
    rescued = json.loads(row["_rescued_data"] or "{}")
    rescued.pop("_field_count", None)
    return "".join([row["name"] or "", *rescued.values()]).replace("\\", "\\\\")


def _escaped(body: bytes) -> str:
    return body.replace(b"\\", b"\\\\").decode(errors="backslashreplace")


def _letters(text: str) -> str:
    return re.sub(r'[,"\r\n]', "", text)
