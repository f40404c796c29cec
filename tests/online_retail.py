"""UCI Online Retail as landing files: real sales, through the same contracts as every source.

Orders become one CSV a day, customers one NDJSON file for each day on which some of them are first seen; a file is dated
by the midnight that ends its day. Nothing is added to the data: what the source does not know is left empty.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv

ORDERS = """
SELECT
  InvoiceNo AS order_id,
  row_number() OVER (PARTITION BY InvoiceNo ORDER BY file_row_number) AS line_number,
  CAST(CustomerID AS VARCHAR) AS customer_id,
  strftime(InvoiceDate, '%Y-%m-%d %H:%M:%S') AS order_ts,
  StockCode AS product_id,
  Description AS product_name,
  CAST(NULL AS VARCHAR) AS product_category,
  Quantity AS quantity,
  CAST(UnitPrice AS DECIMAL(18, 3)) AS unit_price,
  CAST(NULL AS VARCHAR) AS discount_pct,
  'GBP' AS currency,
  CAST(NULL AS VARCHAR) AS payment_method,
  CASE WHEN InvoiceNo LIKE 'C%' THEN 'cancelled' ELSE 'completed' END AS status,
  CAST(InvoiceDate AS DATE) AS day
FROM read_parquet($source, file_row_number = true)
ORDER BY day, file_row_number
"""
CUSTOMERS = """
SELECT
  CAST(CustomerID AS VARCHAR) AS customer_id,
  arg_min(Country, file_row_number) AS country,
  strftime(min(InvoiceDate), '%Y-%m-%d %H:%M:%S') AS first_seen,
  CAST(min(InvoiceDate) AS DATE) AS day
FROM read_parquet($source, file_row_number = true)
WHERE CustomerID IS NOT NULL
GROUP BY CustomerID
ORDER BY day, customer_id
"""


@dataclass(frozen=True, slots=True)
class OnlineRetail:
    """The files written, relative to the landing zone, oldest first."""

    landing: Path
    orders: tuple[str, ...]
    customers: tuple[str, ...]


def land_online_retail(parquet: Path, landing: Path) -> OnlineRetail:
    """Write the landing files of the data set. Equal bytes and modification times each time."""
    with duckdb.connect() as connection:
        orders = connection.execute(ORDERS, {"source": str(parquet)}).to_arrow_table()
        customers = connection.execute(CUSTOMERS, {"source": str(parquet)}).to_arrow_table()
    return OnlineRetail(
        landing,
        orders=tuple(_write_orders(landing, day, rows) for day, rows in _by_day(orders)),
        customers=tuple(_write_customers(landing, day, rows) for day, rows in _by_day(customers)),
    )


def _by_day(rows: pa.Table) -> Iterator[tuple[date, pa.Table]]:
    """Each day with its rows, from a table sorted by ``day``, without that column."""
    counts = rows.group_by("day", use_threads=False).aggregate([([], "count_all")])
    start = 0
    for day, count in zip(counts["day"].to_pylist(), counts["count_all"].to_pylist(), strict=True):
        yield day, rows.slice(start, count).drop_columns("day")
        start += count


def _write_orders(landing: Path, day: date, rows: pa.Table) -> str:
    path = landing / f"ecommerce/orders/orders-{day.isoformat()}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    options = pyarrow.csv.WriteOptions(quoting_style="needed", quoting_header="none")
    pyarrow.csv.write_csv(rows, path, options)
    return _dated(landing, path, day)


def _write_customers(landing: Path, day: date, rows: pa.Table) -> str:
    path = landing / f"crm/customers/customers-{day.isoformat()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    records = (
        {
            "customer_id": row["customer_id"],
            "address": {"country": row["country"]},
            "created_at": row["first_seen"],
            "updated_at": row["first_seen"],
        }
        for row in rows.to_pylist()
    )
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return _dated(landing, path, day)


def _dated(landing: Path, path: Path, day: date) -> str:
    ends = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC).timestamp()
    os.utime(path, (ends, ends))
    return path.relative_to(landing).as_posix()
