"""Cursors: a list walked page by page is the list, and no cursor works where it was not made for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cursors import Cursors, InvalidCursor
from kit.key_document import generate
from kit.keyring import KeyRing, Purpose

CURSORS = Cursors(KeyRing.choose(Path("nowhere"), document=generate()))
POSITIONS = st.lists(st.text(max_size=20) | st.integers(-(2**53), 2**53), min_size=1, max_size=3)


@given(rows=st.sets(st.integers(0, 10_000), max_size=40), limit=st.integers(1, 12))
def test_pages_of_any_size_give_every_row_once(rows: set[int], limit: int) -> None:
    seen: list[int] = []
    cursor = None
    while True:
        after = CURSORS.open(cursor, of="rows")[0] if cursor else -1
        read = sorted(row for row in rows if row > int(after))[: limit + 1]
        page, cursor = CURSORS.page(read, limit, lambda row: (row,), of="rows")
        seen += page
        if cursor is None:
            break
    assert seen == sorted(rows)


@given(position=POSITIONS)
def test_a_position_comes_back_as_it_was(position: list[str | int]) -> None:
    cursor = CURSORS.seal(position, of="runs")
    assert CURSORS.open(cursor, of="runs") == position
    assert cursor.isascii()
    assert not set("+/=&?#%") & set(cursor)


@given(position=POSITIONS, at=st.integers(0), letter=st.sampled_from("AZaz09-_!é="))
def test_a_cursor_changed_anywhere_or_used_elsewhere_is_refused(
    position: list[str | int], at: int, letter: str
) -> None:
    cursor = CURSORS.seal(position, of="runs?state=failed")
    with pytest.raises(InvalidCursor):
        CURSORS.open(cursor, of="runs?state=queued")
    with pytest.raises(InvalidCursor):
        Cursors(KeyRing.choose(Path("nowhere"), document=generate())).open(cursor, of="runs?state=failed")
    at %= len(cursor) - 1  # the very last letter has bits that mean nothing
    changed = cursor[:at] + letter + cursor[at + 1 :]
    if changed != cursor:
        with pytest.raises(InvalidCursor):
            CURSORS.open(changed, of="runs?state=failed")


@given(text=st.text(max_size=200))
def test_no_text_is_a_cursor(text: str) -> None:
    with pytest.raises(InvalidCursor):
        CURSORS.open(text, of="runs")


def test_a_cursor_outlives_a_rotation(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "keyring.json")
    cursor = Cursors(ring).seal(["run_1"], of="runs")
    ring.rotate(Purpose.CURSORS)
    assert Cursors(ring).open(cursor, of="runs") == ["run_1"]
