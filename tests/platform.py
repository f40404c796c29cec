"""The platform in one process on a folder: land files, run the pipeline, read what came of it."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any

from cli.installation import Installation
from kit.settings import Settings
from lakehouse.online.lmdb_store import LmdbStore
from pipelines.flows.context import FlowContext
from pipelines.runner import PipelineResult, run_pipeline
from workers import queue


class Platform:
    """An installation under ``home``; every run is a run row, as in production."""

    def __init__(self, home: Path, *, lease_seconds: float = 5) -> None:
        self.home = home
        self.installation = Installation(Settings(home=home, lease_seconds=lease_seconds))
        self.landing = self.installation.settings.landing
        self.store = LmdbStore(self.installation.settings.online, 64)

    def __enter__(self) -> Platform:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.store.close()
        self.installation.database.close()

    def run(
        self, as_of: date, *, buckets: int = 0, full_refresh: bool = False, engine: str = "embedded"
    ) -> PipelineResult:
        """Run the daily pipeline."""
        with self.installation.engine(engine) as opened:
            return run_pipeline(
                "daily", self.context(opened, as_of, buckets=buckets, full_refresh=full_refresh), self.store
            )

    def context(self, engine: Any, as_of: date, *, buckets: int = 0, full_refresh: bool = False) -> FlowContext:
        """A flow context of a new run."""
        with self.installation.database.transaction() as session:
            run = queue.enqueue(
                session, pipeline="daily", as_of=as_of, full_refresh=full_refresh, trigger="test", requested_by="test"
            )
        return self.installation.context(engine, run, lambda _dataset, _step: None, buckets)

    def profile(self, customer_id: str) -> dict[str, Any]:
        """What the online store holds of a customer, all classes."""
        profile = self.store.get("customers", customer_id)
        assert profile is not None
        return json.loads(b"{" + b",".join(profile.segments) + b"}")
