"""AUTO CDC as Spark SQL: from the versions of each key to the states they lead to (Lakeflow's ``create_auto_cdc_flow``)."""

from __future__ import annotations

from lakehouse.catalog import END_AT, START_AT
from lakehouse.dataset import AutoCdc, Dataset


def states_sql(dataset: Dataset, flow: AutoCdc, versions: str) -> str:
    """A query over the view ``versions`` that yields the declared columns.

    Type 1: the newest version of each key. Type 2: one row per run of versions that are equal in every tracked column, from
    the first version's instant to that of the next run; of several versions with one instant the last by the remaining
    sequence columns counts. Untracked columns hold the values of the run's last version.
    """
    return _current(dataset, flow, versions) if flow.stored_as_scd_type == 1 else _history(dataset, flow, versions)


def _current(dataset: Dataset, flow: AutoCdc, versions: str) -> str:
    newest = ", ".join(f"{column} DESC" for column in flow.sequence_by)
    return (
        f"SELECT {', '.join(dataset.column_names)} FROM (SELECT *, row_number() OVER "
        f"(PARTITION BY {', '.join(flow.keys)} ORDER BY {newest}) AS __age FROM {versions}) AS aged WHERE __age = 1"
    )


def _history(dataset: Dataset, flow: AutoCdc, versions: str) -> str:
    keys = ", ".join(flow.keys)
    instant, *ties = flow.sequence_by
    stored = [name for name in dataset.column_names if name not in (START_AT, END_AT)]
    tracked = [name for name in stored if name not in (*flow.keys, *flow.track_history_except_column_list)]
    last = ", ".join(f"{column} DESC" for column in ties) or f"{instant} DESC"
    in_time = f"(PARTITION BY {keys} ORDER BY __at)"
    unchanged = " AND ".join(f"(lag({name}) OVER {in_time} <=> {name})" for name in tracked) or "true"
    columns = ", ".join(stored)
    return f"""
    WITH at_instant AS (
      SELECT {columns}, {instant} AS __at,
        row_number() OVER (PARTITION BY {keys}, {instant} ORDER BY {last}) AS __rank
      FROM {versions}
    ),
    single AS (SELECT * FROM at_instant WHERE __rank = 1),
    marked AS (
      SELECT *, CASE WHEN row_number() OVER {in_time} > 1 AND {unchanged} THEN 0 ELSE 1 END AS __starts
      FROM single
    ),
    numbered AS (SELECT *, sum(__starts) OVER {in_time} AS __state FROM marked),
    states AS (
      SELECT *,
        min(__at) OVER (PARTITION BY {keys}, __state) AS {START_AT},
        row_number() OVER (PARTITION BY {keys}, __state ORDER BY __at DESC) AS __from_last
      FROM numbered
    )
    SELECT {columns}, {START_AT}, lead({START_AT}) OVER (PARTITION BY {keys} ORDER BY {START_AT}) AS {END_AT}
    FROM states WHERE __from_last = 1
    """
