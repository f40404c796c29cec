"""What is LMDB's own: the file, its size, other processes, and death in the middle of a write."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path

import lmdb
import pytest

from lakehouse.online.layout import encode_profile, header_key, profile_key
from lakehouse.online.lmdb_store import LmdbStore
from lakehouse.online.store import DamagedProfile, Header, OnlineStoreFull, OnlineStoreUnavailable

PUBLISHER = """
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from lakehouse.online.lmdb_store import LmdbStore
from lakehouse.online.store import Header

path, map_mb, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with LmdbStore(path, map_mb) as store:
    current = store.header("t")
    version = current.version if current else 0
    while version < last:
        version += 1
        profiles = [(f"C{i}", {"public": b"%d" % version + b"x" * 500}) for i in range(2000)]
        header = Header("gold.t", version, date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC), {"public": ()})
        store.apply("t", profiles, [f"D{version - 1}"], header, after=version - 1 or None)
        print(version, flush=True)
"""


def header(version: int) -> Header:
    return Header("gold.t", version, date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC), {"public": ()})


def test_a_publisher_killed_at_any_instant_leaves_one_whole_version(tmp_path: Path) -> None:
    chance = random.Random(11)
    seen = set()
    with LmdbStore(tmp_path, 64, readonly=True) as reader:
        for _ in range(25):
            command = [sys.executable, "-c", PUBLISHER, str(tmp_path), "64", "1000000"]
            publisher = subprocess.Popen(command, stdout=subprocess.PIPE)
            assert publisher.stdout is not None
            publisher.stdout.readline()  # it is at work
            time.sleep(chance.uniform(0, 0.06))
            publisher.send_signal(signal.SIGKILL)
            publisher.communicate()
            stored = reader.header("t")
            assert stored is not None
            assert stored.count == 2000
            for i in (0, 1, 999, 1998, 1999):
                profile = reader.get("t", f"C{i}")
                assert profile is not None
                assert profile.segments[0].rstrip(b"x") == b"%d" % stored.version
            seen.add(stored.version)
    assert len(seen) > 20  # every publisher went on from where the one before was killed


def test_a_reader_adopts_the_larger_map_of_a_writer_in_another_process(tmp_path: Path) -> None:
    with LmdbStore(tmp_path, 4, readonly=True) as reader:
        assert reader.header("t") is None
        _publish(tmp_path, map_mb=4, last=1)
        assert reader.get("t", "C1") is not None
        with pytest.raises(subprocess.CalledProcessError):
            _publish(tmp_path, map_mb=4, last=30)  # does not fit: two versions side by side need more
        _publish(tmp_path, map_mb=64, last=30)
        profile = reader.get("t", "C1")
        assert profile is not None
        assert profile.header.version == 30


def test_a_full_store_says_which_setting_to_raise_and_keeps_what_it_had(tmp_path: Path) -> None:
    with LmdbStore(tmp_path, 1) as store:
        store.apply("t", [("C1", {"public": b"1"})], (), header(1), after=None)
        large = ((f"C{i}", {"public": b"x" * 1000}) for i in range(5000))
        with pytest.raises(OnlineStoreFull, match="C360_ONLINE_MAP_MB"):
            store.apply("t", large, (), header(2), after=1)
        profile = store.get("t", "C1")
        assert profile is not None
        assert (profile.segments, profile.header.version) == ((b"1",), 1)


def test_a_repeat_commits_nothing_to_the_file(tmp_path: Path) -> None:
    with LmdbStore(tmp_path, 4) as store:
        store.apply("t", [("C1", {"public": b"1"})], (), header(1), after=None)
    before = _last_transaction(tmp_path)
    with LmdbStore(tmp_path, 4) as store:
        store.apply("t", [("C1", {"public": b"1"})], ["C2"], header(1), after=1)
        store.replace("t", [("C1", {"public": b"1"})], header(1), after=1)
    assert _last_transaction(tmp_path) == before


def test_the_files_are_for_their_owner_only(tmp_path: Path) -> None:
    with LmdbStore(tmp_path / "online", 4) as store:
        store.apply("t", [("C1", {"public": b"1"})], (), header(1), after=None)
    assert (tmp_path / "online").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "online" / "data.mdb").stat().st_mode & 0o077 == 0


def test_a_store_opened_for_reading_refuses_to_write(tmp_path: Path) -> None:
    with LmdbStore(tmp_path, 4, readonly=True) as store, pytest.raises(OnlineStoreUnavailable):
        store.apply("t", (), (), header(1), after=None)
    _publish(tmp_path, map_mb=4, last=1)
    with LmdbStore(tmp_path, 4, readonly=True) as store, pytest.raises(OnlineStoreUnavailable):
        store.apply("t", (), (), header(2), after=1)


def test_a_file_that_is_no_store_is_reported_not_raised_raw(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"not a database" * 1000)
    with LmdbStore(tmp_path, 4, readonly=True) as store, pytest.raises(OnlineStoreUnavailable):
        store.header("t")


def test_warming_reads_the_used_part_of_a_sparse_file(tmp_path: Path) -> None:
    with LmdbStore(tmp_path, 1024) as store:
        store.apply("t", [(f"C{i}", {"public": b"x" * 1000}) for i in range(1000)], (), header(1), after=None)
        assert 1_000_000 < store.warm() < 4_000_000
    with LmdbStore(tmp_path / "none", 4, readonly=True) as empty:
        assert empty.warm() == 0


@pytest.mark.parametrize("cut", [0, 1, 5, 12, -1])
def test_a_damaged_value_is_a_fault_never_a_partial_profile(tmp_path: Path, cut: int) -> None:
    value = encode_profile({"public": b'"n":1', "pii.email": b'"email":"e"'})
    with LmdbStore(tmp_path, 4) as store:
        store.apply("t", [("C1", {"public": b"1"})], (), header(1), after=None)
    with lmdb.open(str(tmp_path), map_size=4 << 20) as environment, environment.begin(write=True) as transaction:
        assert transaction.get(header_key("t")) is not None
        transaction.put(profile_key("t", "C1"), value[:cut])
    with LmdbStore(tmp_path, 4) as store, pytest.raises(DamagedProfile):
        store.get("t", "C1")


def _publish(path: Path, map_mb: int, last: int) -> None:
    subprocess.run(
        [sys.executable, "-c", PUBLISHER, str(path), str(map_mb), str(last)], check=True, capture_output=True
    )


def _last_transaction(path: Path) -> int:
    with lmdb.open(str(path), map_size=4 << 20) as environment:
        last: int = environment.info()["last_txnid"]
        return last
