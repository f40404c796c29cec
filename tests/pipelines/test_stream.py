"""The loop of a streaming run, in this process: what it looks at, when, and what it adds up."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lakehouse.files.arrivals import Arrivals
from pipelines import stream
from pipelines.stream import Totals, run_stream
from tests.platform import Platform
from tests.streams import Feed

AS_OF = date(2026, 3, 1)
TICKS = 6


class Deaf(Arrivals):
    """Misses every notification, as on a network share."""

    def take(self) -> set[str]:
        super().take()
        return set()


def ticks(
    platform: Platform, list_every: float, at_tick: dict[int, Any] | None = None
) -> tuple[Totals, list[dict[str, Any]]]:
    """Run a stream for some ticks of no length; ``at_tick`` is called at the ends of these."""
    passed: list[float] = []
    told: list[dict[str, Any]] = []

    def wait(seconds: float) -> bool:
        passed.append(seconds)
        (at_tick or {}).get(len(passed), lambda: None)()
        return len(passed) == TICKS

    with platform.installation.engine() as engine:
        context = platform.context(engine, AS_OF)
        totals = run_stream(
            "daily", context, platform.store, wait, on_batch=told.append, interval=0, list_every=list_every
        )
    return totals, told


def test_missed_notifications_are_found_by_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "Arrivals", Deaf)
    feed = Feed(tmp_path)
    with Platform(tmp_path) as platform:
        totals, told = ticks(platform, 0, {3: feed.drop})
        assert totals.datasets["bronze.web_events"].files == 1
        assert [batch["files"] for batch in told] == [0, 0, 0, 1, 0, 0]


def test_an_idle_tick_looks_at_nothing_and_a_source_at_what_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "Arrivals", Deaf)
    feed = Feed(tmp_path)
    with Platform(tmp_path) as platform:
        _, told = ticks(platform, 3600, {1: feed.drop})
        assert [batch["files"] for batch in told] == [0, 1]  # the first two looks; then nothing has arrived
        assert told[1]["rows"] > 0
        again, _ = ticks(platform, 3600)
        assert again.record["commits"] == 0
        assert again.record["batches"] == 2
