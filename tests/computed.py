"""A dataset's query over rows given in a test, on the embedded engine: no files, no table, no run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from lakehouse.catalog import statement_of
from lakehouse.embedded.engine import EmbeddedEngine
from lakehouse.engine import Session
from lakehouse.properties import arrow_schema
from pipelines.catalog import load_catalog

Rows = Sequence[Mapping[str, Any]]


class Computed:
    """Runs queries, all at one ``as_of``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __call__(self, dataset: str, **inputs: Rows) -> list[dict[str, Any]]:
        """The rows of a dataset's query. Inputs are named as in ``silver__orders=[...]``; others are empty, absent columns NULL."""
        read = {name.replace(".", "__") for name in statement_of(load_catalog().get(dataset)).inputs}
        assert inputs.keys() <= read, f"{dataset} does not read {', '.join(inputs.keys() - read)}"
        return self.given(dataset, inputs)

    def given(self, dataset: str, inputs: Mapping[str, Rows]) -> list[dict[str, Any]]:
        """The rows of a dataset's query, which may read some of these inputs."""
        catalog = load_catalog()
        statement = statement_of(catalog.get(dataset))
        views = {name: name.replace(".", "__") for name in statement.inputs}
        for name, view in views.items():
            rows = [dict(row) for row in inputs.get(view, ())]
            self._session.load(view, pa.Table.from_pylist(rows, schema=arrow_schema(catalog.get(name))))
        return self._session.fetch(statement.bound(views)).to_pylist()


@contextmanager
def computing(as_of: date, folder: Path) -> Iterator[Computed]:
    """Queries at a date, until the block ends."""
    engine = EmbeddedEngine(folder / "lake", scratch=folder / "scratch", memory_limit_mb=256, threads=1)
    with engine.session(as_of) as session:
        yield Computed(session)
