"""What does the way of orders from file to silver cost beside the same steps written by hand?

    python -m bench.orders_build [--customers 200000] [--rounds 3]

Ours (ingest that loses nothing, expectations, quarantine, leases, fences, checkpoints) and `bench.peers.orders` (none of that) build from the
same landed sample, in turn, each in a process of its own. Their silver rows are compared first, all of them: figures of builds
that differ mean nothing. Printed: wall and CPU seconds of the whole process and peak memory, and last the ratios, as
median [least-most] over the rounds. Goal: at most 1.5.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
from deltalake import DeltaTable

from kit.db import Base, Database
from kit.settings import Settings
from lakehouse.catalog import Catalog
from lakehouse.checkpoints import Checkpoints
from lakehouse.embedded.engine import EmbeddedEngine
from lakehouse.lease import Leases
from lakehouse.online.lmdb_store import LmdbStore
from pipelines.catalog import load_catalog
from pipelines.flows.context import FlowContext
from pipelines.runner import run_pipeline
from pipelines.sample import land_sample

UNTIL, AS_OF = date(2026, 5, 31), date(2026, 6, 1)
GOAL = 1.5
BUILT = "silver.orders"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one whole process took."""

    wall: float
    cpu: float
    peak_mb: int


def main() -> None:
    options = _options()
    if options.build:
        build(Path(options.build))
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        land_sample(home / "landing", customers=options.customers, until=UNTIL)
        ours = [sys.executable, "-m", "bench.orders_build", "--build", folder]
        peer = [sys.executable, "-m", "bench.peers.orders", str(home / "landing"), str(home / "peer")]
        costs: list[tuple[Cost, Cost]] = []
        for turn in range(options.rounds):
            for name in ("lake", "peer", "online"):
                shutil.rmtree(home / name, ignore_errors=True)
            (home / "control.db").unlink(missing_ok=True)
            cost = [measured(command) for command in ((peer, ours) if turn % 2 else (ours, peer))]
            first, second = cost[::-1] if turn % 2 else cost
            costs.append((first, second))
            compare(home / "lake" / "silver" / "orders", home / "peer" / "silver" / "orders")
            print(f"round {turn + 1}: ours {first}; by hand {second}", flush=True)
        for figure in ("wall", "cpu", "peak_mb"):
            ratios = [getattr(ours, figure) / getattr(peer, figure) for ours, peer in costs]
            spread = f"[{min(ratios):.2f}-{max(ratios):.2f}]"
            print(
                f"{figure}, ours / by hand: {statistics.median(ratios):.2f} {spread} of {len(ratios)} rounds (goal: {GOAL})"
            )


def measured(command: list[str]) -> Cost:
    """Run a process to its end, by the operating system's own account."""
    began = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[2]} failed with {process.returncode}")
    return Cost(round(time.perf_counter() - began, 1), round(used.ru_utime + used.ru_stime, 1), used.ru_maxrss // 1024)


def compare(ours: Path, peer: Path) -> None:
    """Every row of the two tables, in every column; ends the benchmark where they differ."""
    names = [field.name for field in DeltaTable(peer).schema().fields]
    columns = ", ".join(f'"{name}"' for name in names)
    tables = [f"(SELECT {columns} FROM read_parquet({DeltaTable(path).file_uris()}))" for path in (ours, peer)]
    for one, other, kind in ((*tables, "missing by hand"), (*tables[::-1], "missing in ours")):
        row = duckdb.sql(f"SELECT count(*) FROM ({one} EXCEPT ALL {other})").fetchone()
        if row is None or row[0]:
            raise SystemExit(f"the builds differ: {row[0] if row else '?'} rows are {kind}; there is nothing to time")


def build(home: Path) -> None:
    """Our build: the datasets up to silver.orders, by the runner that builds all of them."""
    whole = load_catalog()
    settings = Settings(home=home)
    database = Database(f"sqlite:///{home / 'control.db'}")
    Base.metadata.create_all(database.engine)
    engine = EmbeddedEngine(settings.lake, scratch=settings.scratch)
    context = FlowContext(
        engine=engine,
        catalog=Catalog(whole.get(name) for name in _needed(whole, BUILT)),
        checkpoints=Checkpoints(database),
        leases=Leases(database, settings.lease_seconds),
        landing=settings.landing,
        run_id="bench",
        as_of=AS_OF,
        owner="bench",
    )
    with LmdbStore(settings.online, settings.online_map_mb) as store:
        run_pipeline("daily", context, store)
    database.close()


def _needed(catalog: Catalog, name: str) -> set[str]:
    inputs = catalog.inputs(catalog.get(name))
    return {name, "quality.expectations", "quality.quarantine"}.union(*(_needed(catalog, each) for each in inputs))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--build", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
