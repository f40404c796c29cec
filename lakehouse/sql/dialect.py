"""Spark SQL to DuckDB: sqlglot's translation plus the corrections it needs, each with a name and a reason.

This is the only place that makes up for differences between the engines; queries never do. Every correction is pinned by the
language test: without it, the two engines' answers differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import duckdb
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB

from lakehouse.sql.corrections import casts, choices, nested, numbers, text, time
from lakehouse.sql.corrections.base import Correction, Rewrite
from lakehouse.sql.language import tree_of
from lakehouse.sql.types import note_types

CORRECTIONS: tuple[Correction, ...] = (
    *text.CORRECTIONS,
    *numbers.CORRECTIONS,
    *casts.CORRECTIONS,
    *choices.CORRECTIONS,
    *time.CORRECTIONS,
    *nested.CORRECTIONS,
)
_SHARED = (*numbers.MACROS, *casts.MACROS, *time.MACROS)


@lru_cache(maxsize=2048)
def to_duckdb(sql: str, corrections: tuple[Correction, ...] = CORRECTIONS) -> str:
    """DuckDB SQL with the meaning of a Spark SQL query; ``:as_of`` becomes ``$as_of``. Raises UnsupportedSql.

    It runs in databases prepared by `install`.
    """
    tree = tree_of(sql).copy()
    note_types(tree)
    rewrites = _by_key(corrections)
    for node in reversed(list(tree.walk())):  # parts before the whole
        _correct(node, rewrites)
    return tree.sql(dialect=DuckDB, copy=False)


def install(connection: duckdb.DuckDBPyConnection) -> None:
    """Prepare a database for `to_duckdb`, through any connection to it: UTC and the macros of the corrections."""
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    for statement in _macros():
        connection.execute(statement)


def _macros() -> Iterator[str]:
    yield from _SHARED
    for correction in CORRECTIONS:
        yield from correction.macros


def _by_key(corrections: tuple[Correction, ...]) -> dict[type[exp.Expr] | str, list[Rewrite]]:
    found: dict[type[exp.Expr] | str, list[Rewrite]] = {}
    for correction in corrections:
        for kind, rewrite in correction.rewrites.items():
            found.setdefault(kind, []).append(rewrite)
        for name, rewrite in correction.functions.items():
            found.setdefault(name, []).append(rewrite)
    return found


def _correct(node: exp.Expr, rewrites: dict[type[exp.Expr] | str, list[Rewrite]]) -> None:
    key = node.name.lower() if isinstance(node, exp.Anonymous) else type(node)
    for rewrite in rewrites.get(key, ()):
        parent, place, index = node.parent, node.arg_key, node.index
        changed = rewrite(node)
        if changed is not node and parent is not None and place is not None:
            changed.meta.update({key: found for key, found in node.meta.items() if key not in changed.meta})
            parent.set(place, changed, index=index)
            return
