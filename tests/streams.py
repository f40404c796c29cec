"""A streaming run from the outside: a process that is fed files, killed, started again, stopped, and what came of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from sqlalchemy import select

from bench.harness.process import memory_kb
from kit.db import Database
from lakehouse.models import FlowBatchRow, LandingFileRow, LeaseRow
from workers.models import Run, RunEvent

EVENTS_A_FILE = 10
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Feed:
    """Drops files of web events into a landing zone, whole; ``dropped`` counts them."""

    home: Path
    dropped: int = 0

    def drop(self) -> None:
        folder = self.home / "landing/web/events"
        folder.mkdir(parents=True, exist_ok=True)
        number, self.dropped = self.dropped, self.dropped + 1
        rows = [
            {
                "event_id": f"e{number}-{position}",
                "customer_id": f"c{number % 50}",
                "event_ts": START + timedelta(minutes=number, seconds=position),
                "event_type": "page_view",
            }
            for position in range(EVENTS_A_FILE)
        ]
        unfinished = folder / f".{number}.part"
        pq.write_table(pa.Table.from_pylist(rows), unfinished)
        unfinished.rename(folder / f"{number:06}.parquet")


@dataclass
class Stream:
    """The runs of ``c360 pipeline run daily --trigger streaming`` on one home, one after the other."""

    home: Path
    interval: float
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "cli.main", "pipeline", "run", "daily", "--as-of", "2026-03-01", "--json"]
        command += ["--trigger", "streaming", "--interval", str(self.interval)]
        environment = {**os.environ, "C360_HOME": str(self.home), "C360_LEASE_SECONDS": "3"}
        with (self.home / "stream.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def stop(self) -> dict[str, Any]:
        """Ask it to stop, and return its record."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=300)
        assert self.process.returncode == 0, output
        return orjson.loads(output)

    def resident_kb(self) -> int:
        """Memory of the process now."""
        assert self.process is not None
        return memory_kb("VmRSS", self.process.pid)


@contextmanager
def streaming(home: Path, interval: float) -> Iterator[Stream]:
    """A stream that is gone afterwards, whatever happens."""
    home.mkdir(parents=True, exist_ok=True)
    stream = Stream(home, interval)
    try:
        yield stream
    finally:
        if stream.process is not None and stream.process.poll() is None:
            stream.kill()


def until(condition: Any, seconds: float = 240) -> None:
    """Wait for something to become true; a test that waits in vain fails."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


def ids(home: Path, table: str) -> Counter[str]:
    """How often each event stands in a table; nothing while there is no table."""
    path = home / "lake" / table
    if not (path / "_delta_log").is_dir() or DeltaTable(path).version() < 0:
        return Counter()
    return Counter(DeltaTable(path).to_pyarrow_table(columns=["event_id"])["event_id"].to_pylist())


def control(home: Path) -> Database:
    return Database(f"sqlite:///{home / 'control.db'}")


def states(home: Path) -> list[tuple[str, str]]:
    """(state, trigger) of the runs, oldest first."""
    with control(home).reading() as session:
        return [(run.state, run.trigger) for run in session.scalars(select(Run).order_by(Run.id))]


def held_leases(home: Path) -> list[str]:
    """Tables that somebody still holds."""
    with control(home).reading() as session:
        return list(session.scalars(select(LeaseRow.key).where(LeaseRow.expires_at.is_not(None))))


def freshness(home: Path) -> list[float]:
    """Of each file, the seconds from its landing until the micro-batch that took it had been published, sorted."""
    with control(home).reading() as session:
        ends = sorted(session.scalars(select(RunEvent.at).where(RunEvent.kind == "batch")))
        taken = session.execute(
            select(LandingFileRow.mtime_ns, FlowBatchRow.planned_at).join(
                FlowBatchRow, (FlowBatchRow.flow == LandingFileRow.flow) & (FlowBatchRow.batch == LandingFileRow.batch)
            )
        ).all()
    waited = []
    for mtime_ns, planned_at in taken:
        if (end := next((end for end in ends if end >= planned_at), None)) is not None:
            waited.append(end.timestamp() - mtime_ns / 1e9)
    return sorted(waited)
