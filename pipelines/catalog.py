"""Finds the datasets: a module in reference/, bronze/, silver/, gold/ or quality/ with a ``dataset`` is one, with the ``.sql`` beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from governance.classification import PII_CLASSES, looks_personal
from lakehouse.catalog import Catalog
from lakehouse.dataset import PUBLIC, SUBJECT_KEY, Dataset, InvalidDeclaration

LAYERS = ("reference", "bronze", "silver", "gold", "quality")


@cache
def load_catalog() -> Catalog:
    """All datasets of this installation, checked. Raises InvalidDeclaration, which names the dataset and what to write."""
    return Catalog(dataset for layer in LAYERS for dataset in _layer(layer))


def check_classes(dataset: Dataset) -> None:
    """Refuse a column whose name looks personal and whose class does not say so, and classes nobody defined."""
    for column in dataset.columns:
        if column.cls not in (PUBLIC, SUBJECT_KEY, *PII_CLASSES):
            raise InvalidDeclaration(
                f"{dataset.name}.{column.name}: there is no class {column.cls}; write one of {', '.join(PII_CLASSES)}"
            )
        if looks_personal(column.name) and not column.is_pii:
            raise InvalidDeclaration(f"{dataset.name}.{column.name} looks personal; give it a pii.* class")


def _layer(layer: str) -> list[Dataset]:
    package = f"pipelines.{layer}"
    found = []
    folders = import_module(package).__path__
    modules = list(iter_modules(folders))
    _check_queries(layer, folders, {module.name for module in modules})
    for module in modules:
        dataset = getattr(import_module(f"{package}.{module.name}"), "dataset", None)
        if not isinstance(dataset, Dataset):
            raise InvalidDeclaration(f"{package}.{module.name} declares no dataset: it needs `dataset = Dataset(...)`")
        if dataset.name != f"{layer}.{module.name}":
            raise InvalidDeclaration(f"{package}.{module.name} must declare {layer}.{module.name}, not {dataset.name}")
        query = _beside(f"{package}.{module.name}")
        if query.is_file():
            dataset = replace(dataset, query=query.read_text(encoding="utf-8"))
        check_classes(dataset)
        found.append(dataset)
    return found


def _check_queries(layer: str, folders: Iterable[str], modules: set[str]) -> None:
    """Refuse a query that no dataset would run."""
    for folder in folders:
        for query in sorted(Path(folder).glob("*.sql")):
            if query.stem not in modules:
                raise InvalidDeclaration(
                    f"{query.name} in {layer}/ has no module beside it: declare {layer}.{query.stem} in {query.stem}.py"
                )


def _beside(module: str) -> Path:
    """The query file of a dataset's module."""
    return Path(str(import_module(module).__file__)).with_suffix(".sql")
