"""A job of one small Delta table, speaking the protocol of all jobs (pipelines.job): the numbers that have landed are appended,
each once, under lease, fence and checkpoint, in the steps and past the boundaries of pipelines.flows. It imports no query engine,
so that it starts quickly: it is started, and killed, by the hundred.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from kit.db import Database
from kit.faults import boundary
from lakehouse.checkpoints import Checkpoints
from lakehouse.dataset import Column, Dataset, Exported, NoSubject
from lakehouse.embedded import commit as delta
from lakehouse.engine import Commit
from lakehouse.lease import Lease, Leases
from lakehouse.properties import arrow_schema
from pipelines.job import Carried, JobRequest, serve_job

PROGRAM = (sys.executable, "-m", "tests.workers.small_job")

NUMBERS = Dataset(
    name="bronze.numbers",
    comment="Numbers that have landed.",
    columns=(Column("number", "BIGINT", "The number.", nullable=False),),
    flow=Exported("numbers"),
    subject=NoSubject("made up"),
)
TABLE_LEASE_SECONDS = 2.0


def land(home: Path, upto: int) -> None:
    """The numbers from 1 to this one are there now."""
    (home / "landed.part").write_text(str(upto), encoding="ascii")
    (home / "landed.part").rename(home / "landed")


def table_path(home: Path, pipeline: str) -> Path:
    return home / "lake" / pipeline


def numbers(home: Path, pipeline: str = "numbers") -> Counter[int]:
    """What a table holds: how often each number."""
    rows = DeltaTable(table_path(home, pipeline)).to_pyarrow_table()
    return Counter(rows.column("number").to_pylist())


@contextmanager
def alone(home: Path, pipeline: str) -> Iterator[None]:
    """Notes in ``overlaps`` when another job of the table is at work at the same time. The lock ends with the process."""
    with (home / f"{pipeline}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with (home / "overlaps").open("a") as overlaps:
                overlaps.write(f"{pipeline} {os.getpid()}\n")
        yield


def carry_out(request: JobRequest, job: Carried) -> dict[str, Any]:
    assert request.home is not None
    home, flow = request.home, request.pipeline
    database = Database(os.environ["C360_DATABASE_URL"])
    checkpoints, leases = Checkpoints(database), Leases(database, TABLE_LEASE_SECONDS)
    path = table_path(home, flow)
    with alone(home, flow), leases.acquire(flow, f"job {os.getpid()}", wait=3 * TABLE_LEASE_SECONDS) as lease:
        job.progress(str(os.getpid()), "writing")
        if lease.taken_over:
            delta.claim_table(path, lease)
        if checkpoints.planned(flow) is not None:
            append(checkpoints, request, path, lease)
        last = checkpoints.last(flow)
        upto = int((home / "landed").read_text(encoding="ascii"))
        if last is None or last.inputs["landed"] < upto:
            table = delta.load_table(path)
            after = 0 if table is None else table.transaction_version(flow) or 0
            checkpoints.plan(
                flow,
                inputs={"landed": upto},
                as_of=request.as_of,
                definition="numbers",
                after=after,
                run_id=request.run_id,
                lease=lease,
            )
            append(checkpoints, request, path, lease)
    return {"upto": upto}


def append(checkpoints: Checkpoints, request: JobRequest, path: Path, lease: Lease) -> None:
    """Do the planned batch, as often as it takes."""
    flow = request.pipeline
    batch = checkpoints.planned(flow)
    assert batch is not None
    boundary("flow.batch_planned")
    last = checkpoints.last(flow)
    fresh = range(1 if last is None else last.inputs["landed"] + 1, batch.inputs["landed"] + 1)
    rows = pa.table({"number": pa.array(fresh, pa.int64())}, schema=arrow_schema(NUMBERS))
    boundary("flow.computed")
    commit = Commit(flow, batch.batch, lease, {"run_id": request.run_id})
    version = delta.append(path, NUMBERS, rows.to_reader(), commit).version
    boundary("flow.target_committed")
    checkpoints.mark(batch, target_version=version)
    boundary("flow.batch_marked")


if __name__ == "__main__":
    sys.exit(serve_job(sys.argv[1:], carry_out))
