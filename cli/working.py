"""``c360 worker``: a worker in this process; and, for ``c360 up``, one in a process of its own that is looked after."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Self

from cli.installation import Installation
from governance.audit import RecordedChanges
from governance.audit.sweep import sweep
from kit.db import Database
from kit.ids import new_id
from kit.leash import Leash, stay_on_leash
from kit.logging import configure
from kit.settings import Settings
from lakehouse.checkpoints import Checkpoints
from pipelines.compose import writer_name
from pipelines.flows.export import exported_upto
from pipelines.system.access.audit import dataset as audit
from workers import firing, queue
from workers.heart import Heart
from workers.loop import Duty, Worker
from workers.presence import BEAT_SECONDS, Presence
from workers.runners.base import Runner
from workers.runners.embedded import EmbeddedRunner

_log = logging.getLogger(__name__)

_FOREVER = 1e9
"""Seconds that this process vouches for its worker: until it ends itself."""

_PURGED_AT_ONCE = 500


def build_worker(
    installation: Installation, concurrency: int | None = None, grace_seconds: float | None = None
) -> Worker:
    """A worker on an installation's settings, which what is given here wins over."""
    settings = installation.settings
    heart = Heart(
        installation.database,
        lease_seconds=settings.worker_lease_seconds,
        beat_seconds=settings.worker_lease_seconds / 4,
    )
    name, wanted = f"{writer_name()}:{new_id('worker')[-6:]}", concurrency or settings.worker_concurrency
    embedded = EmbeddedRunner(heart.until, options=("--home", str(settings.home)))
    return Worker(
        installation.database,
        heart,
        {"embedded": embedded, "spark": embedded, **_databricks(installation.settings)},
        name=name,
        concurrency=wanted,
        poll_seconds=settings.worker_poll_seconds,
        grace_seconds=settings.worker_grace_seconds if grace_seconds is None else grace_seconds,
        duties=(
            Duty("giving a sign of life", BEAT_SECONDS, Presence(name, wanted).show),
            Duty("beginning scheduled runs", 1.0, firing.enqueue_due),
            Duty("forgetting old runs", 3600.0, _forgetting(settings.run_retention_days)),
            Duty("sweeping the audit trail", 3600.0, _sweeping(installation)),
        ),
    )


def _databricks(settings: Settings) -> dict[str, Runner]:
    """The runner on Databricks, where a job or a wheel to submit is named. The SDK is loaded only then."""
    if not settings.databricks_job_id and not settings.databricks_wheel:
        return {}
    from workers.runners.databricks import DatabricksRunner, DatabricksTarget

    target = DatabricksTarget(job_id=settings.databricks_job_id, wheel=settings.databricks_wheel)
    runner = DatabricksRunner(target)
    return {runner.name: runner}


def work(
    installation: Installation,
    *,
    concurrency: int | None,
    grace_seconds: float | None,
    leash: int | None,
    announce: Callable[[str], None],
) -> None:
    """Work until SIGTERM or SIGINT, then leave in good order. ``leash``: a parent this process must not outlive, and that
    speaks for it."""
    if leash is not None:
        stay_on_leash(leash)
    settings = installation.settings
    level = settings.log_level if leash is None else "WARNING"  # beside ``c360 up`` it speaks only of what went wrong
    configure("worker", level=level, as_json=settings.log_as_json)
    worker = build_worker(installation, concurrency, grace_seconds)
    signal.signal(signal.SIGTERM, worker.stop)
    signal.signal(signal.SIGINT, worker.stop)
    if leash is None:
        announce(worker.name)
    worker.run()
    Presence(worker.name, 0).leave(installation.database)


class WorkerProcess:
    """A worker beside this process: started on entering, started again should it die, stopped in good order on leaving.

    It never outlives this process: it is on a leash.
    """

    def __init__(self, installation: Installation, *, grace_seconds: float) -> None:
        home = str(installation.settings.home)
        self._command = [sys.executable, "-m", "cli.main", "worker", "--home", home]
        self._command += ["--grace-seconds", str(grace_seconds), "--leash", str(os.getpid())]
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._look_after, name="worker-process", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._stopping.set()
            if self._process is not None:
                self._process.terminate()
        self._thread.join()

    def _look_after(self) -> None:
        """All of a worker's life in one thread: a process on a leash ends with the thread that made it."""
        while True:
            with self._lock:
                if self._stopping.is_set():
                    return
                # apart from this process's group: a Ctrl-C at the terminal stops the worker by way of this process
                self._process = subprocess.Popen(  # noqa: S603 - our own program
                    self._command, stdin=subprocess.PIPE, stdout=2, process_group=0
                )
            assert self._process.stdin is not None  # noqa: S101 - it is a pipe
            Leash(self._process.stdin.fileno()).extend(time.monotonic() + _FOREVER)
            code = self._process.wait()
            self._process.stdin.close()
            if not self._stopping.is_set():
                _log.warning("the worker ended with exit code %d; another one begins", code)
                self._stopping.wait(1.0)


def _forgetting(days: int) -> Callable[[Database], None]:
    def forget(database: Database) -> None:
        purged = _PURGED_AT_ONCE
        while purged == _PURGED_AT_ONCE:
            with database.transaction() as session:
                purged = queue.purge(session, keep=timedelta(days=days), limit=_PURGED_AT_ONCE)

    return forget


def _sweeping(installation: Installation) -> Callable[[Database], None]:
    """Audit rows that the lake has, and that are old."""
    keep = timedelta(days=installation.settings.audit_retention_days)

    def sweep_audit(database: Database) -> None:
        if not (upto := exported_upto(Checkpoints(database), audit)):
            return
        name = f"worker {writer_name()}"
        with RecordedChanges(database, installation.key_ring, name=name) as changes:
            sweep(changes, installation.key_ring, exported=upto, keep=keep, by=name)

    return sweep_audit
