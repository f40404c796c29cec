"""Do two tables on two workers get through twice the runs of one worker?

    python -m bench.workers [--runs 16] [--rounds 3]

The same runs, alternately over two tables, are carried out by one worker process and by two, in turn; each run is a job in a child
process that appends to its table under a lease, as jobs do. A job works on one thread, so with at least two cores the jobs
need not wait for each other; with one, they cannot gain. Printed: seconds by round from the first claim to the last end, seconds from
being asked for to the start of a run that finds a free worker, and the ratio of throughputs as median [least-most] (goal: at least 1.8).
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake
from sqlalchemy import select

from bench.harness.process import load, spread
from kit.db import Base, Database
from kit.ids import new_id
from lakehouse.lease import Leases
from pipelines.job import Carried, JobRequest, serve_job
from workers import queue
from workers.heart import Heart
from workers.loop import Worker
from workers.models import Run
from workers.runners.embedded import EmbeddedRunner
from workers.states import FINAL

GOAL = 1.8
TABLES = ("first", "second")
ROWS, STEPS = 300_000, 4
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "TOKIO_WORKER_THREADS", "OPENBLAS_NUM_THREADS"), "1"
)


def main() -> None:
    options = _options()
    if options.job:
        sys.exit(serve_job(sys.argv[2:], _append))
    if options.worker:
        _work(Path(options.worker))
        return
    ratios, starts = [], []
    for turn in range(options.rounds):
        seconds = {}
        for workers in (1, 2) if turn % 2 == 0 else (2, 1):
            seconds[workers], start = _round(workers, options.runs)
            starts.append(start)
        ratios.append(seconds[1] / seconds[2])
        print(f"round {turn + 1} ({load()}): one worker {seconds[1]:.1f} s, two {seconds[2]:.1f} s", flush=True)
    print(f"from asked for to started, with a free worker: {spread(starts)} s")
    print(f"throughput, two workers / one: {spread(ratios)} of {options.rounds} rounds (goal: at least {GOAL})")


def _round(workers: int, runs: int) -> tuple[float, float]:
    """Seconds for all runs, and until a single run before them began."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        database = Database(_url(home))
        Base.metadata.create_all(database.engine)
        command = [sys.executable, "-m", "bench.workers", "--worker", folder]
        processes = [subprocess.Popen(command, env=os.environ | ONE_THREAD) for _ in range(workers)]
        try:
            for table in TABLES:  # the workers are up, and the tables there
                _ended(database, [_asked(database, table)])
            single = _ended(database, [_asked(database, TABLES[0])])[0]
            ended = _ended(database, [_asked(database, TABLES[number % 2]) for number in range(runs)])
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(30)
            database.close()
    if any(run.state != "succeeded" for run in ended):
        raise SystemExit("a run did not succeed; there is nothing to time")
    passed = max(run.finished_at for run in ended) - min(run.started_at for run in ended)
    return passed.total_seconds(), (single.started_at - single.created_at).total_seconds()


def _asked(database: Database, table: str) -> str:
    with database.transaction() as session:
        return queue.enqueue(session, pipeline=table, as_of=date(2026, 1, 1), trigger="bench", requested_by="bench").id


def _ended(database: Database, asked: list[str]) -> list[Run]:
    states = {state.value for state in FINAL}
    for _ in range(3000):
        time.sleep(0.1)
        with database.reading() as session:
            runs = list(session.scalars(select(Run).where(Run.id.in_(asked))))
        if all(run.state in states for run in runs):
            return runs
    raise SystemExit("the runs did not end within five minutes")


def _work(home: Path) -> None:
    database = Database(_url(home))
    heart = Heart(database, lease_seconds=30, beat_seconds=1)
    program = (sys.executable, "-m", "bench.workers", "--job")
    runner = EmbeddedRunner(heart.until, options=("--home", str(home)), program=program)
    worker = Worker(database, heart, {"embedded": runner}, name=new_id("worker"), poll_seconds=0.1, grace_seconds=5)
    signal.signal(signal.SIGTERM, worker.stop)
    worker.run()


def _append(request: JobRequest, job: Carried) -> dict[str, Any]:
    """The job: rows are made, put in order and appended, a commit a step."""
    assert request.home is not None
    database = Database(_url(request.home))
    random = np.random.default_rng(7)
    with Leases(database, 30).acquire(request.pipeline, request.run_id, wait=60):
        for step in range(STEPS):
            job.progress(request.pipeline, f"appending {step + 1}/{STEPS}")
            rows = np.sort(random.integers(0, 1 << 40, ROWS))
            write_deltalake(request.home / "lake" / request.pipeline, pa.table({"number": rows}), mode="append")
    return {"rows": ROWS * STEPS}


def _url(home: Path) -> str:
    return f"sqlite:///{home / 'control.db'}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    parser.add_argument("--job", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_known_args()[0]


if __name__ == "__main__":
    main()
