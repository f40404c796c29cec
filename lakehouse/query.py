"""Read-only Spark SQL over the newest snapshots of declared datasets."""

from __future__ import annotations

from datetime import date

import pyarrow as pa

from lakehouse.catalog import Catalog
from lakehouse.engine import Engine
from lakehouse.sql.language import parse


def run_query(engine: Engine, catalog: Catalog, sql: str, as_of: date, limit: int | None = None) -> pa.Table:
    """The rows of one query. All tables it names are read at one version each, chosen before it starts; a declared dataset
    that has no table yet reads as empty. Raises UnknownDataset for a table that is not declared, UnsupportedSql for what is
    not a query in the language, QueryFailed (which never repeats a value) where the query fails."""
    statement = parse(sql)
    datasets = {name: catalog.get(name) for name in sorted(statement.inputs)}
    views = {name: name.replace(".", "__") for name in datasets}
    with engine.session(as_of) as session:
        for name, dataset in datasets.items():
            version = engine.version(name)
            if version is None:
                session.bind_empty(views[name], dataset)
            else:
                session.bind(views[name], name, version)
        return session.fetch(statement.bound(views), limit)
