"""AUTO CDC as Spark SQL: from the versions of each key to the states they lead to (Lakeflow's ``create_auto_cdc_flow``).

Everything is computed from all versions of a key, so late ones find their place in history, deletes need no tombstones to be
remembered by, and neither order nor batches of arrival are to be seen in the outcome.
"""

from __future__ import annotations

from lakehouse.catalog import END_AT, START_AT
from lakehouse.dataset import AutoCdc, Dataset
from lakehouse.schema import DataType

RECORD_IDENTITY = frozenset({"_source_file", "_row_number"})
"""Sequence columns that tell every record of a source apart, so that no two versions are tied."""


def states_sql(dataset: Dataset, flow: AutoCdc, versions: str) -> str:
    """A query over the view ``versions`` that yields the declared columns.

    Type 1: the newest version of each key, unless it is a delete. Type 2: one row per run of versions that are equal in every
    tracked column, from the first version's instant to that of the next run or delete; of several versions with one instant
    the last by the remaining sequence columns counts. Untracked columns hold the values of the run's last version.
    """
    return _current(dataset, flow, versions) if flow.stored_as_scd_type == 1 else _history(dataset, flow, versions)


def _current(dataset: Dataset, flow: AutoCdc, versions: str) -> str:
    columns = ", ".join(dataset.column_names)
    newest = ", ".join(_newest_first(dataset, flow, flow.sequence_by))
    return f"""
    SELECT {columns} FROM (
      SELECT *, row_number() OVER (PARTITION BY {", ".join(flow.keys)} ORDER BY {newest}) AS __age
      FROM (SELECT *, {_deletes(flow)} AS __deletes FROM {versions}) AS judged
    ) AS aged
    WHERE __age = 1 AND NOT __deletes
    """


def _history(dataset: Dataset, flow: AutoCdc, versions: str) -> str:
    keys = ", ".join(flow.keys)
    instant, *rest = flow.sequence_by
    stored = [name for name in dataset.column_names if name not in (START_AT, END_AT)]
    tracked = [name for name in stored if name not in (*flow.keys, *flow.track_history_except_column_list)]
    last = ", ".join(_newest_first(dataset, flow, tuple(rest)))
    in_time = f"(PARTITION BY {keys} ORDER BY __at)"
    unchanged = " AND ".join(f"(lag({name}) OVER {in_time} <=> {name})" for name in tracked) or "true"
    columns = ", ".join(stored)
    return f"""
    WITH judged AS (SELECT *, {instant} AS __at, {_deletes(flow)} AS __deletes FROM {versions}),
    at_instant AS (
      SELECT {columns}, __at, __deletes,
        row_number() OVER (PARTITION BY {keys}, __at ORDER BY {last}) AS __rank
      FROM judged
    ),
    single AS (SELECT * FROM at_instant WHERE __rank = 1),
    marked AS (
      SELECT *, CASE
        WHEN row_number() OVER {in_time} > 1 AND lag(__deletes) OVER {in_time} = __deletes AND (__deletes OR ({unchanged})) THEN 0
        ELSE 1
      END AS __starts
      FROM single
    ),
    numbered AS (SELECT *, sum(__starts) OVER {in_time} AS __state FROM marked),
    states AS (
      SELECT *,
        min(__at) OVER (PARTITION BY {keys}, __state) AS {START_AT},
        row_number() OVER (PARTITION BY {keys}, __state ORDER BY __at DESC) AS __from_last
      FROM numbered
    ),
    ended AS (
      SELECT {columns}, {START_AT}, lead({START_AT}) OVER (PARTITION BY {keys} ORDER BY {START_AT}) AS {END_AT}, __deletes
      FROM states WHERE __from_last = 1
    )
    SELECT {columns}, {START_AT}, {END_AT} FROM ended WHERE NOT __deletes
    """


def _deletes(flow: AutoCdc) -> str:
    """Whether a version ends the key's state; a condition that is NULL does not."""
    return f"coalesce(({flow.apply_as_deletes}), false)" if flow.apply_as_deletes else "false"


def _newest_first(dataset: Dataset, flow: AutoCdc, sequence: tuple[str, ...]) -> list[str]:
    """Sort keys of an order in which no two different versions are tied."""
    if set(sequence) >= RECORD_IDENTITY:
        return [f"{column} DESC" for column in sequence]
    said = [
        leaf
        for column in dataset.columns
        if column.name not in (*flow.keys, *sequence, START_AT, END_AT)
        for leaf in _leaves(column.name, column.data_type)
    ]
    return [f"{expression} DESC" for expression in (*sequence, "__deletes", *said)]


def _leaves(expression: str, data_type: DataType) -> list[str]:
    """A value as scalars, which both engines order alike; a map has no order."""
    if data_type.entry is not None:
        return []
    if not data_type.is_struct:
        return [expression]
    members = [leaf for name, member in data_type.fields for leaf in _leaves(f"{expression}.{name}", member)]
    return [f"CASE WHEN {expression} IS NULL THEN 0 ELSE 1 END", *members]
