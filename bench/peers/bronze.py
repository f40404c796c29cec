"""Files to bronze by DuckDB's own readers.

What does not fit its column becomes NULL; a line that does not parse is left out; files are read in the order of their
modification, and ``_arrival`` counts the rows.
"""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path

import duckdb
from deltalake import DeltaTable

from bench.peers.lake import write

_ARRIVAL = "row_number() OVER () AS _arrival"
_CUSTOMER = {
    **dict.fromkeys(["customer_id", "email", "first_name", "last_name", "phone", "date_of_birth"], "VARCHAR"),
    "address": dict.fromkeys(["street", "city", "state", "postal_code", "country"], "VARCHAR"),
    **dict.fromkeys(["loyalty_tier", "marketing_consent", "created_at", "updated_at"], "VARCHAR"),
}
_ORDER_COLUMNS = dict.fromkeys(
    [
        "order_id",
        "line_number",
        "customer_id",
        "order_ts",
        "product_id",
        "product_name",
        "product_category",
        "quantity",
        "unit_price",
        "discount_pct",
        "currency",
        "payment_method",
        "status",
        "coupon_code",
        "surplus",
        "more",
    ],
    "VARCHAR",
)
_PLAUSIBLE = "CASE WHEN {0} < '10000-01-01' THEN {0} END"


def build(connection: duckdb.DuckDBPyConnection, landing: Path, lake: Path) -> None:
    write(connection, lake, "bronze.crm_customers", _customers(landing))
    write(connection, lake, "bronze.ecommerce_orders", _orders(landing))
    write(connection, lake, "bronze.exchange_rates", _rates(landing))
    write(connection, lake, "bronze.support_tickets", _tickets(landing))
    write(connection, lake, "bronze.web_events", _events(connection, landing))


def _customers(landing: Path) -> str:
    """By lines: read_json with ``ignore_errors`` also loses a good line that follows a broken one at the end of a chunk."""
    return f"""
    SELECT customer_id, email, first_name, last_name, phone, TRY_CAST(date_of_birth AS DATE) AS date_of_birth, address,
      loyalty_tier, CASE marketing_consent WHEN 'true' THEN true WHEN 'false' THEN false END AS marketing_consent,
      TRY_CAST(created_at AS TIMESTAMPTZ) AS created_at,
      {_PLAUSIBLE.format("TRY_CAST(updated_at AS TIMESTAMPTZ)")} AS updated_at, {_ARRIVAL}
    FROM (SELECT unnest(json_transform(CASE WHEN json_valid(line) THEN line END, '{json.dumps(_CUSTOMER)}'))
      FROM read_csv({_files(landing, "crm/customers", "json")}, columns = {{'line': 'VARCHAR'}}, auto_detect = false,
        header = false, delim = '\x01', quote = '', escape = ''))
    WHERE created_at IS NOT NULL
    """


def _orders(landing: Path) -> str:
    return f"""
    SELECT order_id, TRY_CAST(line_number AS INT) AS line_number, customer_id,
      {_PLAUSIBLE.format("TRY_CAST(order_ts AS TIMESTAMPTZ)")} AS order_ts, product_id, product_name, product_category,
      CASE WHEN quantity NOT LIKE '0x%' THEN TRY_CAST(quantity AS INT) END AS quantity,
      TRY_CAST(unit_price AS DECIMAL(18,6)) AS unit_price, TRY_CAST(discount_pct AS DECIMAL(9,6)) AS discount_pct,
      currency, payment_method, status, {_ARRIVAL}
    FROM read_csv({_files(landing, "ecommerce/orders", "csv")}, columns = {_ORDER_COLUMNS}, auto_detect = false, header = true,
      delim = ',', quote = '"', escape = '"', strict_mode = true, ignore_errors = true, null_padding = true)
    """


def _rates(landing: Path) -> str:
    columns = {"currency": "VARCHAR", "valid_from": "DATE", "rate": "DECIMAL(16,8)"}
    files = _files(landing, "finance/exchange_rates", "csv")
    return f"SELECT *, {_ARRIVAL} FROM read_csv({files}, header = true, columns = {columns})"


def _tickets(landing: Path) -> str:
    """The help desk's table as it stands: what a first read of its change feed gives."""
    table = DeltaTable(landing / "support/tickets")
    return f"""
    SELECT *, 'insert' AS _source_change_type, {table.version()} AS _source_commit_version
    FROM read_parquet({table.file_uris()}, union_by_name = true)
    """


def _events(connection: duckdb.DuckDBPyConnection, landing: Path) -> str:
    """Some files have instants as text: neighbours of one form are read together, lest the others' become text too."""
    columns = "event_id, customer_id, device_id, {} AS event_ts, event_type, page_url, referrer, device_type, browser"
    files = _files(landing, "web/events", "parquet")
    schemas = connection.execute(f"SELECT file_name, type FROM parquet_schema({files}) WHERE lower(name) = 'event_ts'")
    with_instants = {file for file, kind in schemas.fetchall() if kind == "INT64"}
    scans = []
    for typed, some in groupby(files, with_instants.__contains__):
        instant = _PLAUSIBLE.format("event_ts" if typed else "TRY_CAST(event_ts AS TIMESTAMPTZ)")
        scans.append(f"SELECT {columns.format(instant)} FROM read_parquet({list(some)}, union_by_name = true)")
    return f"SELECT *, {_ARRIVAL} FROM ({' UNION ALL '.join(scans)})"


def _files(landing: Path, folder: str, suffix: str) -> list[str]:
    """Files that can be read, the oldest first."""
    found = sorted((landing / folder).glob(f"*.{suffix}"), key=lambda file: (file.stat().st_mtime_ns, file.name))
    return [str(file) for file in found if _is_whole(file)]


def _is_whole(file: Path) -> bool:
    """Whether a file has content, and Parquet its end."""
    size = file.stat().st_size
    if file.suffix != ".parquet" or size < 4:
        return size > 0 and file.suffix != ".parquet"
    with file.open("rb") as content:
        content.seek(-4, 2)
        return content.read() == b"PAR1"
