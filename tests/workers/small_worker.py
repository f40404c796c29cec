"""A worker whose jobs are a program of the tests, as a process that a test can stop, wake and kill.

Arguments: database URL, home, name, seconds of its leases, how many runs at a time, seconds of its grace, the program.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from kit.db import Database
from tests.fixtures.parts import PROJECT
from workers import firing
from workers.heart import Heart
from workers.loop import Duty, Worker
from workers.runners.embedded import EmbeddedRunner


def build(
    database: Database, home: Path, name: str, program: Sequence[str], *, seconds: float, concurrency: int, grace: float
) -> Worker:
    heart = Heart(database, lease_seconds=seconds, beat_seconds=min(seconds / 4, 0.5))
    runner = EmbeddedRunner(heart.until, options=("--home", str(home)), program=program, grace=0.5)
    return Worker(
        database,
        heart,
        {"embedded": runner},
        name=name,
        concurrency=concurrency,
        poll_seconds=0.1,
        grace_seconds=grace,
        duties=[Duty("schedules", 0.2, firing.enqueue_due)],
    )


def start(
    database: Database,
    home: Path,
    name: str,
    *,
    program: Sequence[str],
    seconds: float = 600.0,
    concurrency: int = 1,
    grace: float = 600.0,
    **environment: str,
) -> subprocess.Popen[bytes]:
    arguments = [database.url, str(home), name, str(seconds), str(concurrency), str(grace), *program]
    with (home / f"{name}.log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.workers.small_worker", *arguments],
            cwd=PROJECT,
            env={**os.environ, "C360_DATABASE_URL": database.url, **environment},
            stdout=log,
            stderr=log,
        )


def main(url: str, home: str, name: str, seconds: str, concurrency: str, grace: str, *program: str) -> None:
    worker = build(
        Database(url),
        Path(home),
        name,
        program,
        seconds=float(seconds),
        concurrency=int(concurrency),
        grace=float(grace),
    )
    signal.signal(signal.SIGTERM, worker.stop)
    signal.signal(signal.SIGINT, worker.stop)
    worker.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
