"""Whoever changes, drops, moves, adds or cuts off anything that an anchor binds is found, and the first such place is named."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from governance.audit import Event
from governance.audit.verify import Verification, verify
from kit.db import Database
from kit.keyring import KeyRing
from tests.governance.audit.trails import breaks, read, trail_of, wait_until
from workers.migrate import upgrade

ROWS = 24
SIGNED = (
    "at",
    "service",
    "action",
    "principal",
    "status",
    "error",
    "request_id",
    "customer",
    "source",
    "params",
    "anchor",
)
Tampering = Callable[[sqlite3.Connection, random.Random], str | None]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a trail of three writers with 24 rows each, bound by several anchors."""
    folder = tmp_path_factory.mktemp("whole")
    database, ring = Database(f"sqlite:///{folder / 'control.db'}"), KeyRing(folder / "keyring.json")
    upgrade(database)
    for _ in range(3):
        with trail_of(database, ring, anchor_seconds=0.0) as trail:
            for number in range(ROWS):
                trail.record(read(number) if number % 3 else Event("runs", "create_run", "key_9", source="192.0.2.1"))
                if number % 5 == 0:
                    wait_until(lambda: trail.waiting == 0)
    database.close()
    return folder


def test_the_untouched_trail_is_whole(whole: Path) -> None:
    database, seen = Database(f"sqlite:///{whole / 'control.db'}"), Verification()
    assert list(verify(database, KeyRing(whole / "keyring.json"), seen)) == []
    assert (seen.rows, seen.writers, seen.unanchored) == (3 * ROWS, 3, 0)
    assert seen.anchors >= 3
    database.close()


def edit(connection: sqlite3.Connection, chance: random.Random) -> str:
    writer, seq, column = chance.randint(1, 3), chance.randint(1, ROWS), chance.choice(SIGNED)
    other = {"status": 499, "anchor": 99, "at": "2026-01-01 00:00:00.000000"}.get(column, "other")
    connection.execute(f"UPDATE audit_event SET {column} = ? WHERE writer = ? AND seq = ?", (other, writer, seq))
    return f"row {writer}-{seq}"


def edit_and_recompute(connection: sqlite3.Connection, chance: random.Random) -> str:
    """Without the key no digest fits."""
    writer, seq = chance.randint(1, 3), chance.randint(1, ROWS)
    connection.execute(
        "UPDATE audit_event SET principal = 'x', digest = ? WHERE writer = ? AND seq = ?",
        (chance.randbytes(32), writer, seq),
    )
    return f"row {writer}-{seq}"


def drop(connection: sqlite3.Connection, chance: random.Random) -> str:
    writer, seq = chance.randint(1, 3), chance.randint(1, ROWS)
    connection.execute("DELETE FROM audit_event WHERE writer = ? AND seq = ?", (writer, seq))
    return f"row {writer}-{seq}"


def drop_and_close_the_gap(connection: sqlite3.Connection, chance: random.Random) -> str:
    writer, seq = chance.randint(1, 3), chance.randint(1, ROWS - 1)
    connection.execute("DELETE FROM audit_event WHERE writer = ? AND seq = ?", (writer, seq))
    for later in range(seq + 1, ROWS + 1):
        connection.execute("UPDATE audit_event SET seq = ? WHERE writer = ? AND seq = ?", (later - 1, writer, later))
    return f"row {writer}-{seq}"


def swap(connection: sqlite3.Connection, chance: random.Random) -> str:
    writer, (one, two) = chance.randint(1, 3), sorted(chance.sample(range(1, ROWS + 1), 2))
    for old, new in ((one, -1), (two, one), (-1, two)):
        connection.execute("UPDATE audit_event SET seq = ? WHERE writer = ? AND seq = ?", (new, writer, old))
    return f"row {writer}-{one}"


def swap_between_chains(connection: sqlite3.Connection, chance: random.Random) -> str:
    one, two = sorted(chance.sample(range(1, 4), 2))
    seq = chance.randint(1, ROWS)
    for old, new in ((one, -1), (two, one), (-1, two)):
        connection.execute("UPDATE audit_event SET writer = ? WHERE writer = ? AND seq = ?", (new, old, seq))
    return f"row {one}-{seq}"


def insert(connection: sqlite3.Connection, chance: random.Random) -> str:
    writer, seq = chance.randint(1, 3), chance.randint(1, ROWS)
    for later in range(ROWS, seq - 1, -1):
        connection.execute("UPDATE audit_event SET seq = ? WHERE writer = ? AND seq = ?", (later + 1, writer, later))
    _copy(connection, writer, seq + 1, seq)
    return f"row {writer}-{seq + 1}"


def add_at_the_end(connection: sqlite3.Connection, chance: random.Random) -> str:
    writer = chance.randint(1, 3)
    _copy(connection, writer, chance.randint(1, ROWS), ROWS + 1)
    return f"row {writer}-{ROWS + 1}"


def cut_off(connection: sqlite3.Connection, chance: random.Random) -> str:
    writer, seq = chance.randint(1, 3), chance.randint(1, ROWS)
    connection.execute("DELETE FROM audit_event WHERE writer = ? AND seq >= ?", (writer, seq))
    connection.execute(
        "UPDATE audit_writer SET head_seq = ?, anchored_seq = ? WHERE number = ?", (seq - 1, seq - 1, writer)
    )
    return f"row {writer}-{seq}"


def drop_a_whole_chain(connection: sqlite3.Connection, chance: random.Random) -> str:
    writer = chance.randint(1, 3)
    connection.execute("DELETE FROM audit_event WHERE writer = ?", (writer,))
    connection.execute("DELETE FROM audit_writer WHERE number = ?", (writer,))
    return f"row {writer}-1"


def drop_a_chain_and_its_heads(connection: sqlite3.Connection, chance: random.Random) -> None:
    drop_a_whole_chain(connection, chance)
    connection.execute("DELETE FROM audit_anchor_head WHERE writer NOT IN (SELECT number FROM audit_writer)")


def rename_a_writer(connection: sqlite3.Connection, chance: random.Random) -> str:
    writer = chance.randint(1, 3)
    connection.execute("UPDATE audit_writer SET name = 'other' WHERE number = ?", (writer,))
    return f"row {writer}-1"


def change_a_head(connection: sqlite3.Connection, chance: random.Random) -> None:
    column, value = chance.choice([("seq", 1), ("digest", b"x" * 32), ("writer", 7)])
    number = chance.choice([row[0] for row in connection.execute("SELECT anchor FROM audit_anchor_head WHERE seq > 1")])
    connection.execute(f"UPDATE audit_anchor_head SET {column} = ? WHERE anchor = ?", (value, number))


def drop_an_anchor(connection: sqlite3.Connection, chance: random.Random) -> str:
    last = connection.execute("SELECT max(number) FROM audit_anchor").fetchone()[0]
    number = chance.randint(1, last - 1)
    connection.execute("DELETE FROM audit_anchor WHERE number = ?", (number,))
    return f"anchor {number}"


def cut_off_anchors_with_their_rows(connection: sqlite3.Connection, chance: random.Random) -> None:
    """All anchors go, and of the last chain all rows that they bound: other rows name anchors that are not there."""
    connection.execute("DELETE FROM audit_anchor")
    connection.execute("DELETE FROM audit_anchor_head")
    seq = chance.randint(2, ROWS)
    connection.execute("DELETE FROM audit_event WHERE writer = 3 AND seq >= ?", (seq,))
    connection.execute("UPDATE audit_writer SET head_seq = ?, anchored_seq = 0 WHERE number = 3", (seq - 1,))


TAMPERINGS: list[Tampering] = [
    edit,
    edit_and_recompute,
    drop,
    drop_and_close_the_gap,
    swap,
    swap_between_chains,
    insert,
    add_at_the_end,
    cut_off,
    drop_a_whole_chain,
    drop_a_chain_and_its_heads,
    rename_a_writer,
    change_a_head,
    drop_an_anchor,
    cut_off_anchors_with_their_rows,
]


@pytest.mark.parametrize("tampering", TAMPERINGS, ids=lambda tampering: tampering.__name__)
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_every_tampering_is_found(tampering: Tampering, whole: Path, tmp_path: Path, seed: int) -> None:
    copy = tmp_path / "control.db"
    shutil.copyfile(whole / "control.db", copy)
    with closing(sqlite3.connect(copy)) as connection:
        place = tampering(connection, random.Random(seed))
        connection.commit()
    database = Database(f"sqlite:///{copy}")
    found = breaks(database, KeyRing(whole / "keyring.json"))
    database.close()
    assert found
    if place is not None:
        assert place in [each.where for each in found]


def test_a_rollback_of_everything_is_found_by_whoever_noted_an_anchor(whole: Path, tmp_path: Path) -> None:
    """The one thing that the database alone cannot show: that it is an older copy of itself."""
    copy = tmp_path / "control.db"
    shutil.copyfile(whole / "control.db", copy)
    database, ring = Database(f"sqlite:///{copy}"), KeyRing(whole / "keyring.json")
    with trail_of(database, ring) as trail:
        trail.record(read(1))
    seen = Verification()
    assert list(verify(database, ring, seen)) == []
    witness = seen.anchor
    assert witness is not None
    assert breaks(database, ring, witness) == []
    database.close()
    old = Database(f"sqlite:///{whole / 'control.db'}")
    assert breaks(old, ring) == []
    assert [each.what for each in breaks(old, ring, witness)] == ["was noted, and is not there"]
    number = witness.partition(":")[0]
    assert [each.what for each in breaks(old, ring, f"{int(number) - 1}:00")] == ["is not the one that was noted"]
    old.close()


def _copy(connection: sqlite3.Connection, writer: int, source: int, target: int) -> None:
    names = [row[1] for row in connection.execute("PRAGMA table_info(audit_event)")]
    chosen = ", ".join("?" if name == "seq" else name for name in names)
    connection.execute(
        f"INSERT INTO audit_event ({', '.join(names)}) SELECT {chosen} FROM audit_event WHERE writer = ? AND seq = ?",
        (target, writer, source),
    )
