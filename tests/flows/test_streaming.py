"""One long-lived run of micro-batches: fed while it runs, killed, started again, and stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.streaming import measure
from tests.platform import Platform
from tests.streams import EVENTS_A_FILE, Feed, freshness, held_leases, ids, states, streaming, until


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
    """Killed twice meanwhile; freshness is printed (`bench.streaming`), memory held to what a stream has after its first minutes."""
    outcome = measure(tmp_path / "home", seconds=600, files_a_second=5, interval=10)
    with capsys.disabled():
        print(
            f"\nfreshness p50 {outcome.waited_at(0.5):.1f} s, p95 {outcome.waited_at(0.95):.1f} s of {outcome.files} files"
        )
    assert outcome.exact
    assert len(outcome.waited) == outcome.files
    assert outcome.late_mb < outcome.early_mb * 1.15
