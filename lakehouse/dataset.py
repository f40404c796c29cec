"""What a dataset is: the one declaration from which everything else is derived.

A ``Dataset`` stands beside its query (``<module>.sql``, Spark SQL) and says what the table means: columns with type, comment
and class, keys, how it is fed (its *flow*), expectations, the link to the data subject. Table creation, MERGE statements,
casts, lineage, statistics, erasure plans and the online view read it; nothing states any of it a second time.

The types here know nothing of engines or storage; a declaration is a value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import pyarrow as pa

from kit.errors import Invalid
from lakehouse.schema import DataType, parse_type

PUBLIC = "public"
SUBJECT_KEY = "subject_key"


class InvalidDeclaration(Invalid):
    """A declaration that contradicts itself; the message names the dataset and what to write instead."""

    code = "dataset.invalid_declaration"


class Action(StrEnum):
    """What happens to a row that fails an expectation (Lakeflow's ``ON VIOLATION``; ``quarantine`` is ours)."""

    WARN = "warn"
    DROP = "drop"
    FAIL = "fail"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: ``type`` is a Spark SQL type (``DECIMAL(18,6)``, ``STRUCT<city: STRING>``), ``cls`` its class.

    Classes: ``public``, ``subject_key`` (the pseudonymous customer id) and ``pii.*``. Values of class ``pii.*`` never reach
    statistics, predicates, partition values, logs or errors.
    """

    name: str
    type: str
    comment: str
    cls: str = PUBLIC
    nullable: bool = True

    @property
    def is_pii(self) -> bool:
        return self.cls.startswith("pii.")

    @property
    def data_type(self) -> DataType:
        return parse_type(self.type)


@dataclass(frozen=True, slots=True)
class Expectation:
    """A boolean Spark SQL expression over the columns of the query's result. NULL counts as not passing."""

    name: str
    predicate: str
    action: Action = Action.WARN


@dataclass(frozen=True, slots=True)
class Subject:
    """The link to the data subject: the column that holds the customer id."""

    column: str


@dataclass(frozen=True, slots=True)
class NoSubject:
    """A written reason why no row of the dataset belongs to a person."""

    reason: str


@dataclass(frozen=True, slots=True)
class AutoLoader:
    """Files of one landing folder, appended once each (Databricks Auto Loader's ``cloudFiles`` in meaning).

    ``path`` is a glob relative to the landing zone; ``format`` is ``json`` (one record a line), ``csv`` or ``parquet``.
    """

    path: str
    format: str
    datasource: str


@dataclass(frozen=True, slots=True)
class ChangeFeed:
    """The changes of one Delta table in the landing zone, appended once each (``readChangeFeed`` in meaning).

    ``path`` is the table's folder, relative to the landing zone. A snapshot comes first, as inserts, then the changes of every
    later version. ``keys`` tell the source's rows apart: a resync needs them to find the rows that vanished meanwhile.
    """

    path: str
    datasource: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AutoCdc:
    """AUTO CDC with Lakeflow's parameter names: the query yields versions, the flow keeps the state they lead to.

    Versions of a key are ordered by ``sequence_by`` as a struct of these columns; one whose first is NULL has no place, so an
    expectation has to keep it out. Those that no sequence column tells apart are ordered by what they say, a delete last: the
    state never depends on how or when versions came. A version for which ``apply_as_deletes`` (Spark SQL over the query's
    columns) is true ends the key's state; a later one that is not begins another, an earlier one that comes late does not.

    Type 1 keeps the newest state; type 2 keeps a row per run of equal versions with half-open ``__START_AT``/``__END_AT`` taken
    from the first sequence column, and ignores changes of ``track_history_except_column_list``. Columns of the query that are
    not declared order and delete and are not stored; ``except_column_list`` may name them. ``inputs`` gives, for an input whose
    key column is not called as here, the expression that yields it.
    """

    keys: tuple[str, ...]
    sequence_by: tuple[str, ...]
    stored_as_scd_type: int = 1
    apply_as_deletes: str | None = None
    except_column_list: tuple[str, ...] = ()
    track_history_except_column_list: tuple[str, ...] = ()
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reached:
    """The keys that changes of an input without a key can reach: a query over other inputs and the view ``changed`` (the
    changed rows of the input, both images of an update) that yields the flow's keys in their order."""

    query: str


@dataclass(frozen=True, slots=True)
class ByKey:
    """Recompute the keys whose inputs changed; a key with no input left is deleted.

    ``inputs`` maps an input to the expressions (over its columns) that yield ``keys``; an input that has columns of these
    names needs no entry. An input mapped to ``()`` has no key: any change of it recomputes the whole table. One mapped to
    `Reached` has none either, but a query tells which keys a change of it can reach.
    """

    keys: tuple[str, ...]
    inputs: Mapping[str, tuple[str, ...] | Reached] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Full:
    """Recompute the whole table whenever an input has changed: for what is global, such as quintiles.

    It is compared with the table as every recomputed part is, and only rows that differ are written, so that what reads it
    by key sees few changes. The whole is computed in one piece.
    """

    @property
    def keys(self) -> tuple[str, ...]:
        return ()

    @property
    def inputs(self) -> Mapping[str, tuple[str, ...]]:
        return {}


@dataclass(frozen=True, slots=True)
class Seed:
    """Rows that come with the code (reference data); the table is replaced when they differ. ``rows`` yields Arrow rows of
    the declared columns."""

    rows: Callable[[], pa.Table]


@dataclass(frozen=True, slots=True)
class Recorded:
    """Written by the runner itself beside other datasets (expectation metrics, quarantine): it has no query."""


@dataclass(frozen=True, slots=True)
class Exported:
    """Rows that another part of the installation keeps, appended once each in the order in which it came to have them.

    ``source`` names the keeper among those that a run is handed (see pipelines.flows.export)."""

    source: str


Derived = AutoCdc | ByKey | Full
"""Flows that compute a table from others by its query."""

Flow = AutoLoader | ChangeFeed | Derived | Seed | Recorded | Exported


@dataclass(frozen=True, slots=True)
class Serving:
    """The dataset is published to the online store under ``key``; each row becomes one profile."""

    key: str
    path: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """One table of the lakehouse. ``name`` is ``<layer>.<noun>`` (or ``system.<schema>.<table>``, Databricks' names for what an
    installation records of itself); ``query`` is filled in from the file beside the module."""

    name: str
    comment: str
    columns: tuple[Column, ...]
    flow: Flow
    subject: Subject | NoSubject
    keys: tuple[str, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    cluster_by: tuple[str, ...] = ()
    retention_days: int | None = None
    serving: Serving | None = None
    query: str | None = None

    @property
    def layer(self) -> str:
        return self.name.partition(".")[0]

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise InvalidDeclaration(f"{self.name} has no column {name}; it has {', '.join(self.column_names)}")

    @property
    def day_column(self) -> Column | None:
        """The leading clustering column where it is an instant or a date that every row has: merges find their
        files by it. Its days stand in commits, so it is public."""
        leading = self.column(self.cluster_by[0]) if self.cluster_by else None
        if leading is None or leading.nullable or leading.cls != PUBLIC:
            return None
        return leading if leading.data_type.sql in ("DATE", "TIMESTAMP") else None

    @property
    def statistics_columns(self) -> tuple[str, ...]:
        """Columns whose minimum and maximum may stand in the Delta log: every one of an ordered type that
        is not ``pii.*``."""
        return tuple(column.name for column in self.columns if not column.is_pii and column.data_type.has_range)
