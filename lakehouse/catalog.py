"""The catalog: all datasets of an installation, checked, in the order in which they feed each other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter

from kit.errors import NotFound
from lakehouse.dataset import (
    SUBJECT_KEY,
    Action,
    AutoCdc,
    AutoLoader,
    ByKey,
    Dataset,
    Flow,
    InvalidDeclaration,
    Recorded,
    Seed,
    Subject,
)
from lakehouse.sql.language import Statement, parse, parse_expression

START_AT, END_AT = "__START_AT", "__END_AT"
"""Validity of a history row, half-open; Lakeflow's names."""


class UnknownDataset(NotFound):
    """No dataset of that name is declared; the message lists those that are."""

    code = "catalog.unknown_dataset"


class Catalog:
    """Datasets by name. Building one checks every declaration and raises InvalidDeclaration with what to write instead."""

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        self._datasets: dict[str, Dataset] = {}
        for dataset in datasets:
            if dataset.name in self._datasets:
                raise InvalidDeclaration(f"{dataset.name} is declared twice")
            self._datasets[dataset.name] = dataset
        for dataset in self._datasets.values():
            self._check(dataset)
        self._order = self._sorted()

    def __iter__(self) -> Iterator[Dataset]:
        """Datasets in an order in which each comes after its inputs."""
        return (self._datasets[name] for name in self._order)

    def __contains__(self, name: str) -> bool:
        return name in self._datasets

    def get(self, name: str) -> Dataset:
        """The dataset of that name; raises UnknownDataset."""
        if name not in self._datasets:
            raise UnknownDataset(f"there is no dataset {name}; declared are {', '.join(sorted(self._datasets))}")
        return self._datasets[name]

    def inputs(self, dataset: Dataset) -> tuple[str, ...]:
        """Names of the tables its query reads, sorted."""
        return tuple(sorted(statement_of(dataset).inputs)) if dataset.query is not None else ()

    def _check(self, dataset: Dataset) -> None:
        check_declaration(dataset)
        for name in self.inputs(dataset):
            if name not in self._datasets:
                raise InvalidDeclaration(f"{dataset.name} reads {name}, which is not declared")
            _check_input_key(dataset, self._datasets[name])

    def _sorted(self) -> list[str]:
        graph = {name: self.inputs(dataset) for name, dataset in sorted(self._datasets.items())}
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError as cycle:
            raise InvalidDeclaration(f"datasets feed each other in a circle: {' → '.join(cycle.args[1])}") from None


def statement_of(dataset: Dataset) -> Statement:
    """The parsed query; raises InvalidDeclaration for a dataset without one."""
    if dataset.query is None:
        raise InvalidDeclaration(f"{dataset.name} has no query; write it as Spark SQL beside the module")
    return parse(dataset.query)


def definition(dataset: Dataset) -> str:
    """A digest of all that decides the dataset's rows: when it changes, the rows are computed anew."""
    text = repr((dataset.columns, _flow_text(dataset.flow), dataset.keys, dataset.expectations, dataset.query))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _flow_text(flow: Flow) -> str:
    if not isinstance(flow, Seed):
        return repr(flow)
    rows = flow.rows()
    return repr((rows.schema.to_string(), rows.to_pylist()))


def input_keys(dataset: Dataset, source: Dataset) -> tuple[str, ...]:
    """Spark SQL over an input's columns that yields the flow's keys; ``()`` where the input has none."""
    if not isinstance(dataset.flow, ByKey | AutoCdc):
        return ()
    return dataset.flow.inputs.get(source.name, dataset.flow.keys)


def check_declaration(dataset: Dataset) -> None:
    """Refuse a declaration that contradicts itself."""
    _check_columns(dataset)
    _check_flow(dataset)
    names = [expectation.name for expectation in dataset.expectations]
    if len(names) != len(set(names)):
        raise InvalidDeclaration(f"{dataset.name}: two expectations have the same name")
    for expectation in dataset.expectations:
        parse_expression(expectation.predicate)


def _check_columns(dataset: Dataset) -> None:
    if dataset.name.count(".") < 1 or not dataset.comment.strip():
        raise InvalidDeclaration(f"{dataset.name}: a dataset is named <layer>.<noun> and has a comment")
    names = dataset.column_names
    if len({name.lower() for name in names}) != len(names):
        raise InvalidDeclaration(f"{dataset.name}: a column is declared twice (names differ in more than case)")
    for column in dataset.columns:
        if not column.comment.strip():
            raise InvalidDeclaration(f"{dataset.name}.{column.name} has no comment")
        column.data_type  # noqa: B018 - raises UnknownType
    for key in (*dataset.keys, *dataset.cluster_by):
        if dataset.column(key).is_pii:
            raise InvalidDeclaration(f"{dataset.name}.{key} is personal: it can be neither key nor clustering column")
    for key in dataset.keys:
        if dataset.column(key).nullable:
            raise InvalidDeclaration(f"{dataset.name}.{key} is a key: declare it nullable=False")
    if isinstance(dataset.subject, Subject) and dataset.column(dataset.subject.column).cls != SUBJECT_KEY:
        raise InvalidDeclaration(
            f"{dataset.name}.{dataset.subject.column} links to the subject: its class is {SUBJECT_KEY}"
        )


def _check_flow(dataset: Dataset) -> None:
    flow = dataset.flow
    if isinstance(flow, AutoLoader | Recorded | Seed):
        if dataset.query is not None:
            raise InvalidDeclaration(f"{dataset.name} is not computed by a query; remove the .sql file")
        if any(rule.action is not Action.WARN for rule in dataset.expectations):
            raise InvalidDeclaration(
                f"{dataset.name} keeps every row: its expectations can only warn; drop or quarantine in silver"
            )
        return
    statement_of(dataset)
    if not dataset.keys:
        raise InvalidDeclaration(f"{dataset.name}: a computed dataset declares the keys that tell its rows apart")
    for key in flow.keys:
        dataset.column(key)
    if isinstance(flow, AutoCdc) and flow.stored_as_scd_type == 2:  # noqa: PLR2004 - SCD type 2
        for column in (START_AT, END_AT):
            dataset.column(column)


def _check_input_key(dataset: Dataset, source: Dataset) -> None:
    if not isinstance(dataset.flow, ByKey | AutoCdc) or source.name in dataset.flow.inputs:
        return
    absent = [key for key in dataset.flow.keys if key not in source.column_names]
    if absent:
        raise InvalidDeclaration(
            f"{dataset.name}: {source.name} has no column {', '.join(absent)}; say in the flow's inputs which expressions "
            f"yield the key there, or () if it has none"
        )
