"""What a query may use: node types and functions known to mean the same on Spark and on DuckDB (after the dialect's
corrections). Everything else is refused when it is declared, not when it runs."""

from __future__ import annotations

from sqlglot import exp

from lakehouse.sql.unsupported import UnsupportedSql


def check(tree: exp.Query) -> None:
    """Raise UnsupportedSql for the first construct that is not allowed."""
    for node in tree.walk():
        if isinstance(node, exp.Insert | exp.Update | exp.Delete | exp.Create | exp.Drop | exp.Command):
            raise UnsupportedSql(f"{node.key.upper()} is not a query")
