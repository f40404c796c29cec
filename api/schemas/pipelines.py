"""Pipelines as they are served: their datasets as a graph."""

from __future__ import annotations

import re
from typing import Any, Self

from pydantic import BaseModel, Field

from lakehouse.catalog import Catalog
from lakehouse.dataset import AutoLoader, Dataset, Flow
from pipelines.runner import PIPELINES, datasets_of


class DatasetNode(BaseModel):
    """A dataset of a pipeline."""

    name: str
    comment: str
    flow: str = Field(
        description="How it is fed: `auto_loader` (landing files), `by_key` (the keys whose inputs changed), `auto_cdc` (history of versions), "
        "`seed` (comes with the code), `recorded` (written beside other datasets), `exported` (from the control plane); more may come."
    )
    inputs: list[str] = Field(description="Datasets that its query reads.")
    source: str | None = Field(description="Landing files that feed it.")
    is_served: bool = Field(description="Whether it is published to the online store.")

    @classmethod
    def of(cls, dataset: Dataset, catalog: Catalog) -> Self:
        return cls(
            name=dataset.name,
            comment=dataset.comment,
            flow=flow_name(dataset.flow),
            inputs=list(catalog.inputs(dataset)),
            source=dataset.flow.path if isinstance(dataset.flow, AutoLoader) else None,
            is_served=dataset.serving is not None,
        )


class PipelineRead(BaseModel):
    """A pipeline with its graph: each dataset comes after those it reads."""

    name: str
    description: str
    datasets: list[DatasetNode]

    @classmethod
    def of(cls, name: str, catalog: Catalog) -> Self:
        nodes = [DatasetNode.of(dataset, catalog) for dataset in datasets_of(name, catalog)]
        return cls(name=name, description=PIPELINES[name], datasets=nodes)


class PipelineList(BaseModel):
    """All pipelines."""

    items: list[PipelineRead]


def flow_name(flow: Flow) -> str:
    """The name of a kind of flow, as Lakeflow spells its own: ``AutoLoader`` is ``auto_loader``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(flow).__name__).lower()


EXAMPLE_PIPELINE: dict[str, Any] = {
    "name": "daily",
    "description": "Landing files to gold tables and the online store.",
    "datasets": [
        {
            "name": "bronze.crm_customers",
            "comment": "Customer records as the CRM wrote them.",
            "flow": "auto_loader",
            "inputs": [],
            "source": "crm/customers/*.json",
            "is_served": False,
        },
        {
            "name": "silver.customers",
            "comment": "One row per customer: the newest version.",
            "flow": "by_key",
            "inputs": ["bronze.crm_customers"],
            "source": None,
            "is_served": False,
        },
    ],
}
