"""The sample's web events, by what they say together with the shop's orders."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from pipelines.sample import land_sample
from tests.platform import Platform

UNTIL = date(2025, 11, 23)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """The silver tables of a sample of 400 customers."""
    home: Path = tmp_path_factory.mktemp("home")
    with Platform(home) as platform:
        land_sample(platform.landing, customers=400, until=UNTIL)
        platform.run(UNTIL + timedelta(days=1))
        connection = duckdb.connect()
        for noun in ("orders", "web_events", "web_sessions"):
            rows = platform.installation.settings.lake / "silver" / noun
            connection.register(noun, _read(rows))
        return connection


def _read(path: Path) -> object:
    from deltalake import DeltaTable

    return DeltaTable(path).to_pyarrow_table()


def one(lake: duckdb.DuckDBPyConnection, query: str) -> float:
    row = lake.execute(query).fetchone()
    assert row is not None
    return float(row[0])


def test_who_buys_on_the_web_has_an_order_at_that_instant(lake: duckdb.DuckDBPyConnection) -> None:
    found = "SELECT count(*) FROM web_events WHERE event_type = 'purchase'"
    matched = f"{found} AND EXISTS (SELECT 1 FROM orders WHERE orders.customer_id = web_events.customer_id AND orders.order_ts = web_events.event_ts)"
    assert one(lake, found) > 100
    assert one(lake, matched) / one(lake, found) > 0.7  # the others were cancelled, or the line is broken


def test_most_visits_end_without_a_purchase_and_many_without_a_name(lake: duckdb.DuckDBPyConnection) -> None:
    assert 0.02 < one(lake, "SELECT avg(CAST(has_purchase AS INT)) FROM web_sessions") < 0.3
    assert 0.1 < one(lake, "SELECT avg(CAST(customer_id IS NULL AS INT)) FROM web_sessions") < 0.8


def test_customers_come_less_and_less_after_their_last_order(lake: duckdb.DuckDBPyConnection) -> None:
    query = """
    SELECT CAST(floor((epoch(s.started_at) - epoch(o.last)) / 86400 / 20) AS INT) AS period, count(*)
    FROM web_sessions s JOIN (SELECT customer_id, max(order_ts) AS last FROM orders GROUP BY 1) o USING (customer_id)
    WHERE s.started_at > o.last AND o.last < TIMESTAMPTZ '2025-09-01 00:00:00Z' AND o.last > TIMESTAMPTZ '2025-06-01 00:00:00Z'
    GROUP BY 1
    """
    visits = Counter(dict(lake.execute(query).fetchall()))
    assert visits[0] > 2 * visits[2] > 0
