"""Which instants another date can pass over, read from a query; None for a query that any row may change with."""

from __future__ import annotations

from datetime import date

import pytest

from lakehouse.sql.edges import Edge, edges_of

TABLES = {"silver.a": ("id", "at", "until", "day", "x"), "silver.b": ("id", "at")}
AS_OF = "CAST(:as_of AS TIMESTAMP)"
MOVING = {
    "SELECT id FROM silver.a WHERE at < CAST(:as_of AS TIMESTAMP)": {("a", "at", AS_OF)},
    "SELECT id FROM silver.a WHERE day = :as_of": {("a", "day", ":as_of")},
    "SELECT id FROM silver.a WHERE :as_of > day": {("a", "day", ":as_of")},
    "SELECT id, CASE WHEN at >= CAST(:as_of AS TIMESTAMP) - INTERVAL 30 DAYS THEN x END AS x FROM silver.a": {
        ("a", "at", f"{AS_OF} - INTERVAL '30' DAYS")
    },
    "WITH o AS (SELECT id, min(at) AS first FROM silver.a GROUP BY id) SELECT id, first < CAST(:as_of AS TIMESTAMP) AS b FROM o": {
        ("a", "at", AS_OF)
    },
    "SELECT id, max(at) < CAST(:as_of AS TIMESTAMP) AS b FROM silver.a GROUP BY id": {("a", "at", AS_OF)},
    "SELECT id, coalesce(until, at) < CAST(:as_of AS TIMESTAMP) AS b FROM silver.a": {
        ("a", "at", AS_OF),
        ("a", "until", AS_OF),
    },
    "SELECT id, count_if(at < CAST(:as_of AS TIMESTAMP)) AS n FROM (SELECT id, at FROM silver.a UNION ALL SELECT id, at FROM silver.b) AS u GROUP BY id": {
        ("a", "at", AS_OF),
        ("b", "at", AS_OF),
    },
    "SELECT id FROM silver.a WHERE EXISTS (SELECT 1 FROM silver.b AS b WHERE b.id = a.id AND b.at < CAST(:as_of AS TIMESTAMP))": {
        ("b", "at", AS_OF)
    },
    "SELECT id, lag(at) OVER (PARTITION BY id ORDER BY at) < CAST(:as_of AS TIMESTAMP) AS b FROM silver.a": {
        ("a", "at", AS_OF)
    },
}
ANYTHING = (
    "SELECT id, :as_of AS day FROM silver.a",
    "SELECT id, datediff(:as_of, day) AS days FROM silver.a",
    "SELECT id FROM silver.a WHERE CAST(at AS DATE) < :as_of",
    "SELECT id FROM silver.a WHERE at + INTERVAL 30 DAYS < CAST(:as_of AS TIMESTAMP)",
    "SELECT id FROM silver.a WHERE day < trunc(:as_of, 'MM')",
    "SELECT id FROM silver.a WHERE day < add_months(:as_of, -1)",
    "SELECT id FROM silver.a WHERE at < CAST(:as_of AS TIMESTAMP) + (at - at)",
    "SELECT id FROM silver.a WHERE DATE '2026-01-01' < :as_of",
    "SELECT id FROM silver.a WHERE (SELECT max(at) FROM silver.b) IS NULL OR day BETWEEN :as_of AND day",
    "WITH dead AS (SELECT id, :as_of AS day FROM silver.b) SELECT id FROM silver.a WHERE day < :as_of",
    "SELECT id, count(*) < year(:as_of) AS b FROM silver.a GROUP BY id",
    "SELECT id, at < CAST(:as_of AS TIMESTAMP) AND :as_of IS NOT NULL AS b FROM silver.a",
)


@pytest.mark.parametrize("query", MOVING)
def test_comparisons_with_stored_instants_move(query: str) -> None:
    expected = {Edge(f"silver.{table}", column, instant) for table, column, instant in MOVING[query]}
    assert edges_of(query, TABLES) == expected


@pytest.mark.parametrize("query", ANYTHING)
def test_whatever_else_is_done_with_the_date_may_change_any_row(query: str) -> None:
    assert edges_of(query, TABLES) is None


def test_a_query_without_the_date_has_no_edges() -> None:
    assert edges_of("SELECT id FROM silver.a", TABLES) == frozenset()


def test_an_edge_passes_over_the_same_instants_in_both_directions() -> None:
    edge = Edge("silver.a", "at", f"{AS_OF} - INTERVAL '30' DAYS")
    passed = edge.passed(date(2026, 3, 1), date(2026, 3, 5))
    assert passed == edge.passed(date(2026, 3, 5), date(2026, 3, 1))
    assert passed == (
        "at BETWEEN CAST(DATE '2026-03-01' AS TIMESTAMP) - INTERVAL '30' DAYS "
        "AND CAST(DATE '2026-03-05' AS TIMESTAMP) - INTERVAL '30' DAYS"
    )
