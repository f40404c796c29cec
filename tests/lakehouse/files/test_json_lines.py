"""What becomes of each kind of JSON line."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from lakehouse.files import json_lines, text_file
from lakehouse.files.json_record import MAX_DEPTH
from tests.fixtures.landing import Landing

COLUMNS = {
    "id": "BIGINT",
    "name": "STRING",
    "at": "TIMESTAMP",
    "ok": "BOOLEAN",
    "price": "DECIMAL(10,2)",
    "home": "STRUCT<street: STRING, number: INT>",
    "tags": "ARRAY<STRING>",
}
NOTHING: dict[str, Any] = dict.fromkeys([*COLUMNS, "_corrupt_record", "_rescued_data"])

LINES: dict[str, tuple[bytes, dict[str, Any]]] = {
    "every type": (
        (
            b'{"id": 1, "name": "Ann", "at": "2024-05-01T10:00:00+02:00", "ok": true, "price": 1.5,'
            b' "home": {"street": "a:b", "number": 5}, "tags": ["x", null]}'
        ),
        {
            "id": 1,
            "name": "Ann",
            "at": datetime(2024, 5, 1, 8, tzinfo=UTC),
            "ok": True,
            "price": Decimal("1.50"),
            "home": {"street": "a:b", "number": 5},
            "tags": ["x", None],
        },
    ),
    "nothing": (b"{}", {}),
    "nulls": (b'{"id":null,"home":null,"other":null}', {}),
    "values in strings": (b'{"id":" 7 ","ok":"TRUE","price":"1.10"}', {"id": 7, "ok": True, "price": Decimal("1.10")}),
    "empty strings": (b'{"id":"","name":"","at":" "}', {"name": ""}),
    "a number where a string is declared": (b'{"name":1.50}', {"name": "1.50"}),
    "a huge number where a string is declared": (
        b'{"name":12345678901234567890123}',
        {"name": "12345678901234567890123"},
    ),
    "an object where a string is declared": (b'{"name":{"a": [1,  2]}}', {"name": '{"a": [1,  2]}'}),
    "a number that is no integer": (b'{"id":3.0}', {"_rescued_data": '{"id":3.0}'}),
    "a number out of range": (b'{"id":9223372036854775808}', {"_rescued_data": '{"id":9223372036854775808}'}),
    "a number where a boolean is declared": (b'{"ok":1}', {"_rescued_data": '{"ok":1}'}),
    "a cent that would be lost": (b'{"price":1.505}', {"_rescued_data": '{"price":1.505}'}),
    "an exponent without loss": (b'{"price":15e-1}', {"price": Decimal("1.50")}),
    "unknown members": (
        b'{"id":1,"vip":{"a":1e3},"x":"\\u00e9"}',
        {"id": 1, "_rescued_data": '{"vip":{"a":1e3},"x":"\\u00e9"}'},
    ),
    "a name in another case": (b'{"ID":1}', {"_rescued_data": '{"ID":1}'}),
    "a name of ours": (b'{"_row_number":5}', {"_rescued_data": '{"_row_number":5}'}),
    "trouble in a struct": (
        b'{"home":{"number":"x","street":"s","zip":{"a":1}}}',
        {"home": {"street": "s", "number": None}, "_rescued_data": '{"home":{"number":"x","zip":{"a":1}}}'},
    ),
    "no struct": (b'{"home":"Berlin"}', {"_rescued_data": '{"home":"Berlin"}'}),
    "an array that does not fit": (b'{"tags":["a","\\ud800"]}', {"_rescued_data": '{"tags":["a","\\ud800"]}'}),
    "escapes": (b'{"na\\u006de":"\\u00e9\\ud83d\\ude00\\n\\/"}', {"name": "é😀\n/"}),
    "NUL": (b'{"name":"a\\u0000b"}', {"name": "a\0b"}),
    "half a surrogate pair": (b'{"name":"\\ud800"}', {"_rescued_data": '{"name":"\\ud800"}'}),
    "CR before the line end": (b'{"id":1}\r', {"id": 1}),
    "cut short": (b'{"id":1,"na', {"_corrupt_record": '{"id":1,"na'}),
    "more than one object": (b'{"id":1}{"id":2}', {"_corrupt_record": '{"id":1}{"id":2}'}),
    "an array": (b'[{"id":1}]', {"_corrupt_record": '[{"id":1}]'}),
    "a trailing comma": (b'{"id":1,}', {"_corrupt_record": '{"id":1,}'}),
    "NaN": (b'{"price":NaN}', {"_corrupt_record": '{"price":NaN}'}),
    "a raw tab in a string": (b'{"name":"a\tb"}', {"_corrupt_record": '{"name":"a\tb"}'}),
    "a member twice": (b'{"name":"a","name":"b"}', {"_corrupt_record": '{"name":"a","name":"b"}'}),
    "a member twice, hidden by an escaped colon": (
        b'{"name":"a","name":"\\u003a"}',
        {"_corrupt_record": '{"name":"a","name":"\\u003a"}'},
    ),
    "a member twice in a struct": (
        b'{"home":{"street":"a","street":"b"}}',
        {"_corrupt_record": '{"home":{"street":"a","street":"b"}}'},
    ),
    "not UTF-8": (
        b'{"name":"\\n\xff"}',
        {"_corrupt_record": '{"name":"\\\\n\\xff"}', "_rescued_data": '{"_corrupt_record":"backslashreplace"}'},
    ),
}


@pytest.mark.parametrize(("line", "expected"), LINES.values(), ids=LINES)
def test_line(landing: Landing, line: bytes, expected: dict[str, Any]) -> None:
    for content in (line, line + b"\n", b"\xef\xbb\xbf" + line):
        (row,) = landing.read(content, COLUMNS, "json")
        assert {name: row[name] for name in NOTHING} == NOTHING | expected


def test_blank_lines_are_no_rows_but_count(landing: Landing) -> None:
    rows = landing.read(b'\n \t\r\n{"id":1}\r\n\nx\n{"id":2}', COLUMNS, "json", chunk_bytes=3)
    assert [(row["_row_number"], row["id"], row["_corrupt_record"]) for row in rows] == [
        (3, 1, None),
        (5, None, "x"),
        (6, 2, None),
    ]


@pytest.mark.parametrize(("depth", "parses"), [(MAX_DEPTH - 1, True), (MAX_DEPTH, False), (100_000, False)])
def test_nesting_has_a_limit(landing: Landing, depth: int, parses: bool) -> None:
    line = b'{"other":' + b"[" * depth + b"]" * depth + b"}"
    (row,) = landing.read(line, COLUMNS, "json")
    assert (row["_corrupt_record"] is None) == parses
    assert line.decode() in (row["_corrupt_record"], row["_rescued_data"])


def test_brackets_in_strings_do_not_nest(landing: Landing) -> None:
    text = "[" * 500 + '\\"' + "{" * 500
    (row,) = landing.read(f'{{"name":"{text}","other":1}}'.encode(), COLUMNS, "json")
    assert row["name"] == text.replace("\\", "")


def test_line_beyond_the_limit_is_kept_in_pieces(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_file, "MAX_RECORD_BYTES", 64)
    long = b'{"name":"' + b"x" * 200 + b'"}'
    rows = landing.read(b'{"id":1}\n' + long + b'\n{"id":3}', COLUMNS, "json", chunk_bytes=50)
    assert "".join(row["_corrupt_record"] for row in rows if row["_row_number"] == 2).encode() == long
    assert [(row["_row_number"], row["id"]) for row in rows if row["id"]] == [(1, 1), (3, 3)]


def test_long_line_within_the_limit_is_read_whole(landing: Landing) -> None:
    text = "x" * 3_000_000
    (row,) = landing.read(f'{{"name":"{text}"}}'.encode(), COLUMNS, "json", chunk_bytes=1 << 16)
    assert row["name"] == text


def test_clean_lines_are_not_read_one_by_one(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(json_lines, "read_line")
    whole = b'{"id":1,"name":"a:b","at":"2024-05-01 10:00:00","ok":true,"price":1.5,"home":{"street":"s: t","number":5},"tags":null}'
    rows = landing.read(whole + b'\n{"name":null,"home":{}}\n{"home":null, "id" : 3}\r\n{}', COLUMNS, "json")
    assert [row["id"] for row in rows] == [1, None, 3, None]
    assert rows[0]["home"] == {"street": "s: t", "number": 5}
