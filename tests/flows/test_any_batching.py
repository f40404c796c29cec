"""However the same files arrive, one by one, in any order, in any batches, silver and gold end the same."""

from __future__ import annotations

import json
import os
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipelines.flows.context import FlowResult
from pipelines.runner import PipelineResult
from tests.lake_state import contents
from tests.platform import Platform

AS_OF = date(2026, 3, 1)
COMPARED = (
    "silver.orders",
    "silver.customers",
    "silver.customers_history",
    "silver.known_customers",
    "gold.customer_360",
    "gold.customer_segments",
    "gold.revenue_daily",
    "gold.churn_features",
    "gold.churn_labels",
    "quality.quarantine",
)
_MTIME = 1_767_225_600_000_000_000  # 2026-01-01

ids = st.sampled_from(["c1", "c2", " c3 ", "", None])
instants = st.sampled_from(
    ["2026-01-01T00:00:00Z", "2026-01-02T10:00:00+02:00", "2026-02-20", "2026-02-28 23:59:59", None, "soon"]
)
crm_records = st.fixed_dictionaries(
    {
        "customer_id": ids,
        "email": st.sampled_from(["a@example.com", " A@Example.com", "b@example.com", None]),
        "loyalty_tier": st.sampled_from(["gold", "silver", None]),
        "address": st.sampled_from([{"city": "Łódź", "country": "PL"}, {"city": "Leeds", "country": "GB"}, None]),
        "phone": st.sampled_from(["07700 900123", "+48 512 345 678", "x", None]),
        "updated_at": instants,
    }
)
order_lines = st.tuples(
    st.sampled_from(["o1", "o2", "o3", ""]),
    st.sampled_from(["1", "2", "x"]),
    st.sampled_from(["c1", "c2", "c4", ""]),
    st.sampled_from(["2026-01-15 10:00:00", "2026-02-27", "2026-03-02T00:00:00Z", "later"]),
    st.sampled_from(["tea", "pots", ""]),
    st.sampled_from(["1", "3", "-1", "many"]),
    st.sampled_from(["0.005", "10.10", "0", "NaN"]),
    st.sampled_from(["", "10", "33.333333"]),
    st.sampled_from(["GBP", "EUR", "XXX", ""]),
    st.sampled_from(["completed", "PAID", "cancelled", "pending", "lost"]),
)
RATES = ("currency,valid_from,rate\nEUR,2026-01-01,0.85\n", "currency,valid_from,rate\nEUR,2026-02-01,0.86\n")


Arrival = tuple[list[tuple[str, str, int]], list[int], dict[int, date]]


@st.composite
def arrivals(draw: st.DrawFn) -> Arrival:
    """Files as (path, text, modification time), an order in which they arrive, and after which of them the pipeline runs,
    as of which date."""
    files = [(f"finance/exchange_rates/{number}.csv", rates, _MTIME) for number, rates in enumerate(RATES)]
    for number in range(draw(st.integers(1, 4))):
        text = "".join(json.dumps(record) + "\n" for record in draw(st.lists(crm_records, min_size=1, max_size=5)))
        files.append((f"crm/customers/{number}.json", text, _MTIME + draw(st.integers(0, 3)) * 10**9))
    header = (
        "order_id,line_number,customer_id,order_ts,product_category,quantity,unit_price,discount_pct,currency,status"
    )
    for number in range(draw(st.integers(1, 4))):
        lines = draw(st.lists(order_lines, min_size=1, max_size=6))
        text = "\n".join([header, *(",".join(line) for line in lines)]) + "\n"
        files.append((f"ecommerce/orders/{number}.csv", text, _MTIME + draw(st.integers(0, 3)) * 10**9))
    order = draw(st.permutations(range(len(files))))
    dates = st.sampled_from([AS_OF, AS_OF - timedelta(days=1), AS_OF - timedelta(days=16), AS_OF + timedelta(days=40)])
    runs = draw(st.dictionaries(st.integers(0, len(files) - 1), dates, max_size=3))
    return files, list(order), {**runs, len(files) - 1: AS_OF}


def land(landing: Path, file: tuple[str, str, int]) -> None:
    path = landing / file[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(file[1], encoding="utf-8")
    os.utime(path, ns=(file[2], file[2]))


def state(platform: Platform) -> dict[str, Any]:
    held = contents(platform.home / "lake")
    return {name: held.get(name) for name in COMPARED}


def examples(count: int) -> settings:
    """One example is several pipeline runs: shrinking would take hours."""
    return settings(
        max_examples=int(os.environ.get("C360_EXAMPLES", count)),
        deadline=None,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )


@examples(3)
@given(arrival=arrivals())
def test_any_order_and_any_batches_end_the_same(arrival: Arrival, tmp_path_factory: Any) -> None:
    end_the_same(arrival, tmp_path_factory)


@pytest.mark.long
@examples(40)
@given(arrival=arrivals())
def test_forty_orders_and_batches_end_the_same(arrival: Arrival, tmp_path_factory: Any) -> None:
    end_the_same(arrival, tmp_path_factory)


def end_the_same(arrival: Arrival, tmp_path_factory: Any) -> None:
    files, order, runs = arrival
    with (
        Platform(tmp_path_factory.mktemp("whole")) as whole,
        Platform(tmp_path_factory.mktemp("piecemeal")) as piecemeal,
    ):
        for file in files:
            land(whole.landing, file)
        whole.run(AS_OF)
        for position, index in enumerate(order):
            land(piecemeal.landing, files[index])
            if position in runs:
                piecemeal.run(runs[position], buckets=1 + position % 3)
        assert state(piecemeal) == state(whole)


def test_the_quarantine_lets_go_of_a_repaired_row(tmp_path: Path) -> None:
    header = "order_id,line_number,customer_id,order_ts,quantity,unit_price,currency,status\n"
    with Platform(tmp_path) as platform:
        land(platform.landing, ("ecommerce/orders/1.csv", header + "o1,1,c1,2026-01-15,1,2.50,GBP,misspelt\n", _MTIME))
        platform.run(AS_OF)
        assert sum(contents(tmp_path / "lake")["quality.quarantine"].values()) == 1
        land(
            platform.landing,
            ("ecommerce/orders/2.csv", header + "o1,1,c1,2026-01-15,1,2.50,GBP,paid\n", _MTIME + 10**9),
        )
        platform.run(AS_OF)
        assert sum(contents(tmp_path / "lake")["quality.quarantine"].values()) == 0
        assert sum(contents(tmp_path / "lake")["silver.orders"].values()) == 1


def test_a_newer_version_that_fails_takes_the_older_row_with_it(tmp_path: Path) -> None:
    header = "order_id,line_number,customer_id,order_ts,quantity,unit_price,currency,status\n"
    with Platform(tmp_path) as platform:
        land(platform.landing, ("ecommerce/orders/1.csv", header + "o1,1,c1,2026-01-15,1,2.50,GBP,paid\n", _MTIME))
        platform.run(AS_OF)
        land(
            platform.landing,
            ("ecommerce/orders/2.csv", header + "o1,1,c1,2026-01-15,1,2.50,GBP,refunded\n", _MTIME + 10**9),
        )
        record = platform.run(AS_OF)
        assert sum(contents(tmp_path / "lake")["silver.orders"].values()) == 0
        orders = next(flow for flow in record.datasets if flow.dataset == "silver.orders")
        assert (orders.dropped, orders.rows_deleted) == (1, 1)
        assert platform.profile("c1")["orders_count"] == 0


def flow(record: PipelineResult, dataset: str) -> FlowResult:
    return next(flow for flow in record.datasets if flow.dataset == dataset)


HEADER = "order_id,line_number,customer_id,order_ts,quantity,unit_price,currency,status\n"


def test_another_as_of_computes_only_those_whose_windows_it_moves(tmp_path: Path) -> None:
    lines = (f"o{day},1,c{day},2026-01-{day},1,2.50,GBP,paid\n" for day in range(10, 20))
    with Platform(tmp_path) as platform:
        land(platform.landing, ("ecommerce/orders/1.csv", HEADER + "".join(lines), _MTIME))
        platform.run(date(2026, 2, 14))
        assert platform.profile("c15")["orders_30d_count"] == 1
        record = platform.run(date(2026, 2, 15))
        assert platform.profile("c15")["orders_30d_count"] == 0
        assert platform.profile("c16")["orders_30d_count"] == 1
        profiles = flow(record, "gold.customer_360")
        # the edge passed over the 15th; at its start and end also over nobody's instant but that of c16 at 00:00
        assert (profiles.rows_out, profiles.rows_written) == (2, 1)
        assert flow(record, "gold.customer_segments").batches == 0


def test_a_new_rate_reaches_the_lines_ordered_since(tmp_path: Path) -> None:
    lines = (f"o{day},1,c{day},2026-01-{day},1,2.00,EUR,paid\n" for day in range(10, 20))
    with Platform(tmp_path) as platform:
        land(platform.landing, ("ecommerce/orders/1.csv", HEADER + "".join(lines), _MTIME))
        platform.run(AS_OF)
        assert platform.profile("c19")["lines_without_rate_count"] == 1
        land(
            platform.landing, ("finance/exchange_rates/1.csv", "currency,valid_from,rate\nEUR,2026-01-18,0.5\n", _MTIME)
        )
        record = platform.run(AS_OF)
        assert platform.profile("c19")["net_amount"] == "1.00"
        assert platform.profile("c17")["lines_without_rate_count"] == 1
        orders, profiles = flow(record, "silver.orders"), flow(record, "gold.customer_360")
        assert (orders.rows_out, orders.rows_written) == (2, 2)
        assert profiles.rows_written == 2


def test_quintiles_reach_customers_who_bought_nothing(tmp_path: Path) -> None:
    """A full table writes the rows that differ, and what reads it by key computes no others."""
    with Platform(tmp_path) as platform:
        lines = (f"o{n},1,c{n},2026-01-{n},1,{n}.00,GBP,paid\n" for n in range(10, 30))
        land(platform.landing, ("ecommerce/orders/1.csv", HEADER + "".join(lines), _MTIME))
        platform.run(AS_OF)
        land(platform.landing, ("ecommerce/orders/2.csv", HEADER + "o30,1,c30,2026-01-30,1,30.00,GBP,paid\n", _MTIME))
        record = platform.run(AS_OF)
        segments, profiles = flow(record, "gold.customer_segments"), flow(record, "gold.customer_360")
        assert segments.rows_out == 21
        assert 1 < segments.rows_written < 21
        assert profiles.rows_out == segments.rows_written
