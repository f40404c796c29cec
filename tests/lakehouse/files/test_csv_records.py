"""What becomes of each kind of CSV record."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from lakehouse.files import csv_lines, text_file
from lakehouse.files.csv_record import Record
from tests.fixtures.landing import Landing

COLUMNS = {"id": "BIGINT", "name": "STRING", "price": "DECIMAL(10,2)", "at": "TIMESTAMP"}
HEADER = b"id,name,price,at\n"
NOTHING = {"id": None, "name": None, "price": None, "at": None, "_corrupt_record": None, "_rescued_data": None}

RECORDS: dict[str, tuple[bytes, list[dict[str, Any]]]] = {
    "a whole record": (
        b"1,Ann,2.50,2024-05-01 10:00\n",
        [{"id": 1, "name": "Ann", "price": Decimal("2.50"), "at": datetime(2024, 5, 1, 10, tzinfo=UTC)}],
    ),
    "no line end at the end": (b"1,Ann,,", [{"id": 1, "name": "Ann"}]),
    "CRLF": (b"1,Ann,,\r\n2,Bob,,\r\n", [{"id": 1, "name": "Ann"}, {"id": 2, "name": "Bob"}]),
    "CRLF cut short": (b"1,Ann,,x\r", [{"id": 1, "name": "Ann", "_rescued_data": '{"at":"x"}'}]),
    "blank lines": (b"\n1,Ann,,\n\r\n\n2,Bob,,\n", [{"id": 1, "name": "Ann"}, {"id": 2, "name": "Bob"}]),
    "quoted comma, quote and line ends": (b'1,"a, ""b""\r\nc\n",,\n', [{"id": 1, "name": 'a, "b"\r\nc\n'}]),
    "empty is NULL, a quoted empty string is a string": (b'1,,,\n2,"","",\n', [{"id": 1}, {"id": 2, "name": ""}]),
    "spaces belong to strings, not to numbers": (
        b'" 1 ", Ann , 2 ,\n',
        [{"id": 1, "name": " Ann ", "price": Decimal("2.00")}],
    ),
    "a quote inside a field": (b'1,5" wide,,\n', [{"id": 1, "name": '5" wide'}]),
    "a lone CR": (b"1,a\rb,,\n", [{"id": 1, "name": "a\rb"}]),
    "a byte order mark that is data": (
        "\ufeff,a,,\n\ufeff1,b,,\n".encode(),
        [{"name": "a", "_rescued_data": '{"id":"\ufeff"}'}, {"name": "b", "_rescued_data": '{"id":"\ufeff1"}'}],
    ),
    "NUL and emoji": ("1,a\0😀,,\n".encode(), [{"id": 1, "name": "a\0😀"}]),
    "fields are missing": (b"1,Ann\n", [{"id": 1, "name": "Ann", "_rescued_data": '{"_field_count":2}'}]),
    "fields too many": (
        b"1,Ann,,,x,,y\n",
        [{"id": 1, "name": "Ann", "_rescued_data": '{"_column_5":"x","_column_7":"y"}'}],
    ),
    "values that do not fit": (
        b'1.0,Ann,"1,50",yesterday\n',
        [{"name": "Ann", "_rescued_data": '{"id":"1.0","price":"1,50","at":"yesterday"}'}],
    ),
    "a cent that would be lost": (b"1,,2.505,\n", [{"id": 1, "_rescued_data": '{"price":"2.505"}'}]),
    "broken numbers": (
        b"1,,NaN,\n2,,inf,\n",
        [{"id": 1, "_rescued_data": '{"price":"NaN"}'}, {"id": 2, "_rescued_data": '{"price":"inf"}'}],
    ),
    "text after a closing quote": (
        b'1,"Ann"e,,\n2,Bob,,\n',
        [{"_corrupt_record": '1,"Ann"e,,'}, {"id": 2, "name": "Bob"}],
    ),
    "a quote never closed": (b'1,"Ann,,\n2,Bob,,\n', [{"_corrupt_record": '1,"Ann,,'}, {"id": 2, "name": "Bob"}]),
    "a quote closed lines later": (
        b'1,"Ann,,\n2,Bob,,\n3,"Cy",,\n',
        [{"_corrupt_record": '1,"Ann,,'}, {"id": 2, "name": "Bob"}, {"id": 3, "name": "Cy"}],
    ),
    "not UTF-8": (
        b"1,Andr\xe9\\,,\n",
        [{"_corrupt_record": "1,Andr\\xe9\\\\,,", "_rescued_data": '{"_corrupt_record":"backslashreplace"}'}],
    ),
}


@pytest.mark.parametrize("chunk_bytes", [1, 5, 1 << 20])
@pytest.mark.parametrize(("body", "expected"), RECORDS.values(), ids=RECORDS)
def test_record(landing: Landing, body: bytes, expected: list[dict[str, Any]], chunk_bytes: int) -> None:
    rows = landing.read(HEADER + body, COLUMNS, "csv", chunk_bytes)
    assert [{name: row[name] for name in NOTHING} for row in rows] == [NOTHING | row for row in expected]
    assert [row["_row_number"] for row in rows] == list(range(1, len(rows) + 1))


HEADERS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "other order, case and spaces": (b" PRICE ,Name,ID,at\n2,Ann,1,\n", {"id": 1, "name": "Ann", "price": Decimal(2)}),
    "byte order mark": (b"\xef\xbb\xbfid,name,price,at\n1,Ann,,\n", {"id": 1, "name": "Ann"}),
    "quoted with a line end": (b'id,name,"at\n",price\n1,Ann,,\n', {"id": 1, "name": "Ann"}),
    "a column is missing": (b"id,name\n1,Ann\n", {"id": 1, "name": "Ann"}),
    "columns nobody declared": (b"id,vip,note\n1,yes,\n", {"id": 1, "_rescued_data": '{"vip":"yes"}'}),
    "a column twice": (b"id,name,ID\n1,Ann,2\n", {"id": 1, "name": "Ann", "_rescued_data": '{"_column_3":"2"}'}),
    "an unknown column twice": (b"id,x,x\n1,a,b\n", {"id": 1, "_rescued_data": '{"x":"a","_column_3":"b"}'}),
    "a column without name": (b"id,,name\n1,a,Ann\n", {"id": 1, "name": "Ann", "_rescued_data": '{"_column_2":"a"}'}),
    "a column called as one of ours": (
        b"id,_corrupt_record\n1,a\n",
        {"id": 1, "_rescued_data": '{"_corrupt_record":"a"}'},
    ),
    "columns called as our marks": (
        b"id,_field_count,_column_9\n1,a,b\n",
        {"id": 1, "_rescued_data": '{"_column_2":"a","_column_3":"b"}'},
    ),
    "an unknown column beside a misfit": (b"vip,id\nyes,x\n", {"_rescued_data": '{"vip":"yes","id":"x"}'}),
}


@pytest.mark.parametrize(("content", "expected"), HEADERS.values(), ids=HEADERS)
def test_header(landing: Landing, content: bytes, expected: dict[str, Any]) -> None:
    (row,) = landing.read(content, COLUMNS, "csv")
    assert {name: row[name] for name in NOTHING} == NOTHING | expected


@pytest.mark.parametrize(
    "content", [HEADER, HEADER[:-1], b"\n\n", b"\xef\xbb\xbf"], ids=["header", "cut header", "blank", "mark only"]
)
def test_no_record_is_no_row_and_no_fault(landing: Landing, content: bytes) -> None:
    assert landing.read(content, COLUMNS, "csv") == []
    assert landing.unreadable == {}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty (0 bytes)"),
        (b"1,Ann,2.50,2024-05-01\n", "its header names none of the declared columns"),
        (b'id,"name\n1,Ann\n', "its header is not well-formed CSV in UTF-8"),
        (b"id,\xff\n1,Ann\n", "its header is not well-formed CSV in UTF-8"),
        ("id,name\n".encode("utf-16"), "it is UTF-16 or UTF-32: land it as UTF-8"),
        (b"\x1f\x8b\x08\x00", "it is compressed (gzip): land it unpacked"),
    ],
)
def test_unreadable_file_is_reported_with_a_reason_without_content(
    landing: Landing, content: bytes, reason: str
) -> None:
    assert landing.read(content, COLUMNS, "csv") == []
    assert list(landing.unreadable.values()) == [reason]


def test_dense_trouble_is_read_exactly_and_the_fast_path_resumes(landing: Landing) -> None:
    lines = [f'{n},5" wide,,' if n % 700 == 0 else f'{n},"n{n}",,' for n in range(1, 5001)]
    rows = landing.read(HEADER + "\n".join(lines).encode(), COLUMNS, "csv")
    assert [row["id"] for row in rows] == list(range(1, 5001))
    assert [row["_row_number"] for row in rows] == list(range(1, 5001))
    assert {row["name"] for row in rows if row["id"] % 700 == 0} == {'5" wide'}


def test_one_record_in_trouble_is_the_only_one_read_exactly(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    exact: list[bytes] = []
    read_exactly = csv_lines.scan_record

    def scan(buffer: bytes, start: int, *, final: bool) -> Record | None:
        record = read_exactly(buffer, start, final=final)
        exact.append(record.text if record else b"")
        return record

    monkeypatch.setattr(csv_lines, "scan_record", scan)
    lines = [f'{n},5" wide,,' if n % 700 == 0 else f'{n},"n{n}",,' for n in range(1, 5001)]
    landing.read(HEADER + "\n".join(lines).encode(), COLUMNS, "csv")
    assert exact == [HEADER.strip(), *(f'{n},5" wide,,'.encode() for n in range(700, 5001, 700))]


def test_a_file_of_one_column_with_trouble(landing: Landing) -> None:
    rows = landing.read(b'name\n"a"\n5" wide\nb\n\n"c', {"name": "STRING"}, "csv")
    assert [(row["name"], row["_corrupt_record"]) for row in rows] == [
        ("a", None),
        ('5" wide', None),
        ("b", None),
        (None, '"c'),
    ]


def test_record_beyond_the_limit_is_kept_in_pieces(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_file, "MAX_RECORD_BYTES", 64)
    long = b"2," + b"x" * 200 + b",,"
    rows = landing.read(HEADER + b"1,Ann,,\n" + long + b"\n3,Cy,,\n", COLUMNS, "csv", chunk_bytes=50)
    pieces = [row for row in rows if row["_row_number"] == 2]
    assert "".join(row["_corrupt_record"] for row in pieces).encode() == long
    assert all(len(row["_corrupt_record"]) <= 64 + 50 for row in pieces)
    assert [(row["_row_number"], row["name"]) for row in rows if row["id"]] == [(1, "Ann"), (3, "Cy")]


def test_quote_not_closed_within_the_limit_costs_one_line(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_file, "MAX_RECORD_BYTES", 64)
    body = b'1,"open,,\n' + b"".join(b"%d,Bob,,\n" % n for n in range(2, 40))
    rows = landing.read(HEADER + body, COLUMNS, "csv", chunk_bytes=50)
    assert rows[0]["_corrupt_record"] == '1,"open,,'
    assert [row["id"] for row in rows[1:]] == list(range(2, 40))


def test_clean_records_are_not_read_one_by_one(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(csv_lines, "read_record")
    body = b'1,"a, ""b""\nc",2.50,2024-05-01 10:00:00\r\n\n 2 ,,"",2024-05-01T10:00:00.123456789Z\n,x,,2024-02-29\n'
    rows = landing.read(HEADER + body, COLUMNS, "csv")
    assert [(row["id"], row["name"]) for row in rows] == [(1, 'a, "b"\nc'), (2, None), (None, "x")]
    assert rows[1]["at"] == datetime(2024, 5, 1, 10, 0, 0, 123456, tzinfo=UTC)
