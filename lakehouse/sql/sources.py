"""Where the values of a query come from: for each output column the input columns, and how they reach it.

Works on the checked tree, through WITH names, subqueries, set operations, structs and windows. What is said holds for every
row the query can yield; that a branch is never taken is not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from sqlglot import exp
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope

from kit.errors import Fault
from lakehouse.sql.language import parse, tree_of
from lakehouse.sql.reader import SparkSql


class Influence(StrEnum):
    """How an input column reaches an output (OpenLineage's subtypes). The first three carry values; the others decide which
    value, or which rows there are."""

    IDENTITY = "identity"
    TRANSFORMATION = "transformation"
    AGGREGATION = "aggregation"
    CONDITIONAL = "conditional"
    WINDOW = "window"
    FILTER = "filter"
    JOIN = "join"
    GROUP_BY = "group_by"
    SORT = "sort"

    @property
    def is_direct(self) -> bool:
        """Whether a value of the input can be in the output, or be computed into it."""
        return self in _DIRECT


_PICKING = (exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue)
"""Window functions that yield a value of another row as it is."""

_DIRECT = (Influence.IDENTITY, Influence.TRANSFORMATION, Influence.AGGREGATION)


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """An input column, and how it reaches what it is a source of."""

    table: str
    column: str
    influence: Influence


@dataclass(frozen=True, slots=True)
class Sources:
    """``columns`` maps each output column, in lower case, to its sources; ``rows`` are those that decide which rows there are."""

    columns: Mapping[str, frozenset[Source]]
    rows: frozenset[Source]

    @property
    def read(self) -> frozenset[tuple[str, str]]:
        """Every (table, column) that the query cannot do without."""
        everything = self.rows.union(*self.columns.values())
        return frozenset((source.table, source.column) for source in everything)


Inputs = Mapping[str, tuple[str, Mapping[str, str]]]
"""What the views of a scoped query stand for: the table, and its columns as declared by their names in lower case."""


class UntraceableQuery(Fault):
    """A column of a query that cannot be traced to its inputs: a construct that is in the language and not known here."""

    code = "sql.untraceable"


def sources_of(sql: str, tables: Mapping[str, Sequence[str]]) -> Sources:
    """The sources of a query in the language. ``tables`` gives the columns of every table it reads."""
    scope, inputs = scoped(sql, tables)
    trace = Trace(inputs)
    return Sources(
        {name: frozenset(trace.column(scope, name)) for name in output_names(scope)},
        frozenset(source for each in reached(scope) for source in trace.rows(each)),
    )


def scoped(sql: str, tables: Mapping[str, Sequence[str]]) -> tuple[Scope, Inputs]:
    """The query with every column named by its table, its names in lower case. Not to be changed."""
    return _scoped(sql, tuple((name, tuple(tables[name])) for name in sorted(parse(sql).inputs)))


@lru_cache(maxsize=512)
def _scoped(sql: str, tables: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[Scope, Inputs]:
    inputs = {name.replace(".", "__"): (name, columns) for name, columns in tables}
    tree = tree_of(parse(sql).bound({name: view for view, (name, _) in inputs.items()})).copy()
    schema: dict[str, object] = {view: dict.fromkeys(columns, "string") for view, (_, columns) in inputs.items()}
    qualified = qualify(tree, schema=schema, dialect=SparkSql, quote_identifiers=False, validate_qualify_columns=False)
    scope = build_scope(qualified)
    if scope is None:
        raise UntraceableQuery("the query has no columns to trace")
    declared = {
        view: (name, {column.lower(): column for column in columns}) for view, (name, columns) in inputs.items()
    }
    return scope, declared


class Trace:
    """Follows columns of one scoped query to its inputs."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._known: dict[tuple[int, str], set[Source]] = {}

    def column(self, scope: Scope, name: str) -> set[Source]:
        """The sources of one output column of a scope."""
        key = id(scope), name
        if key not in self._known:
            self._known[key] = self._column(scope, name)
        return self._known[key]

    def _column(self, scope: Scope, name: str) -> set[Source]:
        if isinstance(scope.expression, exp.SetOperation):
            place = output_names(scope).index(name)
            return {
                source
                for branch in scope.set_operation_scopes
                for source in self.column(branch, output_names(branch)[place])
            }
        if isinstance(scope.expression, exp.Select):
            selected = next(each for each in scope.expression.selects if each.alias_or_name == name)
            return set(self.expression(scope, selected, Influence.IDENTITY))
        # rows made in place: LATERAL VIEW explode(…) reads the scope around it, VALUES reads nothing
        around = scope.parent or scope
        return set(self.expression(around, scope.expression, Influence.TRANSFORMATION))

    def expression(self, scope: Scope, node: exp.Expr, influence: Influence) -> Iterator[Source]:
        """The sources of an expression within a scope, which reaches its output by ``influence``."""
        if isinstance(node, exp.Column):
            yield from (
                Source(source.table, source.column, _through(influence, source.influence))
                for source in self.named(scope, node)
            )
        elif isinstance(node, exp.Query):
            inner = next(each for each in scope.subquery_scopes if each.expression is node.unnest())
            for name in output_names(inner):
                yield from (
                    Source(source.table, source.column, _through(influence, source.influence))
                    for source in self.column(inner, name)
                )
        else:
            for part, reaches in _parts(node, influence):
                yield from self.expression(scope, part, reaches)

    def named(self, scope: Scope, column: exp.Column) -> set[Source]:
        """The sources of a column reference."""
        source = source_of(scope, column)
        if isinstance(source, Scope):
            return self.column(source, column.name)
        table, columns = self._inputs[source.name]
        return {Source(table, columns[column.name.lower()], Influence.IDENTITY)}

    def rows(self, scope: Scope) -> Iterator[Source]:
        """The sources that decide which rows a scope has."""
        select = scope.expression
        if isinstance(select, exp.SetOperation) and select.args.get("distinct"):
            for name in output_names(scope):
                yield from (Source(s.table, s.column, Influence.GROUP_BY) for s in self.column(scope, name))
        if not isinstance(select, exp.Select):
            return
        deciding: list[tuple[Iterable[exp.Expr | None], Influence]] = [
            ((select.args.get("where"), select.args.get("having"), select.args.get("qualify")), Influence.FILTER),
            ((join.args.get("on") for join in select.args.get("joins") or ()), Influence.JOIN),
            (select.args["group"].expressions if select.args.get("group") else (), Influence.GROUP_BY),
            (select.selects if select.args.get("distinct") else (), Influence.GROUP_BY),
            ((select.args.get("order"),) if select.args.get("limit") else (), Influence.SORT),
        ]
        for expressions, influence in deciding:
            for expression in expressions:
                if expression is not None:
                    yield from self.expression(scope, expression, influence)


def reached(scope: Scope) -> Iterator[Scope]:
    """The scope and all that it reads, each once; a WITH that nothing reads is not among them."""
    seen: set[int] = set()
    waiting = [scope]
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        named = {*current.selected_sources, *current.semi_or_anti_join_tables}
        waiting += [source for name in named if isinstance(source := current.sources[name], Scope)]
        waiting += [*current.set_operation_scopes, *current.subquery_scopes]


def source_of(scope: Scope, column: exp.Column) -> Scope | exp.Table:
    """What a column reference names: a scope within the query, or an input."""
    around: Scope | None = scope
    while around is not None:
        found = around.sources.get(column.table)
        if isinstance(found, Scope | exp.Table):
            return found
        around = around.parent
    raise UntraceableQuery(f"{column.sql(SparkSql)} cannot be traced to a table")


def output_names(scope: Scope) -> list[str]:
    """The columns of a scope, in order and in lower case."""
    assert isinstance(scope.expression, exp.Query)  # noqa: S101 - for the type checker
    return list(scope.expression.named_selects)


def _through(outer: Influence, inner: Influence) -> Influence:
    """How a source of a part reaches the whole."""
    if not outer.is_direct:
        return outer
    if not inner.is_direct:
        return inner
    return max(outer, inner, key=_DIRECT.index)


def _parts(node: exp.Expr, influence: Influence) -> Iterator[tuple[exp.Expr, Influence]]:
    """The parts of an expression, each with how it reaches the output."""
    deciding = {id(part): _through(influence, kind) for part, kind in _deciding(node)}
    carried = influence
    if isinstance(node, exp.AggFunc) and not isinstance(node, _PICKING):
        carried = _through(influence, Influence.AGGREGATION)
    elif not isinstance(node, exp.Alias | exp.Paren | exp.Window | exp.Filter | exp.Ordered | exp.Where):
        carried = _through(influence, Influence.TRANSFORMATION)
    for part in node.iter_expressions():
        yield part, deciding.get(id(part), carried)


def _deciding(node: exp.Expr) -> Iterator[tuple[exp.Expr, Influence]]:
    """Parts that only decide which value there is."""
    match node:
        case exp.Case():
            if node.this is not None:
                yield node.this, Influence.CONDITIONAL
        case exp.If():
            yield node.this, Influence.CONDITIONAL
        case exp.Filter():
            yield node.expression, Influence.CONDITIONAL
        case exp.Window():
            yield from ((part, Influence.WINDOW) for part in node.args.get("partition_by") or ())
            if node.args.get("order"):
                yield node.args["order"], Influence.WINDOW
