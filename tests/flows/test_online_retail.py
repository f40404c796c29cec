"""UCI Online Retail through the real path, to the cent, by the command line as a user has it."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from pipelines.catalog import load_catalog
from tests.fixtures.command import Command
from tests.lake_state import versions
from tests.online_retail import OnlineRetail
from tests.rfm import Sale, segments

AS_OF = "2011-12-10"


def process(home: Path, *arguments: str) -> Any:
    command = [sys.executable, "-m", "cli.main", *arguments, "--home", str(home), "--json"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return json.loads(finished.stdout)


@pytest.fixture(scope="module")
def home(online_retail_landing: OnlineRetail, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("online-retail")
    shutil.copytree(online_retail_landing.landing, home / "landing")
    return home


@pytest.fixture(scope="module")
def record(home: Path) -> Any:
    return process(home, "pipeline", "run", "daily", "--as-of", AS_OF)


OneRow = Callable[[str], list[Any]]


@pytest.fixture
def one_row(home: Path, c360: Command) -> OneRow:
    """The only row of a query's answer."""
    return lambda query: list(c360(home, "sql", query, "--json").document["rows"][0])


@pytest.mark.usefixtures("record")
class TestFigures:
    def test_bronze_has_every_line(self, one_row: OneRow) -> None:
        assert one_row("SELECT count(*) FROM bronze.ecommerce_orders") == [541_909]

    def test_silver_has_the_sales(self, one_row: OneRow) -> None:
        rows, customers, orders, gross = one_row(
            "SELECT count(*), count(DISTINCT customer_id), count(DISTINCT order_id), sum(gross_amount) FROM silver.orders",
        )
        assert (rows, customers, orders) == (397_884, 4_338, 18_532)
        assert round(Decimal(gross), 2) == Decimal("8911407.90")

    def test_dropped_once_and_counted_per_rule(self, record: Any) -> None:
        orders = record["datasets"]["silver.orders"]
        assert (orders["dropped"], orders["quarantined"]) == (144_025, 0)
        assert {
            name: orders["expectations"][name]
            for name in ("customer_present", "quantity_positive", "unit_price_positive", "is_sale")
        } == {
            "customer_present": 135_080,
            "quantity_positive": 10_624,
            "unit_price_positive": 2_517,
            "is_sale": 9_288,
        }

    def test_profiles_for_every_customer_seen(self, one_row: OneRow) -> None:
        assert one_row("SELECT count(*) FROM gold.customer_360") == [4_372]

    def test_recency_frequency_monetary(self, one_row: OneRow) -> None:
        recency, frequency, monetary = one_row(
            "SELECT avg(floor((unix_timestamp(TIMESTAMP'2011-12-10 00:00:00') - unix_timestamp(last_order_at)) / 86400)), "
            "avg(orders_count), avg(net_amount) FROM gold.customer_360 WHERE orders_count > 0",
        )
        assert (round(recency, 2), round(frequency, 3), round(monetary, 2)) == (92.06, 4.272, 2054.27)

    def test_segments_are_those_of_an_independent_computation(self, home: Path) -> None:
        """Over the landed files in plain Python; nothing of ours takes part."""
        sales, known = [], set()
        for path in sorted((home / "landing" / "ecommerce" / "orders").glob("*.csv")):
            with path.open(encoding="utf-8", newline="") as file:
                for line in csv.DictReader(file):
                    amount = int(line["quantity"]) * Decimal(line["unit_price"])
                    known.add(line["customer_id"])
                    if line["customer_id"] and line["status"] == "completed" and int(line["quantity"]) > 0 < amount:
                        at = datetime.fromisoformat(line["order_ts"]).replace(tzinfo=UTC)
                        sales.append(Sale(line["customer_id"], line["order_id"], at, amount))
        table = DeltaTable(home / "lake" / "gold" / "customer_segments").to_pyarrow_table()
        columns = ("recency_score", "frequency_score", "monetary_score", "segment")
        found = {row["customer_id"]: tuple(row[name] for name in columns) for row in table.to_pylist()}
        assert found == segments(sales, known - {""}, date.fromisoformat(AS_OF))
        assert Counter(segment for *_, segment in found.values())["champions"] == 946

    def test_daily_revenue_adds_up(self, one_row: OneRow) -> None:
        lines, gross = one_row("SELECT sum(order_lines_count), sum(reported_gross_amount) FROM gold.revenue_daily")
        assert (lines, round(Decimal(gross), 2)) == (397_884, Decimal("8911407.90"))

    def test_every_dataset_with_expectations_has_its_metrics(self, record: Any) -> None:
        computed = {name for name, flow in record["datasets"].items() if flow["rows_out"]}
        declared = {dataset.name: {rule.name for rule in dataset.expectations} for dataset in load_catalog()}
        for name in computed:
            assert record["datasets"][name]["expectations"].keys() == declared[name], name
        gold = ("customer_segments", "revenue_daily", "churn_features")
        assert all(set(record["datasets"][f"gold.{name}"]["expectations"].values()) == {0} for name in gold)

    def test_everyone_who_bought_has_features(self, one_row: OneRow) -> None:
        features = one_row(
            "SELECT count(*), avg(recency_days), avg(orders_count), avg(net_amount) FROM gold.churn_features "
            f"WHERE as_of = DATE'{AS_OF}'",
        )
        assert [features[0], *(round(figure, 3) for figure in features[1:])] == [4_338, 92.059, 4.272, 2054.266]


@pytest.mark.usefixtures("record")
class TestRepetition:
    def test_second_run_commits_nothing(self, home: Path) -> None:
        before = versions(home / "lake")
        again = process(home, "pipeline", "run", "daily", "--as-of", AS_OF)
        assert versions(home / "lake") == before
        assert again["commits"] == 0
        assert again["online"]["customers"]["written"] == 0

    def test_a_day_landed_again_under_another_name_changes_no_silver(self, home: Path) -> None:
        before = versions(home / "lake")
        orders = home / "landing" / "ecommerce" / "orders"
        day = sorted(orders.glob("*.csv"))[100]
        shutil.copy2(day, orders / "again.csv")
        process(home, "pipeline", "run", "daily", "--as-of", AS_OF)
        after = versions(home / "lake")
        assert after["bronze.ecommerce_orders"] == before["bronze.ecommerce_orders"] + 1
        for name in ("silver.orders", "silver.customers", "silver.customers_history", "gold.customer_360"):
            assert after[name] == before[name]
