"""One installation, opened: where the command line composes the rooms."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from kit.db import Database
from kit.errors import Invalid
from kit.settings import Settings
from lakehouse.catalog import Catalog
from lakehouse.checkpoints import Checkpoints
from lakehouse.embedded.engine import EmbeddedEngine
from lakehouse.engine import Engine
from lakehouse.lease import Leases
from lakehouse.online.lmdb_store import LmdbStore
from lakehouse.online.store import OnlineStore
from pipelines.catalog import load_catalog
from pipelines.flows.context import FlowContext, Progress
from workers.migrate import upgrade
from workers.models import Run


class UnknownEngine(Invalid):
    """There is no engine of that name."""

    code = "cli.unknown_engine"


class Installation:
    """Everything under one home directory. Parts are opened when they are first asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def unmigrated_database(self) -> Database:
        """The control database as it is."""
        self.settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Database(self.settings.control_database_url)

    @cached_property
    def database(self) -> Database:
        """The control database, migrated to the newest schema."""
        upgrade(self.unmigrated_database)
        return self.unmigrated_database

    @cached_property
    def catalog(self) -> Catalog:
        return load_catalog()

    @contextmanager
    def engine(self, name: str = "embedded") -> Iterator[Engine]:
        """An engine by name: ``embedded`` or ``spark``."""
        if name == "embedded":
            yield EmbeddedEngine(
                self.settings.lake,
                scratch=self.settings.scratch,
                memory_limit_mb=self.settings.memory_limit_mb,
                threads=self.settings.threads,
            )
        elif name == "spark":
            with _spark_engine(self.settings) as engine:
                yield engine
        else:
            raise UnknownEngine(f"there is no engine {name}; there are embedded and spark")

    @contextmanager
    def store(self) -> Iterator[OnlineStore]:
        """The online store, opened for writing."""
        with LmdbStore(self.settings.online, self.settings.online_map_mb) as store:
            yield store

    def context(self, engine: Engine, run: Run, progress: Progress, buckets: int = 0) -> FlowContext:
        """What the flows of a run work with."""
        return FlowContext(
            engine=engine,
            catalog=self.catalog,
            checkpoints=Checkpoints(self.database),
            leases=Leases(self.database, self.settings.lease_seconds),
            landing=self.settings.landing,
            run_id=run.id,
            as_of=run.as_of,
            owner=writer_name(),
            full_refresh=run.full_refresh,
            buckets=buckets,
            batch_max_bytes=self.settings.batch_max_mb << 20,
            progress=progress,
        )


def writer_name() -> str:
    """Names this process in leases and run records."""
    return f"{socket.gethostname()}:{os.getpid()}"


def at(home: Path | None) -> Installation:
    """The installation under ``home``, else where the environment says."""
    return Installation(Settings(home=home) if home is not None else Settings())


@contextmanager
def _spark_engine(settings: Settings) -> Iterator[Engine]:
    from lakehouse.spark.engine import SparkEngine
    from lakehouse.spark.launch import launch

    spark = launch(settings.spark_master, settings.spark_jars, scratch=settings.scratch)
    try:
        yield SparkEngine(settings.lake, spark, settings.scratch)
    finally:
        spark.stop()
