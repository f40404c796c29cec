"""One installation, opened: where the command line composes the rooms."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path

from kit.db import Database
from kit.keyring import KeyRing
from kit.settings import Settings
from lakehouse.catalog import Catalog
from lakehouse.engine import Engine
from lakehouse.online.store import OnlineStore
from pipelines.catalog import load_catalog
from pipelines.compose import flow_context, open_engine, open_store
from pipelines.flows.context import FlowContext, Progress
from workers.migrate import upgrade
from workers.models import Run


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
    def key_ring(self) -> KeyRing:
        return self.settings.key_ring()

    @cached_property
    def catalog(self) -> Catalog:
        return load_catalog()

    def engine(self, name: str = "embedded") -> AbstractContextManager[Engine]:
        """An engine by name: ``embedded`` or ``spark``."""
        return open_engine(self.settings, name)

    def store(self) -> AbstractContextManager[OnlineStore]:
        """The online store, opened for writing."""
        return open_store(self.settings)

    def context(self, engine: Engine, run: Run, progress: Progress, buckets: int = 0) -> FlowContext:
        """What the flows of a run work with."""
        return flow_context(
            self.settings,
            self.database,
            engine,
            run_id=run.id,
            as_of=run.as_of,
            full_refresh=run.full_refresh,
            buckets=buckets,
            progress=progress,
        )


def at(home: Path | None) -> Installation:
    """The installation under ``home``, else where the environment says."""
    return Installation(Settings(home=home) if home is not None else Settings())
