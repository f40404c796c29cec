"""Runs a pipeline: its datasets in the order in which they feed each other, then the online store."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from typing import Any

from kit.errors import NotFound
from lakehouse.catalog import Catalog
from lakehouse.dataset import AutoLoader, ChangeFeed, Dataset, Derived, Exported, Seed
from lakehouse.online.store import OnlineStore
from pipelines.flows.change_feed import run_change_feed
from pipelines.flows.context import FlowContext, FlowResult
from pipelines.flows.derive import run_derived
from pipelines.flows.export import run_exported
from pipelines.flows.ingest import run_auto_loader
from pipelines.flows.seed import run_seed
from pipelines.publish import PublishResult, disown, publish

PIPELINES = {
    "daily": "Landing files to gold tables and the online store.",
    "declarative": "Silver and gold tables, as declared, from what bronze holds, and the online store.",
    "system": "What the installation records of itself, as tables: who did what, what ran.",
}
"""Pipelines by name. ``daily`` and ``declarative`` share datasets: their runs share a key (workers.queue)."""


class UnknownPipeline(NotFound):
    """There is no pipeline of that name; the message lists those there are."""

    code = "pipeline.unknown"


@dataclass(slots=True)
class PipelineResult:
    """What a run did: one result per dataset that has a flow, in order, and per published dataset."""

    datasets: list[FlowResult] = field(default_factory=list)
    published: list[PublishResult] = field(default_factory=list)

    @property
    def commits(self) -> int:
        """How many table versions the run added to the datasets themselves."""
        return sum(
            (flow.version_after or 0) - (flow.version_before or 0)
            for flow in self.datasets
            if flow.version_after is not None
        )

    @property
    def record(self) -> dict[str, Any]:
        """The result as the run's record: JSON, nothing personal."""
        return {
            "commits": self.commits,
            "datasets": {
                flow.dataset: {**_without(asdict(flow), "dataset"), "flow_progress": flow.flow_progress}
                for flow in self.datasets
            },
            "online": {item.view: asdict(item) for item in self.published},
        }


def check_pipeline(name: str) -> None:
    """Raises UnknownPipeline for a name that is none."""
    if name not in PIPELINES:
        raise UnknownPipeline(f"there is no pipeline of this name; there is {', '.join(PIPELINES)}")


def datasets_of(name: str, catalog: Catalog) -> list[Dataset]:
    """The datasets that a pipeline brings up to date, in order; raises UnknownPipeline."""
    check_pipeline(name)
    layers = {"system": ("system",), "declarative": ("silver", "gold")}.get(name)
    if layers is None:
        return [dataset for dataset in catalog if dataset.layer != "system"]
    return [dataset for dataset in catalog if dataset.layer in layers]


def run_pipeline(
    name: str, context: FlowContext, store: OnlineStore, *, arrived: Collection[str] | None = None
) -> PipelineResult:
    """Bring every dataset up to its inputs. Safe to repeat: what is up to date costs a look at its inputs' versions.

    ``arrived`` names the sources that may have something new, where everything else is known to be up to date: only these are
    looked at, and what reads a table that changes.
    """
    datasets = datasets_of(name, context.catalog)
    changed: set[str] = set()
    result = PipelineResult()
    for dataset in datasets:
        if dataset.serving is not None and context.engine.version(dataset.name) is None:
            disown(dataset, store)
    for dataset in datasets:
        run = _flow_of(dataset)
        if run is None or not _is_due(context.catalog, dataset, arrived, changed):
            continue
        context.check_stop()
        started = time.monotonic()
        context.progress(dataset.name, "looking for changes")
        flow = run(context, dataset)
        flow.inputs = _read(context, dataset)
        flow.seconds = round(time.monotonic() - started, 3)
        result.datasets.append(flow)
        if flow.version_before != flow.version_after:
            changed.add(dataset.name)
        context.progress(dataset.name, "done")
    for dataset in datasets:
        if dataset.serving is not None and (arrived is None or dataset.name in changed):
            context.check_stop()
            context.progress(dataset.name, "publishing")
            result.published.append(publish(context, dataset, store))
            context.progress(dataset.name, "published")
    return result


def _read(context: FlowContext, dataset: Dataset) -> dict[str, int]:
    """The versions of the tables that a computed dataset stands on."""
    inputs = context.catalog.inputs(dataset)
    last = context.checkpoints.last(dataset.name) if inputs else None
    return {name: last.inputs[name] for name in inputs if last.inputs.get(name, -1) >= 0} if last is not None else {}


def _is_due(catalog: Catalog, dataset: Dataset, arrived: Collection[str] | None, changed: set[str]) -> bool:
    return arrived is None or dataset.name in arrived or not changed.isdisjoint(catalog.inputs(dataset))


def _flow_of(dataset: Dataset) -> Callable[[FlowContext, Dataset], FlowResult] | None:
    match dataset.flow:
        case AutoLoader():
            return run_auto_loader
        case ChangeFeed():
            return run_change_feed
        case flow if isinstance(flow, Derived):
            return run_derived
        case Seed():
            return run_seed
        case Exported():
            return run_exported
        case _:
            return None  # written beside other datasets


def _without(record: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != key}
