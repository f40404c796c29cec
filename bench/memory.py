"""Risk test: 20 million rows through windows, a group by and a distinct count, at a DuckDB limit of 1 GB, in buckets.

Prints one JSON document: rows, buckets, seconds, peak resident memory of the process that computes. The table is made by a
child process, so that making it does not count. ``python -m bench.memory --rows 20000000 --buckets 8``
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from bench.harness.process import memory_kb
from lakehouse.embedded.engine import EmbeddedEngine
from lakehouse.engine import Restriction

CHUNK = 1_000_000

SESSIONS = """
WITH marked AS (
  SELECT
    customer_id,
    event_id,
    event_ts,
    page,
    CASE
      WHEN unix_micros(event_ts) - unix_micros(lag(event_ts) OVER (PARTITION BY customer_id ORDER BY event_ts, event_id)) <= 1800000000
      THEN 0 ELSE 1
    END AS starts
  FROM events
),
numbered AS (
  SELECT *, sum(starts) OVER (PARTITION BY customer_id ORDER BY event_ts, event_id) AS session_number
  FROM marked
)
SELECT
  customer_id,
  session_number,
  count(*) AS events_count,
  count(DISTINCT page) AS pages_count,
  min(event_ts) AS started_at,
  max(event_ts) AS ended_at
FROM numbered
GROUP BY customer_id, session_number
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--buckets", type=int, default=8)
    parser.add_argument("--memory-limit-mb", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake = Path(folder)
        maker = multiprocessing.get_context("spawn").Process(target=make_events, args=(lake, options.rows))
        maker.start()
        maker.join()
        print(json.dumps(measure(lake, options.rows, options.buckets, options.memory_limit_mb)))


def make_events(lake: Path, rows: int) -> None:
    """A Delta table of web events: 200,000 customers, 90 days, 500 pages."""
    random = np.random.default_rng(7)
    for start in range(0, rows, CHUNK):
        count = min(CHUNK, rows - start)
        microseconds = 1_760_000_000_000_000 + random.integers(0, 90 * 86_400_000_000, count)
        chunk = pa.table(
            {
                "event_id": pa.array(np.arange(start, start + count)),
                "customer_id": pa.array(np.char.add("c", random.integers(0, 200_000, count).astype(str))),
                "event_ts": pa.array(microseconds, pa.timestamp("us", tz="UTC")),
                "page": pa.array(np.char.add("/p/", random.integers(0, 500, count).astype(str))),
            }
        )
        write_deltalake(lake / "silver" / "events", chunk, mode="append")


def measure(lake: Path, rows: int, buckets: int, memory_limit_mb: int) -> dict[str, float | int]:
    """Compute the sessions bucket by bucket into one materialized view."""
    engine = EmbeddedEngine(lake, scratch=lake / "scratch", memory_limit_mb=memory_limit_mb)
    version = engine.version("silver.events")
    assert version is not None
    started = time.monotonic()
    with engine.session(date(2026, 1, 1)) as session:
        sessions = 0
        for bucket in range(buckets):
            session.bind("events", "silver.events", version, Restriction(("customer_id",), None, bucket, buckets))
            sessions += session.extend("sessions", SESSIONS) if bucket else session.materialize("sessions", SESSIONS)
    return {
        "rows": rows,
        "sessions": sessions,
        "buckets": buckets,
        "memory_limit_mb": memory_limit_mb,
        "seconds": round(time.monotonic() - started, 1),
        "peak_rss_mb": memory_kb("VmHWM") >> 10,
    }


if __name__ == "__main__":
    main()
