"""How Spark SQL text is read: sqlglot's Databricks reader, but functions it would rewrite on reading stay what they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.databricks import Databricks
from sqlglot.parsers.databricks import DatabricksParser


def _verbatim(name: str) -> Callable[[list[exp.Expr]], exp.Expr]:
    return lambda arguments: exp.Anonymous(this=name, expressions=arguments)


VERBATIM = (
    "DATEDIFF", "DATE_DIFF", "DATE_ADD", "DATE_SUB", "DAY", "DAYOFMONTH", "DAYOFWEEK", "DAYOFYEAR", "MOD", "MONTH", "TO_DATE",
    "TO_TIMESTAMP", "TRUNC", "WEEKOFYEAR", "YEAR", "DATE_FORMAT", "HOUR", "MINUTE", "SECOND", "QUARTER", "SIZE", "ELEMENT_AT", "SORT_ARRAY",
)  # fmt: skip


class _Parser(DatabricksParser):
    FUNCTIONS: ClassVar[dict[str, Callable[..., Any]]] = {
        **DatabricksParser.FUNCTIONS,
        **{name: _verbatim(name.lower()) for name in VERBATIM},
    }


class SparkSql(Databricks):
    """Spark SQL as this project reads it; it is never written by sqlglot."""

    Parser = _Parser
