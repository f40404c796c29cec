"""One writer of a table, as a process that a test can stop, wake and kill: takes the lease, plans, commits, marks, again.

Arguments: database URL, lake folder, name, seconds of its leases, how to write, and the batch after which all are done. Prints
one line per thing that happened. The order of the steps and the boundaries are those of pipelines.flows.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

from kit.db import Database
from kit.faults import boundary
from lakehouse.catalog import Catalog
from lakehouse.checkpoints import Batch, Checkpoints
from lakehouse.embedded.engine import EmbeddedEngine
from lakehouse.engine import CommitConflict, StaleFence
from lakehouse.lease import Lease, LeaseHeld, Leases
from pipelines.flows.context import FlowContext, retried
from tests.fixtures.engines import AS_OF, CUSTOMERS, customer_sql

FLOW = TABLE = CUSTOMERS.name


def open_context(database: Database, lake: Path, name: str, seconds: float) -> FlowContext:
    return FlowContext(
        engine=EmbeddedEngine(lake, scratch=lake.parent / f"scratch-{name}", memory_limit_mb=256, threads=1),
        catalog=cast("Catalog", None),  # nothing is derived here
        checkpoints=Checkpoints(database),
        leases=Leases(database, seconds),
        landing=lake,
        run_id=f"run_{name}",
        as_of=AS_OF,
        owner=name,
    )


def write_one_batch(context: FlowContext, mode: str, last: int) -> bool:
    """Finish or plan the next batch under the lease; False when there is none left. Batch n writes the row of customer n."""
    with context.writing(TABLE) as lease:
        if lease.taken_over:
            print("taken over", flush=True)
        batch = context.checkpoints.planned(FLOW)
        if batch is None:
            reached = context.engine.batch(TABLE, FLOW)
            if reached >= last:
                return False
            batch = context.checkpoints.plan(
                FLOW, inputs={}, as_of=AS_OF, definition="d", after=reached, run_id=context.run_id, lease=lease
            )
        boundary("flow.batch_planned")
        version = retried(lambda: commit(context, mode, batch, lease))
        boundary("flow.target_committed")
        context.checkpoints.mark(batch, target_version=version)
        boundary("flow.batch_marked")
        print(f"batch {batch.batch}", flush=True)
    return True


def commit(context: FlowContext, mode: str, batch: Batch, lease: Lease) -> int:
    sql = customer_sql(f"customer {batch.batch}", batch.batch)
    identity = context.commit(FLOW, batch.batch, lease)
    with context.engine.session(AS_OF) as session:
        boundary("flow.computed")
        if mode == "append":
            return session.append(CUSTOMERS, sql, identity).version
        if mode == "merge":
            return session.merge(CUSTOMERS, f"SELECT *, 'upsert' AS _change FROM ({sql})", identity).version
        return session.replace(CUSTOMERS, sql, identity).version


def main(url: str, lake: str, name: str, seconds: str, mode: str, last: str) -> None:
    context = open_context(Database(url), Path(lake), name, float(seconds))
    left = True
    while left:
        try:
            left = write_one_batch(context, mode, int(last))
        except (StaleFence, CommitConflict, LeaseHeld) as refusal:
            print(type(refusal).__name__, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
