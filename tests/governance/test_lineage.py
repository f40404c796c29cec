"""Lineage of this installation's datasets, hand-checked, and as rows of the system tables: each commit's once."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from governance.lineage import COLUMN_COLUMNS, TABLE_COLUMNS, lineage_of
from pipelines.catalog import load_catalog
from pipelines.flows.derive import rows_sql
from pipelines.runner import run_pipeline
from tests.platform import Platform

AS_OF = date(2026, 3, 1)


def links(dataset: str, column: str) -> set[str]:
    """What reaches a column ('' for the rows), as texts."""
    catalog = load_catalog()
    found = lineage_of(catalog.get(dataset), catalog, rows_sql).columns
    return {f"{link.source}.{link.source_column} {link.influence}" for link in found if link.target == column}


@pytest.mark.parametrize(
    ("dataset", "column", "expected"),
    [
        ("silver.orders", "gross_amount", "bronze.ecommerce_orders.quantity transformation, bronze.ecommerce_orders.unit_price transformation"),
        ("silver.orders", "status", "bronze.ecommerce_orders.status conditional"),
        ("silver.customers_history", "email", "bronze.crm_customers.email transformation"),
        ("silver.customers_history", "date_of_birth", "bronze.crm_customers.date_of_birth identity"),
        ("silver.customers", "email", "silver.customers_history.email identity"),
        ("silver.customers", "valid_from", "silver.customers_history.__START_AT identity"),
        ("gold.customer_360", "email", "silver.customers.email identity"),
        ("gold.customer_360", "net_amount", "silver.orders.reported_net_amount aggregation"),
        ("gold.customer_360", "segment", "gold.customer_segments.segment transformation"),
        ("gold.customer_360", "net_30d_amount", "silver.orders.order_ts conditional, silver.orders.reported_net_amount aggregation"),
        ("gold.customer_360", "spend_by_currency", "silver.orders.currency aggregation, silver.orders.gross_amount aggregation, silver.orders.net_amount aggregation, silver.orders.order_id aggregation"),
        ("gold.revenue_daily", "country", "silver.customers_history.address transformation"),
        ("gold.churn_labels", "churned", "gold.churn_features.as_of conditional, silver.orders.order_id aggregation"),
        ("bronze.crm_customers", "email", "crm/customers/*.json.email identity"),
        ("bronze.crm_customers", "_ingested_at", ""),
        ("reference.calling_codes", "country", ""),
    ],
)  # fmt: skip
def test_columns_come_from_where_a_reader_finds_them(dataset: str, column: str, expected: str) -> None:
    assert links(dataset, column) == {text.strip() for text in expected.split(",") if text}


def test_expectations_and_the_order_of_versions_decide_on_rows() -> None:
    rows = links("silver.orders", "")
    assert "bronze.ecommerce_orders.unit_price filter" in rows  # dropped if not above 0
    assert "silver.exchange_rates.currency join" in rows
    history = links("silver.customers_history", "")
    assert "bronze.crm_customers._row_number filter" in history  # of two versions of one instant one counts
    assert {"bronze.crm_customers.updated_at transformation", "bronze.crm_customers.updated_at aggregation"} & links(
        "silver.customers_history", "__START_AT"
    )


def test_every_column_of_every_computed_dataset_is_traced() -> None:
    catalog = load_catalog()
    for dataset in catalog:
        if dataset.query is not None:
            found = lineage_of(dataset, catalog, rows_sql)
            tables = {link.source for link in found.columns}
            assert tables == set(found.tables), dataset.name


ORDERS = "order_id,line_number,customer_id,order_ts,quantity,unit_price,currency,status\n"


def exported(home: Path, table: str) -> list[dict[str, Any]]:
    return DeltaTable(home / "lake" / "system" / "access" / table).to_pyarrow_table().to_pylist()


def run_system(platform: Platform) -> int:
    with platform.installation.engine("embedded") as engine:
        return run_pipeline("system", platform.context(engine, AS_OF), platform.store).commits


def test_each_commit_leaves_its_lineage_once(tmp_path: Path) -> None:
    with Platform(tmp_path) as platform:
        landing = platform.landing / "ecommerce" / "orders"
        landing.mkdir(parents=True)
        (landing / "1.csv").write_text(ORDERS + "o1,1,c1,2026-01-15,1,2.50,GBP,paid\n", encoding="utf-8")
        platform.run(AS_OF)
        run_system(platform)
        first = exported(tmp_path, "table_lineage")
        pairs = {(row["source_table_full_name"] or row["source_path"], row["target_table_full_name"]) for row in first}
        assert {
            ("ecommerce/orders/*.csv", "bronze.ecommerce_orders"),
            ("bronze.ecommerce_orders", "silver.orders"),
            ("silver.orders", "gold.customer_360"),
            ("gold.customer_segments", "gold.customer_360"),
        } <= pairs
        assert len(pairs) == len(first) == len({row["record_id"] for row in first})
        columns = exported(tmp_path, "column_lineage")
        assert len({row["record_id"] for row in columns}) == len(columns)
        assert {
            (row["transformation_type"], row["transformation_subtype"])
            for row in columns
            if (row["source_column_name"], row["target_column_name"]) == ("reported_net_amount", "net_amount")
        } == {("DIRECT", "AGGREGATION")}
        commits = run_system(platform)
        assert (commits, len(exported(tmp_path, "table_lineage"))) == (0, len(first))

        platform.run(AS_OF)  # nothing new: nothing committed, no lineage
        run_system(platform)
        assert len(exported(tmp_path, "table_lineage")) == len(first)

        (landing / "2.csv").write_text(ORDERS + "o1,1,c1,2026-01-15,1,2.50,GBP,paid\n", encoding="utf-8")
        platform.run(AS_OF)
        run_system(platform)
        since = [row for row in exported(tmp_path, "table_lineage") if row not in first]
        assert {row["target_table_full_name"] for row in since} == {"bronze.ecommerce_orders"}


def test_columns_are_databricks_own() -> None:
    assert list(TABLE_COLUMNS) == [
        "account_id", "metastore_id", "workspace_id", "entity_type", "entity_id", "entity_run_id",
        "source_table_full_name", "source_table_catalog", "source_table_schema", "source_table_name", "source_path", "source_type",
        "target_table_full_name", "target_table_catalog", "target_table_schema", "target_table_name", "target_path", "target_type",
        "created_by", "event_time", "event_date", "record_id", "event_id", "statement_id", "entity_metadata", "direct_access",
    ]  # fmt: skip
    assert list(COLUMN_COLUMNS)[len(TABLE_COLUMNS) :][:2] == ["source_column_name", "target_column_name"]
