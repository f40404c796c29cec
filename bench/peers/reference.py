"""What is known beforehand: numbering plans of telephone numbers, and the reporting currency."""

from __future__ import annotations

from pathlib import Path

import duckdb
import phonenumbers
import pyarrow as pa

from bench.peers.lake import write


def build(connection: duckdb.DuckDBPyConnection, lake: Path) -> None:
    plans = pa.Table.from_pylist([_plan(region) for region in sorted(phonenumbers.SUPPORTED_REGIONS)])
    connection.register("plans", plans)
    write(connection, lake, "reference.calling_codes", "FROM plans")
    currency = (
        "SELECT 'GBP' AS currency, TIMESTAMPTZ '0001-01-01 00:00:00+00' AS valid_from, CAST(1 AS DECIMAL(16,8)) AS rate"
    )
    write(connection, lake, "reference.reporting_currency", currency)


def _plan(region: str) -> dict[str, object]:
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    code = metadata.country_code
    return {
        "country": region,
        "calling_code": str(code),
        "is_main_country": phonenumbers.region_code_for_country_code(code) == region,
        "national_prefix": metadata.national_prefix,
        "possible_lengths": "," + ",".join(map(str, metadata.general_desc.possible_length)) + ",",
    }
