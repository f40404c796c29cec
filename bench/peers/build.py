"""The peer of our daily build: every dataset from the landed files, in plain DuckDB and delta-rs, as one would write it by hand.

``python -m bench.peers.build LANDING LAKE AS_OF``. The same rows and values; no commit protocol, no quarantine, no counts, no
schema enforcement, no second run: what is left of the cost when all of that is left out. Prints what the steps took as JSON.
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

from bench.harness.process import Stopwatch
from bench.peers import bronze, gold, reference, silver
from bench.peers.lake import connect


def main(landing: Path, lake: Path, as_of: date) -> None:
    watch = Stopwatch.start()
    connection = connect()
    reference.build(connection, lake)
    bronze.build(connection, landing, lake)
    silver.build(connection, lake)
    gold.build(connection, lake, as_of)
    watch.report()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), date.fromisoformat(sys.argv[3]))
