"""The catalog: all datasets of an installation, checked, in the order in which they feed each other."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from graphlib import CycleError, TopologicalSorter

from kit.errors import Invalid, NotFound
from lakehouse.dataset import (
    SUBJECT_KEY,
    Action,
    AutoCdc,
    AutoLoader,
    ChangeFeed,
    Dataset,
    Derived,
    Exported,
    Flow,
    Full,
    InvalidDeclaration,
    Reached,
    Seed,
    Subject,
)
from lakehouse.engine import CHANGE_TYPE
from lakehouse.online.encode import ProfileEncoder
from lakehouse.sql.language import Statement, columns_of, parse, parse_expression

CHANGED = "changed"
"""The changed rows of an input, in a query that tells which keys they reach."""

START_AT, END_AT = "__START_AT", "__END_AT"
"""Validity of a history row, half-open; Lakeflow's names."""

FEED_COLUMNS = ("_source_change_type", "_source_commit_version", "_source_commit_timestamp", "_source_generation")
"""What each row of a change feed was, and when. Delta's own names are taken: they are what a bronze table's own feed adds to
its rows. Versions are comparable within one ``_source_generation``."""

_FILE_FORMATS = ("json", "csv", "parquet")


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
        paths = [dataset.serving.path for dataset in self._datasets.values() if dataset.serving is not None]
        if doubled := sorted({path for path in paths if paths.count(path) > 1}):
            raise InvalidDeclaration(f"two datasets are served under {', '.join(doubled)}")
        for name in self._datasets:
            if any(within.startswith(f"{name}.") for within in self._datasets):
                raise InvalidDeclaration(f"{name} is a table, so no other can lie within it; rename one of them")
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
        inputs = self.inputs(dataset)
        for name in inputs:
            if name not in self._datasets:
                raise InvalidDeclaration(f"{dataset.name} reads {name}, which is not declared")
            _check_input_key(dataset, self._datasets[name])
        if isinstance(dataset.flow, Derived):
            for name in dataset.flow.inputs:
                if name not in inputs:
                    raise InvalidDeclaration(
                        f"{dataset.name}: the flow's inputs name {name}, which the query does not read; it reads {', '.join(inputs)}"
                    )

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
    with _said_of(f"{dataset.name}: its query"):
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
    if not isinstance(dataset.flow, Derived):
        return ()
    keys = dataset.flow.inputs.get(source.name, dataset.flow.keys)
    return () if isinstance(keys, Reached) else keys


def reached_keys(dataset: Dataset, source: Dataset) -> Reached | None:
    """How changes of an input without the flow's keys reach them; None where that is not declared."""
    keys = dataset.flow.inputs.get(source.name) if isinstance(dataset.flow, Derived) else None
    return keys if isinstance(keys, Reached) else None


def check_declaration(dataset: Dataset) -> None:
    """Refuse a declaration that contradicts itself."""
    _check_columns(dataset)
    _check_keys(dataset)
    _check_subject(dataset)
    _check_expectations(dataset)
    _check_flow(dataset)
    if dataset.serving is not None:
        ProfileEncoder(dataset)
        if dataset.keys != (dataset.serving.key,):
            raise InvalidDeclaration(
                f"{dataset.name} is served by {dataset.serving.key}: declare keys=('{dataset.serving.key}',)"
            )


def _check_columns(dataset: Dataset) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", dataset.name) or not dataset.comment.strip():
        raise InvalidDeclaration(
            f"{dataset.name}: a dataset is named <layer>.<noun>, in lower case and underscores, and has a comment"
        )
    names = dataset.column_names
    if len({name.lower() for name in names}) != len(names):
        raise InvalidDeclaration(f"{dataset.name}: a column is declared twice (names differ in more than case)")
    for column in dataset.columns:
        if not column.comment.strip():
            raise InvalidDeclaration(f"{dataset.name}.{column.name} has no comment")
        with _said_of(f"{dataset.name}.{column.name}"):
            column.data_type  # noqa: B018 - raises UnknownType
        if not _is_plain_name(column.name):
            raise InvalidDeclaration(
                f"{dataset.name}: {column.name!r} cannot be a column's name; write letters, digits and underscores, and no word of SQL"
            )


def _check_keys(dataset: Dataset) -> None:
    for key in (*dataset.keys, *dataset.cluster_by):
        if dataset.column(key).is_pii:
            raise InvalidDeclaration(f"{dataset.name}.{key} is personal: it can be neither key nor clustering column")
    for key in dataset.keys:
        if dataset.column(key).nullable:
            raise InvalidDeclaration(f"{dataset.name}.{key} is a key: declare it nullable=False")


def _check_subject(dataset: Dataset) -> None:
    if isinstance(dataset.subject, Subject):
        if dataset.column(dataset.subject.column).cls != SUBJECT_KEY:
            raise InvalidDeclaration(
                f"{dataset.name}.{dataset.subject.column} links to the subject: its class is {SUBJECT_KEY}"
            )
        return
    if not dataset.subject.reason.strip():
        raise InvalidDeclaration(f"{dataset.name}: write the reason why none of its rows belongs to a person")
    for column in dataset.columns:
        if column.cls == SUBJECT_KEY:
            raise InvalidDeclaration(
                f"{dataset.name}.{column.name} names a customer: declare subject=Subject('{column.name}')"
            )


def _check_expectations(dataset: Dataset) -> None:
    names = [expectation.name for expectation in dataset.expectations]
    if len(names) != len(set(names)):
        raise InvalidDeclaration(f"{dataset.name}: two expectations have the same name")
    for expectation in dataset.expectations:
        with _said_of(f"{dataset.name}: expectation {expectation.name}"):
            parse_expression(expectation.predicate)


def _check_flow(dataset: Dataset) -> None:
    if isinstance(dataset.flow, Derived):
        _check_computed(dataset, dataset.flow)
    else:
        _check_uncomputed(dataset)


def _check_uncomputed(dataset: Dataset) -> None:
    flow = dataset.flow
    if dataset.query is not None:
        raise InvalidDeclaration(f"{dataset.name} is not computed by a query; remove the .sql file")
    if any(rule.action is not Action.WARN for rule in dataset.expectations):
        raise InvalidDeclaration(
            f"{dataset.name} keeps every row: its expectations can only warn; drop or quarantine in silver"
        )
    if isinstance(flow, Exported) and dataset.expectations:
        raise InvalidDeclaration(f"{dataset.name} holds what was recorded, as it was: declare no expectations")
    if isinstance(flow, AutoLoader) and flow.format not in _FILE_FORMATS:
        raise InvalidDeclaration(
            f"{dataset.name}: there is no file format {flow.format}; write {', '.join(_FILE_FORMATS)}"
        )
    if isinstance(flow, ChangeFeed):
        _check_feed(dataset, flow)


def _check_computed(dataset: Dataset, flow: Derived) -> None:
    statement_of(dataset)
    if not dataset.keys:
        raise InvalidDeclaration(f"{dataset.name}: a computed dataset declares the keys that tell its rows apart")
    if not flow.keys and not isinstance(flow, Full):
        raise InvalidDeclaration(f"{dataset.name}: the flow names the keys by which rows are computed")
    for key in flow.keys:
        dataset.column(key)
        if key not in dataset.keys:
            raise InvalidDeclaration(
                f"{dataset.name}: the flow computes by {key}, so it has to be one of the keys: a row must not move from one to another"
            )
    if isinstance(flow, AutoCdc):
        _check_cdc(dataset, flow)


def _check_feed(dataset: Dataset, flow: ChangeFeed) -> None:
    for key in flow.keys:
        dataset.column(key)
    if not flow.keys:
        raise InvalidDeclaration(f"{dataset.name}: the flow names the keys that tell the source's rows apart")
    if absent := [name for name in FEED_COLUMNS if name not in dataset.column_names]:
        raise InvalidDeclaration(f"{dataset.name}: a change feed's dataset declares {', '.join(absent)} (FEED_COLUMNS)")


def _check_cdc(dataset: Dataset, flow: AutoCdc) -> None:
    if flow.stored_as_scd_type not in (1, 2):
        raise InvalidDeclaration(f"{dataset.name}: stored_as_scd_type is 1 (newest state) or 2 (history)")
    if not flow.sequence_by:
        raise InvalidDeclaration(f"{dataset.name}: sequence_by names the columns that order the versions of a key")
    present = f"{flow.sequence_by[0]} IS NOT NULL"
    if not any(present in rule.predicate and rule.action is not Action.WARN for rule in dataset.expectations):
        raise InvalidDeclaration(
            f"{dataset.name}: a version without {flow.sequence_by[0]} has no place among the others: declare "
            f"Expectation('sequence_present', '{present}', Action.QUARANTINE)"
        )
    if flow.apply_as_deletes is not None:
        with _said_of(f"{dataset.name}: apply_as_deletes"):
            parse_expression(flow.apply_as_deletes)
    if stored := sorted(set(flow.except_column_list) & set(dataset.column_names)):
        raise InvalidDeclaration(
            f"{dataset.name}: {', '.join(stored)} cannot be both declared and in except_column_list"
        )
    if flow.track_history_except_column_list and flow.stored_as_scd_type == 1:
        raise InvalidDeclaration(f"{dataset.name}: track_history_except_column_list belongs to stored_as_scd_type=2")
    for column in flow.track_history_except_column_list:
        dataset.column(column)
    rows_by = (*flow.keys, START_AT) if flow.stored_as_scd_type == 2 else flow.keys  # noqa: PLR2004 - SCD type 2
    for column in rows_by if flow.stored_as_scd_type == 1 else (*rows_by, END_AT):
        dataset.column(column)
    if dataset.keys != rows_by:
        raise InvalidDeclaration(f"{dataset.name}: its rows are told apart by keys={rows_by!r}")


def _is_plain_name(name: str) -> bool:
    """Whether the name can stand in a query as it is."""
    try:
        return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is not None and parse_expression(name).columns == {name}
    except Invalid:
        return False


@contextmanager
def _said_of(what: str) -> Iterator[None]:
    """Name what is declared wrong in an error that does not know it."""
    try:
        yield
    except Invalid as error:
        raise InvalidDeclaration(f"{what}: {error.message}") from None


def _check_input_key(dataset: Dataset, source: Dataset) -> None:
    if not isinstance(dataset.flow, Derived):
        return
    keys = dataset.flow.keys
    if (reached := reached_keys(dataset, source)) is not None:
        _check_reached(dataset, source, reached)
    yielded = input_keys(dataset, source)
    if len(yielded) not in (0, len(keys)):
        raise InvalidDeclaration(
            f"{dataset.name}: the flow's inputs give {len(yielded)} expressions over {source.name} for the keys {', '.join(keys)}"
        )
    for expression in yielded:
        with _said_of(f"{dataset.name}: the flow's inputs for {source.name}"):
            columns = parse_expression(expression).columns
        if absent := sorted(columns - set(source.column_names)):
            raise InvalidDeclaration(
                f"{dataset.name}: {source.name} has no column {', '.join(absent)}; say in the flow's inputs which expressions "
                f"yield the key there, or () if it has none"
            )


def _check_reached(dataset: Dataset, source: Dataset, reached: Reached) -> None:
    """The query has to read other inputs of the dataset and columns of ``changed`` that the source has."""
    with _said_of(f"{dataset.name}: how {source.name} is reached"):
        statement = parse(reached.query)
    known = statement_of(dataset).inputs - {source.name}
    if not statement.inputs or not statement.inputs <= known:
        raise InvalidDeclaration(
            f"{dataset.name}: the query by which {source.name} is reached reads other inputs of the dataset, of which there are "
            f"{', '.join(sorted(known)) or 'none'}"
        )
    if not (columns := columns_of(reached.query, CHANGED)) or not columns <= {*source.column_names, CHANGE_TYPE}:
        raise InvalidDeclaration(
            f"{dataset.name}: the query by which {source.name} is reached joins the view {CHANGED}, whose columns are "
            f"{', '.join(source.column_names)} and {CHANGE_TYPE}; write them as {CHANGED}.<column>"
        )
