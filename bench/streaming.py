"""Is a stream that is fed five files a second fresh, exact over two kills, and does its memory stay flat?

    python -m bench.streaming [--minutes 10] [--files-a-second 5] [--interval 10]

Files of web events are dropped into the landing zone of ``c360 pipeline run daily --trigger streaming``, which is killed (SIGKILL) after
a sixth and after a third of the time and started again at once; at the end it is asked to stop. Every event must stand once in
bronze and in silver, or the command fails. Printed: freshness, from a file's landing until the micro-batch that took it had been
published, over all files, kills included (goal: p95 at most 15 s); resident memory of the last run, early and late.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.harness.process import load
from tests.streams import EVENTS_A_FILE, Feed, freshness, ids, streaming, until

GOAL_P95 = 15.0
KILLS = (1 / 6, 1 / 3)
"""After which shares of the time."""
_WARM_UP = 60.0
_LOOK_EVERY = 5.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stream did; ``exact`` says whether each event stands once in both tables."""

    files: int
    exact: bool
    batches_of_last_run: int
    waited: list[float]
    early_mb: int
    late_mb: int

    def waited_at(self, share: float) -> float:
        return self.waited[int(len(self.waited) * share)]


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        outcome = measure(Path(folder), options.minutes * 60, options.files_a_second, options.interval)
    print(
        f"{outcome.files} files at {options.files_a_second}/s over {options.minutes} min, {len(KILLS)} kills ({load()})"
    )
    print(
        f"freshness p50 {outcome.waited_at(0.5):.1f} s, p95 {outcome.waited_at(0.95):.1f} s (goal: at most {GOAL_P95}), worst {outcome.waited[-1]:.1f} s"
    )
    print(f"memory of the last run: at most {outcome.early_mb} MB in its first third, {outcome.late_mb} MB in its last")
    print(
        f"every event once: {'yes' if outcome.exact else 'NO'}; micro-batches of the last run: {outcome.batches_of_last_run}"
    )
    if not outcome.exact:
        raise SystemExit("events are missing or stand twice")


def measure(home: Path, seconds: float, files_a_second: float, interval: float) -> Outcome:
    """Feed a stream for so long, with the kills; wait until all that was dropped has come through."""
    feed, memory = Feed(home), list[tuple[float, int]]()
    with streaming(home, interval=interval) as stream:
        stream.start()
        begun = time.monotonic()
        kills = [share * seconds for share in KILLS]
        looked = kills[-1] + min(_WARM_UP, seconds / 6)
        for passed in _ticks(begun, seconds, 1 / files_a_second):
            if kills and passed > kills[0]:
                kills.pop(0)
                stream.kill()
                stream.start()
            feed.drop()
            if passed > looked:
                looked += _LOOK_EVERY
                memory.append((passed, stream.resident_kb()))
        until(lambda: len(ids(home, "silver/web_events")) == feed.dropped * EVENTS_A_FILE)
        record = stream.stop()
    rows = [ids(home, table) for table in ("bronze/web_events", "silver/web_events")]
    events = feed.dropped * EVENTS_A_FILE
    third = max(1, len(memory) // 3)
    early, late = (max(kb for _, kb in part) >> 10 for part in (memory[:third], memory[-third:]))
    exact = all(len(found) == found.total() == events for found in rows)
    return Outcome(feed.dropped, exact, record["batches"], freshness(home), early, late)


def _ticks(begun: float, seconds: float, period: float) -> Iterator[float]:
    """The seconds passed, each period; late ones are made up for."""
    for number in itertools.count():
        time.sleep(max(0.0, begun + number * period - time.monotonic()))
        if (passed := time.monotonic() - begun) > seconds:
            return
        yield passed


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--files-a-second", type=float, default=5)
    parser.add_argument("--interval", type=float, default=10, help="seconds between two micro-batches")
    return parser.parse_args()


if __name__ == "__main__":
    main()
