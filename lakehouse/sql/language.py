"""The language of transformations: one read-only query in Spark SQL, of constructs that mean the same on both engines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError

from lakehouse.sql.allowed import check
from lakehouse.sql.reader import SparkSql
from lakehouse.sql.unsupported import UnsupportedSql

AS_OF = "as_of"
"""The one parameter a query may have: the run's date."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One query. ``inputs`` are the tables it reads, as ``layer.noun`` in lower case, ``repeated`` those that it names more than
    once; names without a layer are views."""

    text: str
    inputs: frozenset[str]
    repeated: frozenset[str]
    parameters: frozenset[str]

    def bound(self, views: Mapping[str, str]) -> str:
        """The same Spark SQL, reading each input from the view of that name; every input needs one. Column references that
        are qualified by the noun stay valid."""
        text = self.text
        for start, end, name, aliased in reversed(_tables(self.text)):
            view = views[name]
            text = text[:start] + (view if aliased else f"{view} AS {name.rpartition('.')[2]}") + text[end:]
        return text


@dataclass(frozen=True, slots=True)
class Expression:
    """One expression over a table's columns, written without qualifiers: ``address.city`` reads the column ``address``."""

    text: str
    columns: frozenset[str]
    parameters: frozenset[str]


@lru_cache(maxsize=2048)
def parse(sql: str, *, lenient: bool = False) -> Statement:
    """Read a query (SELECT, WITH, UNION …). Raises UnsupportedSql, which names the construct and what to write instead.

    ``lenient`` reads any query of Spark SQL, also what is not in the language (see lakehouse.sql.lenient)."""
    tree = read(sql) if lenient else tree_of(sql)
    named = Counter(name for *_, name, _ in _tables(sql))
    repeated = frozenset(name for name, times in named.items() if times > 1)
    return Statement(sql, frozenset(named), repeated, _parameters(tree))


@lru_cache(maxsize=2048)
def parse_expression(sql: str) -> Expression:
    """Read an expression over columns, without subqueries; raises UnsupportedSql."""
    tree = tree_of(f"SELECT {sql}")
    if (
        not isinstance(tree, exp.Select)
        or len(tree.expressions) != 1
        or tree.args.get("from_")
        or len(list(tree.find_all(exp.Query))) > 1
    ):
        raise UnsupportedSql(f"{_excerpt(sql)} is not one expression over columns")
    columns = frozenset(column.parts[0].name for column in tree.find_all(exp.Column))
    return Expression(sql, columns, _parameters(tree))


def may_read(sql: str, columns: Sequence[str]) -> list[str]:
    """Those of a table's columns that a query may read: all that it mentions, or all there are where it has a star; at least one."""
    tree = tree_of(sql)
    if any(not isinstance(star.parent, exp.Count) for star in tree.find_all(exp.Star)):
        return list(columns)
    mentioned = {identifier.name.lower() for identifier in tree.find_all(exp.Identifier)}
    return [column for column in columns if column.lower() in mentioned] or list(columns[:1])


def columns_in(expressions: Iterable[str]) -> frozenset[str]:
    """The columns that any of these expressions names."""
    return frozenset(column for expression in expressions for column in parse_expression(expression).columns)


def columns_of(sql: str, table: str) -> frozenset[str]:
    """The columns that a query names as ``table.column``."""
    return frozenset(column.name for column in tree_of(sql).find_all(exp.Column) if column.table == table)


@lru_cache(maxsize=1024)
def tree_of(sql: str) -> exp.Query:
    """The checked syntax tree; callers must not change it (copy it first)."""
    tree = read(sql)
    check(tree)
    return tree


def read(sql: str, dialect: type[Dialect] = SparkSql) -> exp.Query:
    """The syntax tree of one query; raises UnsupportedSql for anything that is not one, or that has other parameters."""
    try:
        trees = [tree for tree in sqlglot.parse(sql, read=dialect) if tree is not None]
    except SqlglotError as failure:
        raise UnsupportedSql(f"this is not Spark SQL: {_reason(failure)}") from None
    if len(trees) != 1:
        raise UnsupportedSql(f"write one query, not {len(trees)} statements")
    tree = trees[0]
    if not isinstance(tree, exp.Query):
        raise UnsupportedSql(f"{tree.key.upper()} is not a query; only SELECT, WITH and set operations read")
    unknown = _parameters(tree) - {AS_OF}
    if unknown:
        raise UnsupportedSql(f"there is no parameter :{min(unknown)}; the only one is :{AS_OF}")
    return tree


def _parameters(tree: exp.Expr) -> frozenset[str]:
    return frozenset(str(node.this) for node in tree.find_all(exp.Placeholder))


@lru_cache(maxsize=2048)
def _tables(sql: str) -> list[tuple[int, int, str, bool]]:
    """Where the text names tables of the lakehouse: start, end, name, whether an alias follows; in order."""
    found = []
    for table in read(sql).find_all(exp.Table):
        parts = [part for part in table.parts if isinstance(part, exp.Identifier)]
        if len(parts) > 1:
            name = ".".join(part.name for part in parts).lower()
            found.append((parts[0].meta["start"], parts[-1].meta["end"] + 1, name, bool(table.alias)))
    return sorted(found)


def _reason(failure: SqlglotError) -> str:
    errors = getattr(failure, "errors", None)
    if not errors:
        return "it cannot be read as a query"
    first = errors[0]
    return f"{first.get('description')} (line {first.get('line')}, column {first.get('col')})"


def _excerpt(sql: str) -> str:
    return sql if len(sql) <= 60 else sql[:57] + "..."  # noqa: PLR2004 - fits a line
