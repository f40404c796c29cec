"""One long-lived run of micro-batches: fed while it runs, killed, started again, and stopped."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from tests.platform import Platform
from tests.streams import EVENTS_A_FILE, Feed, freshness, held_leases, ids, states, streaming, until

PERIOD = 0.2  # seconds between two files


def test_every_row_once_over_two_kills_and_a_clean_stop(tmp_path: Path) -> None:
    home = tmp_path / "home"
    feed = Feed(home)
    with streaming(home, interval=0.5) as stream:
        for _ in range(2):
            stream.start()
            before = len(ids(home, "bronze/web_events"))
            for _ in range(5):
                feed.drop()
            until(lambda before=before: len(ids(home, "bronze/web_events")) > before)
            stream.kill()
        stream.start()
        feed.drop()
        until(lambda: len(ids(home, "silver/web_events")) == feed.dropped * EVENTS_A_FILE)
        record = stream.stop()
    rows = ids(home, "bronze/web_events")
    assert (len(rows), rows.total()) == (feed.dropped * EVENTS_A_FILE, feed.dropped * EVENTS_A_FILE)
    assert states(home) == [("cancelled", "streaming")] * 2 + [("succeeded", "streaming")]
    assert held_leases(home) == []
    assert record["batches"] >= 1
    assert record["datasets"]["bronze.web_events"]["rows_written"] > 0
    assert len(freshness(home)) == feed.dropped
    with Platform(home) as platform:
        assert platform.profile("c1")["customer_id"] == "c1"


@pytest.mark.long
def test_five_files_a_second_for_ten_minutes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Killed twice meanwhile. Prints freshness and memory; held to the limits of a machine that has nothing else to do."""
    home, seconds = tmp_path / "home", 600
    feed = Feed(home)
    memory: list[tuple[float, int]] = []
    begun = time.monotonic()
    kills = [seconds / 3, seconds * 2 / 3]
    with streaming(home, interval=10) as stream:
        stream.start()
        for number in itertools.count():
            passed = time.monotonic() - begun
            if passed > seconds:
                break
            if kills and passed > kills[0]:
                kills.pop(0)
                stream.kill()
                stream.start()
            feed.drop()
            if number % 25 == 0 and passed > seconds * 2 / 3 + 60:
                memory.append((passed, stream.resident_kb()))
            time.sleep(max(0.0, begun + (number + 1) * PERIOD - time.monotonic()))
        until(lambda: len(ids(home, "silver/web_events")) == feed.dropped * EVENTS_A_FILE)
        record = stream.stop()
    rows, waited = ids(home, "bronze/web_events"), freshness(home)
    third = len(memory) // 3
    early, late = (max(kb for _, kb in part) for part in (memory[:third], memory[-third:]))
    with capsys.disabled():
        print(f"\nfiles {feed.dropped}, rows {rows.total()}, batches of the last run {record['batches']}")
        p50, p95 = (waited[int(len(waited) * share)] for share in (0.5, 0.95))
        print(
            f"freshness p50 {p50:.1f} s, p95 {p95:.1f} s, worst {waited[-1]:.1f} s; memory {early >> 10} MB, then {late >> 10} MB"
        )
    assert (len(rows), rows.total()) == (feed.dropped * EVENTS_A_FILE, feed.dropped * EVENTS_A_FILE)
    assert late < early * 1.15
