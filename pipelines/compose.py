"""Puts together what a run needs from the settings of an installation: the engines, the online store, the flows' context.

The command line and the job's entry point (pipelines.__main__) both begin here. The one place that may name Spark: what serves
must not import this module.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date

from governance.audit.reading import AuditExport
from governance.lineage import LineageExport
from governance.timeline import TimelineExport
from kit.db import Database
from kit.errors import Invalid
from kit.settings import Settings
from lakehouse.checkpoints import Checkpoints
from lakehouse.embedded.engine import EmbeddedEngine
from lakehouse.engine import Engine
from lakehouse.lease import Leases
from lakehouse.online.lmdb_store import LmdbStore
from pipelines.catalog import load_catalog
from pipelines.flows.context import FlowContext, Progress
from pipelines.flows.derive import rows_sql


class UnknownEngine(Invalid):
    """There is no engine of that name."""

    code = "pipeline.unknown_engine"


@contextmanager
def open_engine(settings: Settings, name: str = "embedded") -> Iterator[Engine]:
    """An engine by name: ``embedded`` or ``spark``."""
    if name == "embedded":
        yield EmbeddedEngine(
            settings.lake,
            scratch=settings.scratch,
            memory_limit_mb=settings.memory_limit_mb,
            threads=settings.threads,
        )
    elif name == "spark":
        with _spark_engine(settings) as engine:
            yield engine
    else:
        raise UnknownEngine(f"there is no engine {name}; there are embedded and spark")


def open_store(settings: Settings) -> LmdbStore:
    """The online store, to be opened for writing as a context manager."""
    return LmdbStore(settings.online, settings.online_map_mb)


def flow_context(
    settings: Settings,
    database: Database,
    engine: Engine,
    *,
    run_id: str,
    as_of: date,
    full_refresh: bool = False,
    buckets: int = 0,
    progress: Progress,
    stopping: Callable[[], bool] = lambda: False,
) -> FlowContext:
    """What the flows of a run work with."""
    return FlowContext(
        engine=engine,
        catalog=load_catalog(),
        checkpoints=Checkpoints(database),
        leases=Leases(database, settings.lease_seconds),
        landing=settings.landing,
        run_id=run_id,
        as_of=as_of,
        owner=writer_name(),
        full_refresh=full_refresh,
        buckets=buckets,
        batch_max_bytes=settings.batch_max_mb << 20,
        exports={
            "audit": AuditExport(database, settings.key_ring()),
            "table_lineage": LineageExport(database, load_catalog(), rows_sql, by_column=False),
            "job_run_timeline": TimelineExport(database),
            "column_lineage": LineageExport(database, load_catalog(), rows_sql, by_column=True),
        },
        progress=progress,
        stopping=stopping,
    )


def writer_name() -> str:
    """Names this process in leases and run records."""
    return f"{socket.gethostname()}:{os.getpid()}"


@contextmanager
def _spark_engine(settings: Settings) -> Iterator[Engine]:
    from lakehouse.spark.engine import SparkEngine
    from lakehouse.spark.launch import launch

    spark = launch(settings.spark_master, settings.spark_jars, scratch=settings.scratch)
    try:
        yield SparkEngine(settings.lake, spark, settings.scratch)
    finally:
        spark.stop()
