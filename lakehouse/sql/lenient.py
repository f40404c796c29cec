"""Questions that people ask: any query of Spark SQL, answered by the embedded engine as well as it can.

Declared queries keep to the language, because their rows must be the same on every engine. A question at a prompt is answered
even where it leaves the language: sqlglot translates it, with the differences mended that change a result's meaning. What
remains is told apart by a note to whoever asked: the last digits of DOUBLEs, the types of averages and quotients, and which
texts a cast accepts may differ from Spark's.
"""

from __future__ import annotations

from sqlglot import exp
from sqlglot.dialects.databricks import Databricks
from sqlglot.dialects.duckdb import DuckDB

from lakehouse.sql.language import read
from lakehouse.sql.unsupported import UnsupportedSql


def to_duckdb_leniently(sql: str) -> str:
    """DuckDB SQL for any Spark SQL query; ``:as_of`` becomes ``$as_of``. Raises UnsupportedSql for what is not one query.

    It runs on connections prepared by lakehouse.sql.dialect.install.
    """
    return read(sql, Databricks).copy().transform(_mend).sql(dialect=DuckDB)


def output_names(sql: str) -> list[str] | None:
    """How Spark would name the columns: as written where they have no alias. None where a star stands for several."""
    selects = read(sql).selects
    if any(isinstance(select, exp.Star) or select.is_star for select in selects):
        return None
    return [_name(select) for select in selects]


def _name(select: exp.Expr) -> str:
    if isinstance(select, exp.Alias | exp.Column | exp.Dot):
        return select.alias_or_name
    return select.sql(dialect=Databricks, normalize_functions="lower")


def check_tables(sql: str) -> None:
    """Refuse tables that are not ``<layer>.<noun>`` or named in a WITH: no file and no function is read as a table."""
    tree = read(sql)
    named = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    for table in tree.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            raise UnsupportedSql("a function cannot be read as a table; tables are named <layer>.<noun>")
        if not table.db and table.name.lower() not in named:
            raise UnsupportedSql(
                f"{table.name} is not a table; tables are named <layer>.<noun>, such as gold.customer_360"
            )


def _mend(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.CountIf):
        return exp.Filter(this=exp.Count(this=exp.Star()), expression=exp.Where(this=node.this))
    if isinstance(node, exp.Div | exp.IntDiv | exp.Mod):
        node.set("expression", exp.Anonymous(this="c360_nonzero", expressions=[node.expression]))
    if isinstance(node, exp.Quantile):
        return exp.Anonymous(this="quantile_cont", expressions=[node.this, node.args["quantile"]])
    if isinstance(node, exp.DayOfWeek):
        return exp.Add(this=exp.Anonymous(this="dayofweek", expressions=[node.this]), expression=exp.Literal.number(1))
    if isinstance(node, exp.UnixSeconds) or (isinstance(node, exp.StrToUnix) and not node.this.is_string):
        seconds = exp.Anonymous(this="epoch", expressions=[exp.cast(node.this, "TIMESTAMPTZ")])
        return exp.cast(exp.Floor(this=seconds), "BIGINT")
    return node
