"""Where values come from: hand-traced queries, and the queries of this installation against the engine itself."""

from __future__ import annotations

import duckdb
import pytest

from lakehouse.catalog import statement_of
from lakehouse.sql.dialect import install, to_duckdb
from lakehouse.sql.sources import Source, sources_of
from pipelines.catalog import load_catalog

TABLES = {
    "silver.a": ("id", "x", "y", "at", "tags", "Mixed"),
    "silver.b": ("id", "z", "st"),
}
QUERIES: dict[str, tuple[str, dict[str, str], str]] = {
    "as it is": ("SELECT x, y AS other FROM silver.a", {"x": "a.x identity", "other": "a.y identity"}, ""),
    "computed": ("SELECT upper(x) AS u FROM silver.a", {"u": "a.x transformation"}, ""),
    "case of names": ("SELECT MIXED AS m FROM silver.a", {"m": "a.Mixed identity"}, ""),
    "a constant": ("SELECT 1 AS one, :as_of AS day FROM silver.a", {"one": "", "day": ""}, ""),
    "star": ("SELECT * EXCEPT (x, y, at, tags, Mixed) FROM silver.a", {"id": "a.id identity"}, ""),
    "with": (
        "WITH c AS (SELECT id, x + 1 AS x1 FROM silver.a) SELECT x1 + 1 AS x2 FROM c",
        {"x2": "a.x transformation"},
        "",
    ),
    "a with that nothing reads": (
        "WITH c AS (SELECT id FROM silver.b WHERE z > 0) SELECT x FROM silver.a",
        {"x": "a.x identity"},
        "",
    ),
    "two withs of one table": (
        (
            "WITH c AS (SELECT id, x FROM silver.a), d AS (SELECT id, max(y) AS y FROM silver.a GROUP BY id) "
            "SELECT c.x, d.y FROM c JOIN d ON c.id = d.id"
        ),
        {"x": "a.x identity", "y": "a.y aggregation"},
        "a.id group_by, a.id join",
    ),
    "filter": ("SELECT x FROM silver.a WHERE y > 0", {"x": "a.x identity"}, "a.y filter"),
    "aggregate": (
        "SELECT id, sum(x) AS s FROM silver.a GROUP BY id HAVING max(y) > 1",
        {"id": "a.id identity", "s": "a.x aggregation"},
        "a.id group_by, a.y filter",
    ),
    "conditions decide": (
        "SELECT CASE WHEN x > 0 THEN y END AS v, sum(x) FILTER (WHERE y > 0) AS w FROM silver.a",
        {"v": "a.x conditional, a.y transformation", "w": "a.x aggregation, a.y conditional"},
        "",
    ),
    "join": (
        "SELECT a.x, b.z FROM silver.a AS a LEFT JOIN silver.b AS b ON b.id = a.id AND a.y > 0",
        {"x": "a.x identity", "z": "b.z identity"},
        "a.id join, a.y join, b.id join",
    ),
    "using": (
        "SELECT a.x FROM silver.a AS a JOIN silver.b AS b USING (id)",
        {"x": "a.x identity"},
        "a.id join, b.id join",
    ),
    "anti join": (
        "SELECT a.x FROM silver.a AS a LEFT ANTI JOIN (SELECT id FROM silver.b WHERE z > 0) AS b ON a.id = b.id",
        {"x": "a.x identity"},
        "a.id join, b.id join, b.z filter",
    ),
    "union": (
        "SELECT x AS v FROM silver.a UNION ALL SELECT z FROM silver.b",
        {"v": "a.x identity, b.z identity"},
        "",
    ),
    "distinct union": (
        "SELECT x AS v FROM silver.a UNION SELECT z FROM silver.b",
        {"v": "a.x identity, b.z identity"},
        "a.x group_by, b.z group_by",
    ),
    "window": (
        "SELECT row_number() OVER (PARTITION BY y ORDER BY at) AS n, lag(x) OVER (PARTITION BY y ORDER BY at) AS l FROM silver.a",
        {"n": "a.y window, a.at window", "l": "a.x transformation, a.y window, a.at window"},
        "",
    ),
    "qualify": (
        "SELECT x FROM silver.a QUALIFY row_number() OVER (PARTITION BY y ORDER BY at) = 1",
        {"x": "a.x identity"},
        "a.y filter, a.at filter",
    ),
    "struct": (
        "SELECT named_struct('p', x, 'q', y) AS s FROM silver.a",
        {"s": "a.x transformation, a.y transformation"},
        "",
    ),
    "member": ("SELECT b.st.city AS c FROM silver.b AS b", {"c": "b.st transformation"}, ""),
    "explode": (
        "SELECT id, t FROM silver.a LATERAL VIEW explode(tags) AS t",
        {"id": "a.id identity", "t": "a.tags transformation"},
        "",
    ),
    "values": ("SELECT a.x, v.n FROM silver.a AS a CROSS JOIN VALUES (1), (2) AS v(n)", {"x": "a.x identity", "n": ""}, ""),
    "scalar subquery": (
        "SELECT x, (SELECT max(z) FROM silver.b AS b WHERE b.id = a.id) AS m FROM silver.a AS a",
        {"x": "a.x identity", "m": "b.z aggregation"},
        "a.id filter, b.id filter",
    ),
    "exists": (
        "SELECT x FROM silver.a AS a WHERE EXISTS (SELECT 1 FROM silver.b AS b WHERE b.id = a.id)",
        {"x": "a.x identity"},
        "a.id filter, b.id filter",
    ),
    "in": (
        "SELECT x FROM silver.a WHERE id IN (SELECT id FROM silver.b WHERE z > 0)",
        {"x": "a.x identity"},
        "a.id filter, b.id filter, b.z filter",
    ),
    "limit": ("SELECT x FROM silver.a ORDER BY y LIMIT 3", {"x": "a.x identity"}, "a.y sort"),
    "order without limit": ("SELECT x FROM silver.a ORDER BY y", {"x": "a.x identity"}, ""),
    "distinct": ("SELECT DISTINCT x FROM silver.a", {"x": "a.x identity"}, "a.x group_by"),
}  # fmt: skip


def as_sources(text: str) -> frozenset[Source]:
    pairs = [part.strip().split(" ") for part in text.split(",") if part.strip()]
    return frozenset(Source(f"silver.{name.split('.')[0]}", name.split(".")[1], kind) for name, kind in pairs)


@pytest.mark.parametrize("name", QUERIES)
def test_hand_traced(name: str) -> None:
    query, columns, rows = QUERIES[name]
    found = sources_of(query, TABLES)
    assert found.columns == {column: as_sources(text) for column, text in columns.items()}
    assert found.rows == as_sources(rows)


COMPUTED = [dataset for dataset in load_catalog() if dataset.query is not None]


@pytest.mark.parametrize("dataset", COMPUTED, ids=lambda dataset: dataset.name)
def test_a_query_needs_the_columns_it_is_traced_to_and_no_others(dataset) -> None:
    """Without a column that lineage names, the query cannot be bound; without one that it does not name, it can."""
    catalog = load_catalog()
    statement = statement_of(dataset)
    tables = {name: catalog.get(name).column_names for name in statement.inputs}
    traced = sources_of(statement.text, tables).read
    native = to_duckdb(statement.bound({name: name.replace(".", "__") for name in tables}))
    with duckdb.connect() as connection:
        install(connection)
        types = {name: {c.name: c.data_type.duckdb for c in catalog.get(name).columns} for name in tables}
        for name in tables:
            create(connection, name, types[name])
        assert is_valid(connection, native)
        for name, columns in tables.items():
            for column in columns:
                create(connection, name, {other: kind for other, kind in types[name].items() if other != column})
                assert is_valid(connection, native) == ((name, column) not in traced), f"{name}.{column}"
            create(connection, name, types[name])


def create(connection: duckdb.DuckDBPyConnection, table: str, types: dict[str, str]) -> None:
    listed = ", ".join(f'"{name}" {kind}' for name, kind in types.items())
    connection.execute(f"CREATE OR REPLACE TABLE {table.replace('.', '__')} ({listed})")


def is_valid(connection: duckdb.DuckDBPyConnection, native: str) -> bool:
    try:
        connection.execute("EXPLAIN " + native.replace("$as_of", "DATE '2026-01-01'"))
    except duckdb.BinderException:
        return False
    return True
