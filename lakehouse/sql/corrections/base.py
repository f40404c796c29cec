"""What a correction is: one named difference between the engines, and how the DuckDB text makes up for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlglot import exp

MARK = "c360:sql:"
"""Stands around our messages within DuckDB's; what is between two holds no value of a row."""

Rewrite = Callable[[exp.Expr], exp.Expr]


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """``rewrites`` replace nodes by type, ``functions`` calls by name (lower case); ``macros`` are DuckDB statements they need.

    A rewrite sees a node whose parts are rewritten already and returns the node to put in its place. Where a correction depends
    on a type that the text does not tell, its macro asks ``typeof``, which DuckDB answers when it binds the query, so that only
    the branch that applies is ever run.
    """

    name: str
    why: str
    rewrites: Mapping[type[exp.Expr], Rewrite] = field(default_factory=dict)
    functions: Mapping[str, Rewrite] = field(default_factory=dict)
    macros: tuple[str, ...] = ()


def call(name: str, *arguments: exp.Expr) -> exp.Expr:
    """A call of a DuckDB function or of one of our macros."""
    return exp.Anonymous(this=name, expressions=list(arguments))


_SHORT = 8
"""Nodes of an expression that may be repeated: a column, a cast, a sum of columns."""


def once(node: exp.Expr, use: Callable[[exp.Expr], exp.Expr]) -> exp.Expr:
    """``use`` of a value that it names several times, so that the value's own text stands there once: repeated in repeated
    text would make queries that take minutes to plan."""
    if len(list(node.walk())) <= _SHORT:
        return use(node)
    value = exp.to_identifier("c360_value")
    bound = exp.Lambda(this=use(exp.column("c360_value")), expressions=[value])
    return exp.Bracket(
        this=call("list_transform", exp.Array(expressions=[node]), bound), expressions=[exp.Literal.number(1)], offset=1
    )


def once_each(nodes: tuple[exp.Expr, exp.Expr], use: Callable[[exp.Expr, exp.Expr], exp.Expr]) -> exp.Expr:
    """`once` for two values."""
    if all(len(list(node.walk())) <= _SHORT for node in nodes):
        return use(*nodes)
    first, second = map(exp.to_identifier, ("c360_first", "c360_second"))
    members = [exp.PropertyEQ(this=name, expression=node) for name, node in zip((first, second), nodes, strict=True)]

    def used(pair: exp.Expr) -> exp.Expr:
        return use(*(exp.Dot(this=pair.copy(), expression=name.copy()) for name in (first, second)))

    return once(exp.Struct(expressions=members), used)


def calling(name: str) -> Rewrite:
    """Rewrite a call into one of that name with the same arguments in their order."""
    return lambda node: call(name, *node.iter_expressions())


def macro(signature: str, body: str) -> str:
    """A DuckDB statement that defines a macro; later macros may use earlier ones."""
    return f"CREATE OR REPLACE MACRO {signature} AS {body}"


def fails(condition: str, message: str) -> str:
    """A DuckDB condition that is false, or fails the query with ``message``. It is a cast of a text, not ``error()``, which DuckDB
    holds to have side effects: filters would not move past it and aliases not be used again."""
    return f"CAST(CASE WHEN {condition} THEN '{MARK}{message}{MARK}' ELSE 'false' END AS BOOLEAN)"


def guard(signature: str, condition: str, message: str) -> str:
    """A macro that yields its first argument as it is, and fails the query where the condition holds. A condition on the type
    alone is settled before the first row is read."""
    subject = signature.partition("(")[2].partition(",")[0].rstrip(")")
    return macro(signature, f"CASE WHEN {fails(condition, message)} THEN NULL ELSE {subject} END")
