"""What this process tells of its parts beside its requests; looked up when Prometheus asks."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric

from governance.audit import AuditTrail
from kit.clock import now
from kit.db import Database
from kit.telemetry import Telemetry, gauge, gauges
from lakehouse.online.store import OnlineStore
from workers.queue import presences, queue_figures


def tell_figures(telemetry: Telemetry, *, database: Database, store: OnlineStore, view: str, trail: AuditTrail) -> None:
    """Add the figures of these parts."""

    def of_audit() -> Iterable[Metric]:
        yield gauge("c360_audit_waiting_events", "Audit events that are not durable yet.", trail.waiting)
        yield gauge("c360_audit_lag_seconds", "Time since every audit event was durable.", trail.lag)

    def of_online_store() -> Iterable[Metric]:
        header = store.header(view)
        version, age = -1, 0.0
        if header is not None:
            version, age = header.version, (now() - header.published_at).total_seconds()
        yield gauge("c360_online_version", "Table version that is published; -1: none.", version)
        yield gauge("c360_online_age_seconds", "Time since it was published.", age)

    def of_queue() -> Iterable[Metric]:
        with database.reading() as session:
            figures, workers = queue_figures(session), presences(session)
        yield gauges("c360_runs", "Runs that are kept, by state.", "state", figures.runs)
        yield gauge(
            "c360_queue_wait_seconds", "How long the run that waits longest could have begun.", figures.waiting_seconds
        )
        yield gauge("c360_busy_workers", "Workers that have runs.", figures.workers)
        by_state = {"alive": workers.alive, "silent": workers.silent}
        yield gauges("c360_workers", "Workers; silent ones have ended without a word.", "state", by_state)
        if workers.age_seconds is not None:
            says = "Since the sign of life of the worker that was silent longest; each gives one every ten seconds."
            yield gauge("c360_worker_heartbeat_age_seconds", says, workers.age_seconds)
        if figures.lease_seconds_left is not None:
            says = "Until the first lease of a running run ends; below 0: its worker is gone."
            yield gauge("c360_worker_lease_seconds_left", says, figures.lease_seconds_left)

    telemetry.figures.add("audit", of_audit)
    telemetry.figures.add("online_store", of_online_store)
    telemetry.figures.add("queue", of_queue)
