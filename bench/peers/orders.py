"""The peer of the orders' way from file to silver: plain DuckDB and delta-rs, as one would write it by hand and leave it.

``python -m bench.peers.orders LANDING LAKE``. The same bronze and silver rows and amounts; no commit protocol, no quarantine, no counts, no schema
enforcement, no second run: what is left of the cost when all of that is left out.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
from deltalake import DeltaTable, WriterProperties, write_deltalake

_COLUMNS = (
    "order_id line_number customer_id order_ts product_id product_name product_category quantity unit_price discount_pct currency "
    "payment_method status coupon_code surplus more"
)
_TEXT = "nullif(trim({0}, ' '), '') AS {0}"

_BRONZE = """
CREATE TABLE bronze AS
SELECT order_id, TRY_CAST(line_number AS INT) AS line_number, customer_id, TRY_CAST(order_ts AS TIMESTAMPTZ) AS order_ts,
  product_id, product_name, product_category, CASE WHEN quantity NOT LIKE '0x%' THEN TRY_CAST(quantity AS INT) END AS quantity,
  TRY_CAST(unit_price AS DECIMAL(18,6)) AS unit_price, TRY_CAST(discount_pct AS DECIMAL(9,6)) AS discount_pct,
  currency, payment_method, status, filename AS _source_file
FROM read_csv({files}, auto_detect = false, header = true, columns = {columns}, filename = true, delim = ',', quote = '"', escape = '"',
  strict_mode = true, ignore_errors = true, null_padding = true)
"""

_RATES = """
CREATE TABLE rates AS
WITH versions AS (
  SELECT upper(trim(currency)) AS currency, CAST(valid_from AS TIMESTAMPTZ) AS valid_from, TRY_CAST(rate AS DECIMAL(16,8)) AS rate
  FROM read_csv({files}, all_varchar = true, header = true)
  UNION ALL SELECT 'GBP', TIMESTAMPTZ '1970-01-01 00:00:00+00', 1
)
SELECT *, lead(valid_from, 1, TIMESTAMPTZ '9999-12-31 00:00:00+00') OVER (PARTITION BY currency ORDER BY valid_from) AS valid_until
FROM versions WHERE rate > 0
"""

_SILVER = f"""
WITH newest AS (
  SELECT * FROM bronze
  QUALIFY row_number() OVER (PARTITION BY trim(order_id, ' '), line_number ORDER BY rowid DESC) = 1
),
cleaned AS (
  SELECT {_TEXT.format("order_id")}, line_number, {_TEXT.format("customer_id")}, order_ts, {_TEXT.format("product_id")},
    {_TEXT.format("product_name")}, {_TEXT.format("product_category")}, quantity, unit_price,
    coalesce(discount_pct, 0) AS discount_pct, upper(nullif(trim(currency, ' '), '')) AS currency,
    lower(nullif(trim(payment_method, ' '), '')) AS payment_method, lower(trim(status, ' ')) AS status,
    CAST(CAST(quantity AS DECIMAL(19,0)) * unit_price AS DECIMAL(38,6)) AS gross_amount
  FROM newest
),
sales AS (
  SELECT *,
    CAST(CAST(gross_amount AS DECIMAL(24,6)) * CAST(100 - discount_pct AS DECIMAL(10,6)) * 0.01 AS DECIMAL(38,6)) AS net_amount
  FROM cleaned
  WHERE order_id IS NOT NULL AND line_number IS NOT NULL AND customer_id IS NOT NULL AND order_ts < '10000-01-01'
    AND discount_pct BETWEEN 0 AND 100 AND quantity > 0 AND unit_price > 0
    AND status IN ('completed', 'paid', 'shipped', 'delivered')
)
SELECT sales.*,
  CAST(CAST(gross_amount AS DECIMAL(20,6)) * rate AS DECIMAL(38,6)) AS reported_gross_amount,
  CAST(CAST(net_amount AS DECIMAL(20,6)) * rate AS DECIMAL(38,6)) AS reported_net_amount
FROM sales LEFT JOIN rates
  ON rates.currency = sales.currency AND order_ts >= valid_from AND order_ts < valid_until
"""


def main(landing: Path, lake: Path) -> None:
    connection = duckdb.connect(config={"memory_limit": "2GiB"})
    connection.execute("SET TimeZone = 'UTC'")
    for source, statement in (("ecommerce/orders", _BRONZE), ("finance/exchange_rates", _RATES)):
        found = sorted((landing / source).glob("*.csv"), key=lambda file: (file.stat().st_mtime_ns, file.name))
        files = [str(file) for file in found if file.stat().st_size]
        connection.execute(statement.format(files=files, columns=dict.fromkeys(_COLUMNS.split(), "VARCHAR")))
    for name, query in (("bronze/ecommerce_orders", "SELECT * FROM bronze"), ("silver/orders", _SILVER)):
        write_deltalake(
            lake / name,
            connection.execute(query).to_arrow_reader(65_536),
            configuration={"delta.enableChangeDataFeed": "true"},
            writer_properties=WriterProperties(compression="ZSTD", compression_level=1),
        )
    assert DeltaTable(lake / "silver/orders").version() == 0


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
