"""The landed Online Retail files hold the data set's published figures, counted by plain SQL over the files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import duckdb
import pytest

from tests.online_retail import OnlineRetail

READ = """
CREATE VIEW orders AS
SELECT * FROM read_csv($orders, all_varchar = true, header = true, delim = ',', quote = '"', escape = '"',
                       null_padding = false, strict_mode = true, filename = true)
"""
SALES = """
SELECT *, CAST(quantity AS BIGINT) AS units, CAST(unit_price AS DECIMAL(18, 6)) AS price FROM orders
WHERE customer_id IS NOT NULL AND CAST(quantity AS BIGINT) > 0 AND CAST(unit_price AS DECIMAL(18, 6)) > 0
  AND status <> 'cancelled'
"""


@pytest.fixture(scope="module")
def files(online_retail_landing: OnlineRetail) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(READ.replace("$orders", f"'{online_retail_landing.landing}/ecommerce/orders/*.csv'"))
        connection.execute(f"CREATE VIEW sales AS {SALES}")
        yield connection


def test_every_line_is_landed(files: duckdb.DuckDBPyConnection, online_retail_landing: OnlineRetail) -> None:
    assert files.sql("SELECT count(*), count(DISTINCT (order_id, line_number)) FROM orders").fetchall() == [
        (541909, 541909)
    ]
    assert len(online_retail_landing.orders) == 305


def test_kept_sales_are_the_published_ones(files: duckdb.DuckDBPyConnection) -> None:
    figures = files.sql(
        "SELECT count(*), count(DISTINCT customer_id), count(DISTINCT order_id), round(sum(units * price), 2) FROM sales"
    ).fetchall()
    assert figures == [(397884, 4338, 18532, Decimal("8911407.90"))]


def test_lines_fail_each_rule_as_often_as_in_the_source(files: duckdb.DuckDBPyConnection) -> None:
    failures = files.sql(
        """
        SELECT count(*) FILTER (customer_id IS NULL), count(*) FILTER (CAST(quantity AS BIGINT) <= 0),
               count(*) FILTER (CAST(unit_price AS DECIMAL(18, 6)) <= 0), count(*) FILTER (status = 'cancelled'),
               count(*) - (SELECT count(*) FROM sales)
        FROM orders
        """
    ).fetchall()
    assert failures == [(135080, 10624, 2517, 9288, 144025)]


def test_every_customer_with_an_id_has_one_crm_record(
    files: duckdb.DuckDBPyConnection, online_retail_landing: OnlineRetail
) -> None:
    customers = files.read_json(f"{online_retail_landing.landing}/crm/customers/*.json", format="newline_delimited")  # noqa: F841 - named in the query
    assert files.sql(
        "SELECT count(*), count(DISTINCT customer_id), count(address.country), typeof(any_value(customer_id)) FROM customers"
    ).fetchall() == [(4372, 4372, 4372, "VARCHAR")]
    unknown = "SELECT count(*) FROM orders ANTI JOIN customers USING (customer_id) WHERE orders.customer_id IS NOT NULL"
    assert files.sql(unknown).fetchall() == [(0,)]


def test_files_are_as_old_as_their_day(online_retail_landing: OnlineRetail) -> None:
    for name in (*online_retail_landing.orders, *online_retail_landing.customers):
        day = date.fromisoformat(name.rpartition(".")[0][-10:])
        modified = datetime.fromtimestamp((online_retail_landing.landing / name).stat().st_mtime, UTC)
        assert modified == datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)


def test_lines_lie_in_the_file_of_their_day(files: duckdb.DuckDBPyConnection) -> None:
    strays = files.sql(
        "SELECT count(*) FROM orders WHERE NOT contains(filename, 'orders-' || left(order_ts, 10))"
    ).fetchall()
    assert strays == [(0,)]
