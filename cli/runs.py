"""Runs a pipeline in this process, as a run row: enqueued, claimed, finished or failed."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

from rich.table import Column, Table
from sqlalchemy.orm import Session

from cli.installation import Installation
from cli.output import out
from cli.recording import changing
from kit.clock import today
from kit.errors import Conflict, Invalid, what_failed
from kit.faults import boundary
from kit.logging import correlated
from lakehouse.dataset import ChangeFeed
from lakehouse.engine import Engine
from lakehouse.online.store import OnlineStore
from pipelines.compose import writer_name
from pipelines.flows.change_feed import run_change_feed
from pipelines.flows.context import Progress
from pipelines.maintain import MaintenanceResult, maintain
from pipelines.runner import PipelineResult, check_pipeline, run_pipeline
from pipelines.stream import Totals, run_stream
from workers import claims, events, queue
from workers.models import Run

_LOOK_AGAIN = 0.2
"""Seconds between two looks at a pipeline that is busy."""


class PipelineBusy(Conflict):
    """Another run has what this one needs to itself; the message says which."""

    code = "cli.pipeline_busy"


class NoChangeFeedFlow(Invalid):
    """The dataset is fed in another way."""

    code = "cli.no_change_feed"


class _Held(Exception):
    """Others hold what the run needs: what was done in the transaction is undone."""


def run_now(
    installation: Installation,
    pipeline: str,
    *,
    as_of: date | None,
    full_refresh: bool,
    engine: str,
    buckets: int,
    progress: Progress,
) -> dict[str, Any]:
    """Enqueue a run, carry it out here, and return its record. A failure is recorded before it is raised."""
    check_pipeline(pipeline)
    run = _begin(installation, pipeline, as_of or today(), full_refresh=full_refresh, engine=engine)

    def work(opened: Engine, store: OnlineStore) -> PipelineResult:
        return run_pipeline(pipeline, installation.context(opened, run, progress, buckets), store)

    return _carry_out(installation, run, work)


def stream_now(
    installation: Installation,
    pipeline: str,
    *,
    as_of: date | None,
    full_refresh: bool,
    engine: str,
    interval: float,
    progress: Progress,
) -> dict[str, Any]:
    """Carry out a run of micro-batches here, until SIGTERM, SIGINT or a cancel; returns its record. Each micro-batch is an event
    of the run."""
    check_pipeline(pipeline)
    stop = threading.Event()
    run = _begin(
        installation, pipeline, as_of or today(), full_refresh=full_refresh, engine=engine, trigger="streaming"
    )

    def tell(batch: dict[str, Any]) -> None:
        with installation.database.transaction() as session:
            events.append(session, run, [("batch", batch)])
        progress("stream", f"batch {batch['batch']}: {batch['files']} files, {batch['rows']} rows")

    def work(opened: Engine, store: OnlineStore) -> Totals:
        context = installation.context(opened, run, progress, 0)
        return run_stream(pipeline, context, store, stop.wait, on_batch=tell, interval=interval)

    with _stopped_by_signals(stop):
        return _carry_out(installation, run, work, on_cancel=stop.set)


@contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """The first SIGTERM or SIGINT asks to stop; a second SIGINT interrupts, as ever."""

    def ask(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def resync_now(installation: Installation, dataset: str, *, engine: str, progress: Progress) -> dict[str, Any]:
    """Let a change feed begin anew, as a run of its own; returns its record."""
    declared = installation.catalog.get(dataset)
    if not isinstance(declared.flow, ChangeFeed):
        raise NoChangeFeedFlow(f"{dataset} is not fed by a change feed; there is nothing to resync")
    run = _begin(installation, f"resync:{dataset}", today(), full_refresh=False, engine=engine)

    def work(opened: Engine, _store: OnlineStore) -> PipelineResult:
        context = installation.context(opened, run, progress, 0)
        return PipelineResult([run_change_feed(context, declared, resync=True)])

    return _carry_out(installation, run, work)


def maintain_now(
    installation: Installation, *, vacuum_hours: int | None, engine: str, progress: Progress
) -> dict[str, Any]:
    """Maintain every table, as a run of its own; returns its record."""
    run = _begin(installation, "maintain", today(), full_refresh=False, engine=engine)

    def work(opened: Engine, store: OnlineStore) -> MaintenanceResult:
        return maintain(installation.context(opened, run, progress, 0), store, vacuum_hours=vacuum_hours)

    return _carry_out(installation, run, work)


def _carry_out(
    installation: Installation,
    run: Run,
    work: Callable[[Engine, OnlineStore], PipelineResult | Totals | MaintenanceResult],
    on_cancel: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    boundary("run.claimed")
    try:
        with (
            correlated(run_id=run.id),
            _heartbeat(installation, run, on_cancel),
            installation.engine(run.engine) as opened,
            installation.store() as store,
        ):
            result = work(opened, store)
    except Exception as failure:
        told = what_failed(failure)
        _record_failure(installation, run, told["code"], told["message"])
        raise
    boundary("run.before_finish")
    record = result.record
    with installation.database.transaction() as session:
        claims.finish(session, run, record)
    return {
        "id": run.id,
        "pipeline": run.pipeline,
        "state": "succeeded",
        "as_of": run.as_of.isoformat(),
        "engine": run.engine,
        **record,
    }


def _record_failure(installation: Installation, run: Run, code: str, message: str) -> None:
    with installation.database.transaction() as session:
        claims.fail(session, run, code=code, message=message)


def _begin(
    installation: Installation, pipeline: str, as_of: date, *, full_refresh: bool, engine: str, trigger: str = "cli"
) -> Run:
    """A run that is this process's from its first moment. One whose process has vanished is waited for until its lease ends;
    one that goes on for longer than that raises PipelineBusy."""
    deadline = time.monotonic() + 2 * installation.settings.lease_seconds + 10
    while True:
        try:
            with changing(installation) as session:
                return _begin_now(installation, session, pipeline, as_of, full_refresh, engine, trigger)
        except _Held as held:
            holders = held.args[0]
        if time.monotonic() > deadline:
            raise PipelineBusy(
                f"{', '.join(holders)} is running and has {pipeline} to itself; wait for its end or cancel it"
            )
        time.sleep(_LOOK_AGAIN)


def _begin_now(
    installation: Installation,
    session: Session,
    pipeline: str,
    as_of: date,
    full_refresh: bool,
    engine: str,
    trigger: str,
) -> Run:
    """Enqueued and claimed in one transaction; raises _Held."""
    run = queue.enqueue(
        session,
        pipeline=pipeline,
        as_of=as_of,
        full_refresh=full_refresh,
        engine=engine,
        trigger=trigger,
        requested_by="cli",
        max_attempts=1,
    )
    claims.supersede(session, run)
    claimed = claims.claim(session, writer_name(), run_id=run.id, seconds=installation.settings.lease_seconds)
    if claimed is None:
        raise _Held(queue.holders(session, run.keys))
    claims.submitted(session, claimed, runner="process", handle=writer_name())
    return claimed


@contextmanager
def _heartbeat(installation: Installation, run: Run, on_cancel: Callable[[], None]) -> Iterator[None]:
    """Keep the run's lease while it works, and hear of a wish that it ends."""
    stopped = threading.Event()
    seconds = installation.settings.lease_seconds

    def beat() -> None:
        while not stopped.wait(seconds / 3):
            with installation.database.transaction() as session:
                wished = claims.heartbeat(session, run, seconds=seconds)
            if wished:
                on_cancel()

    thread = threading.Thread(target=beat, name="run-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def print_record(record: dict[str, Any]) -> None:
    """Print what a run did as a table."""
    table = Table(
        Column("dataset", no_wrap=True),
        Column("version", no_wrap=True),
        "in",
        "out",
        "written",
        "deleted",
        "dropped",
        "quarantined",
        "s",
        title=f"run {record['id']}: {record['state']}",
    )
    for name, flow in record["datasets"].items():
        version = f"{_shown(flow['version_before'])} → {_shown(flow['version_after'])}"
        counts = (
            flow[column] for column in ("rows_in", "rows_out", "rows_written", "rows_deleted", "dropped", "quarantined")
        )
        table.add_row(name, version, *(f"{count:,}" for count in counts), f"{flow['seconds']:.1f}")
    out.print(table)
    for view, item in record["online"].items():
        out.print(
            f"online {view}: {item['written']:,} written, {item['deleted']:,} deleted, {item['unchanged']:,} unchanged"
        )


def _shown(version: int | None) -> str:
    return "-" if version is None else str(version)
