"""Read-only Spark SQL over the newest snapshots of declared datasets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from lakehouse.catalog import Catalog
from lakehouse.engine import Engine, Session
from lakehouse.sql.language import parse
from lakehouse.sql.lenient import check_tables, output_names
from lakehouse.sql.unsupported import UnsupportedSql


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a query. ``note`` says what of it is outside the language of declared queries, and so may differ between
    engines in the last digits; None where the answer is the same on every engine."""

    rows: pa.Table
    note: str | None = None


def run_query(engine: Engine, catalog: Catalog, sql: str, as_of: date, limit: int | None = None) -> Answer:
    """Answer one query. All tables it names are read at one version each, chosen before it starts; a declared dataset that has
    no table yet reads as empty. Raises UnknownDataset for a table that is not declared, UnsupportedSql for what is not one
    query, QueryFailed (which never repeats a value) where the query fails."""
    check_tables(sql)
    statement = parse(sql, lenient=True)
    datasets = {name: catalog.get(name) for name in sorted(statement.inputs)}
    views = {name: name.replace(".", "__") for name in datasets}
    with engine.session(as_of) as session:
        for name, dataset in datasets.items():
            version = engine.version(name)
            if version is None:
                session.bind_empty(views[name], dataset)
            else:
                session.bind(views[name], name, version)
        answer = _answer(session, statement.bound(views), limit)
    names = output_names(sql)
    rows = answer.rows if names is None else answer.rows.rename_columns(names)
    return Answer(rows, answer.note)


def _answer(session: Session, sql: str, limit: int | None) -> Answer:
    """By the language's rules where they allow it, else by the engine's own."""
    try:
        return Answer(session.fetch(sql, limit))
    except UnsupportedSql as refusal:
        return Answer(session.fetch(sql, limit, lenient=True), refusal.message)
