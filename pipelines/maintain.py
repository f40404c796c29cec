"""Maintenance of the tables: fewer and larger files in the declared order, a checkpoint and, where asked, the removal of old files.

A vacuum takes old versions and their changes away for everybody. It leaves a table alone while anybody still has to read them:
a dataset that was computed from an older version, a batch that a crash left planned, the online store.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from kit.errors import Conflict
from lakehouse.dataset import Dataset
from lakehouse.engine import check_retention
from lakehouse.online.encode import ProfileEncoder
from lakehouse.online.store import OnlineStore
from pipelines.flows.context import FlowContext, retried


class ReadersBehind(Conflict):
    """Somebody still reads versions that the vacuum would remove; the message says who, and what to run."""

    code = "pipeline.readers_behind"


@dataclass(frozen=True, slots=True)
class Maintained:
    """What maintenance did to one table; ``removed_files`` is None where nothing was to be removed."""

    dataset: str
    version_before: int
    version_after: int
    removed_files: int | None = None


@dataclass(frozen=True, slots=True)
class MaintenanceResult:
    """What maintenance did, table by table."""

    tables: tuple[Maintained, ...]

    @property
    def record(self) -> dict[str, Any]:
        return {"tables": {item.dataset: asdict(item) for item in self.tables}}


def maintain(context: FlowContext, store: OnlineStore, *, vacuum_hours: int | None = None) -> MaintenanceResult:
    """Maintain every table there is, one by one; with ``vacuum_hours``, first remove files that no version so young needs.

    Raises RetentionTooShort, and ReadersBehind, before anything is touched.
    """
    tables = [dataset for dataset in context.catalog if context.engine.version(dataset.name) is not None]
    if vacuum_hours is not None:
        check_retention(vacuum_hours)
        for dataset in tables:
            _refuse_if_behind(context, store, dataset)
    return MaintenanceResult(tuple(_maintain(context, store, dataset, vacuum_hours) for dataset in tables))


def _maintain(context: FlowContext, store: OnlineStore, dataset: Dataset, vacuum_hours: int | None) -> Maintained:
    context.progress(dataset.name, "maintaining")
    done = retried(lambda: _maintain_one(context, store, dataset, vacuum_hours))
    context.progress(dataset.name, "done")
    return done


def _maintain_one(context: FlowContext, store: OnlineStore, dataset: Dataset, vacuum_hours: int | None) -> Maintained:
    with context.writing(dataset.name) as lease:
        before, removed = context.engine.version(dataset.name) or 0, None
        if vacuum_hours is not None:
            _refuse_if_behind(context, store, dataset)
            removed = context.engine.vacuum(dataset.name, lease, vacuum_hours)
        context.engine.maintain(dataset, lease)
        return Maintained(dataset.name, before, context.engine.version(dataset.name) or before, removed)


def _refuse_if_behind(context: FlowContext, store: OnlineStore, dataset: Dataset) -> None:
    version = context.engine.version(dataset.name)
    behind = [reader for reader, seen in _readers(context, store, dataset) if seen != version]
    if behind:
        raise ReadersBehind(
            f"{', '.join(behind)} has yet to read {dataset.name} up to version {version}; run c360 pipeline run daily first"
        )


def _readers(context: FlowContext, store: OnlineStore, dataset: Dataset) -> Iterator[tuple[str, int | None]]:
    """Who reads a table, with the version up to which they have done so; None for one that has to begin."""
    for reader in context.catalog:
        if dataset.name in context.catalog.inputs(reader):
            for batch in (context.checkpoints.last(reader.name), context.checkpoints.planned(reader.name)):
                if batch is not None:
                    yield reader.name, batch.inputs.get(dataset.name)
    if dataset.serving is not None:
        header = store.header(ProfileEncoder(dataset).view)
        yield "the online store", None if header is None else header.version
