"""Daily revenue against plain Python: states at the time of order, amounts per currency, lines without a rate counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.computed import Computed, computing

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
instants = st.sampled_from([NOON + timedelta(hours=6 * n, microseconds=m) for n in range(4) for m in (-1, 0)])
HISTORY = [
    {"customer_id": "c1", "__START_AT": NOON, "__END_AT": NOON + timedelta(hours=6), "loyalty_tier": "silver"},
    {
        "customer_id": "c1",
        "__START_AT": NOON + timedelta(hours=6),
        "__END_AT": None,
        "loyalty_tier": "gold",
        "address": {"country": " gb "},
    },
]
lines = st.builds(
    lambda customer, order, instant, category, currency, amount, rate: {
        "customer_id": customer,
        "order_id": order,
        "order_ts": instant,
        "product_category": category,
        "currency": currency,
        "quantity": 2,
        "gross_amount": amount,
        "net_amount": amount,
        "reported_gross_amount": None if rate is None else amount * rate,
        "reported_net_amount": None if rate is None else amount * rate,
    },
    st.sampled_from(["c1", "c2"]),
    st.sampled_from(["o1", "o2"]),
    instants,
    st.sampled_from(["tea", None]),
    st.sampled_from(["EUR", "GBP", None]),
    st.sampled_from([Decimal("1.005"), Decimal(10)]),
    st.sampled_from([None, Decimal("0.5")]),
)


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Computed]:
    with computing(date(2026, 4, 1), tmp_path_factory.mktemp("computed")) as computed:
        yield computed


def state_of(line: dict[str, Any]) -> tuple[str, str]:
    """(country, tier) of the customer when they ordered."""
    after = line["order_ts"] - NOON
    if line["customer_id"] != "c1" or after < timedelta(0):
        return "unknown", "unknown"
    return ("unknown", "silver") if after < timedelta(hours=6) else ("GB", "gold")


@settings(max_examples=25, deadline=None)
@given(st.lists(lines, max_size=15))
def test_each_line_counts_in_the_day_category_country_tier_and_currency_it_was_ordered_in(
    computed: Computed, made: list[dict[str, Any]]
) -> None:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for line in made:
        country, tier = state_of(line)
        groups[
            line["order_ts"].date(), line["product_category"] or "unknown", country, tier, line["currency"] or "unknown"
        ].append(line)
    expected = {key: totals(members) for key, members in groups.items()}
    rows = computed("gold.revenue_daily", silver__orders=made, silver__customers_history=HISTORY)
    assert {tuple(row.values())[:5]: tuple(row.values())[5:] for row in rows} == expected


def totals(members: list[dict[str, Any]]) -> tuple[Any, ...]:
    def money(name: str) -> Decimal:
        total = sum((line[name] or Decimal(0) for line in members), Decimal(0))
        return total.quantize(Decimal("0.01"), ROUND_HALF_UP)

    return (
        len({line["customer_id"] for line in members}),
        len({line["order_id"] for line in members}),
        len(members),
        2 * len(members),
        *map(money, ("gross_amount", "net_amount", "reported_gross_amount", "reported_net_amount")),
        sum(line["reported_net_amount"] is None for line in members),
    )
