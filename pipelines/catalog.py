"""Finds the datasets: a module in reference/, bronze/, silver/, gold/, quality/ or system/ with a ``dataset`` is one, with the
``.sql`` beside it. A folder within a layer is a part of the name: ``system/access/audit.py`` declares ``system.access.audit``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from governance.classification import PII_CLASSES, looks_personal
from lakehouse.catalog import Catalog
from lakehouse.dataset import PUBLIC, SUBJECT_KEY, Dataset, InvalidDeclaration

LAYERS = ("reference", "bronze", "silver", "gold", "quality", "system")


@cache
def load_catalog() -> Catalog:
    """All datasets of this installation, checked. Raises InvalidDeclaration, which names the dataset and what to write."""
    return Catalog(dataset for layer in LAYERS for dataset in _within(layer))


def check_classes(dataset: Dataset) -> None:
    """Refuse a column whose name looks personal and whose class does not say so, and classes nobody defined."""
    for column in dataset.columns:
        if column.cls not in (PUBLIC, SUBJECT_KEY, *PII_CLASSES):
            raise InvalidDeclaration(
                f"{dataset.name}.{column.name}: there is no class {column.cls}; write one of {', '.join(PII_CLASSES)}"
            )
        if looks_personal(column.name) and not column.is_pii:
            raise InvalidDeclaration(f"{dataset.name}.{column.name} looks personal; give it a pii.* class")


def _within(name: str) -> Iterator[Dataset]:
    """The datasets of a layer, or of a folder in one: ``name`` is where they lie, in dots."""
    package = f"pipelines.{name}"
    folders = import_module(package).__path__
    modules = list(iter_modules(folders))
    _check_queries(name, folders, {module.name for module in modules})
    for module in modules:
        declared = f"{name}.{module.name}"
        if module.ispkg:
            yield from _within(declared)
        else:
            yield _declared(declared)


def _declared(name: str) -> Dataset:
    module = import_module(f"pipelines.{name}")
    dataset = getattr(module, "dataset", None)
    if not isinstance(dataset, Dataset):
        raise InvalidDeclaration(f"{module.__name__} declares no dataset: it needs `dataset = Dataset(...)`")
    if dataset.name != name:
        raise InvalidDeclaration(f"{module.__name__} must declare {name}, not {dataset.name}")
    query = Path(str(module.__file__)).with_suffix(".sql")
    if query.is_file():
        dataset = replace(dataset, query=query.read_text(encoding="utf-8"))
    check_classes(dataset)
    return dataset


def _check_queries(name: str, folders: Iterable[str], modules: set[str]) -> None:
    """Refuse a query that no dataset would run."""
    for folder in folders:
        for query in sorted(Path(folder).glob("*.sql")):
            if query.stem not in modules:
                raise InvalidDeclaration(
                    f"{query.name} in {name.replace('.', '/')}/ has no module beside it: declare {name}.{query.stem} in {query.stem}.py"
                )
