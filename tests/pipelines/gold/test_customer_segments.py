"""RFM against an independent computation in plain Python: generated sales with many ties here, real ones in tests/flows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.computed import Computed, computing
from tests.rfm import Sale, segments

START = datetime(2026, 1, 1, tzinfo=UTC)
customers = st.sampled_from(["a", "B", "ä", "Z", "z", "\U00010000", "\uffff", "c-1", "c-10", "c-2", "é", "e\u0301"])
instants = st.sampled_from([START + timedelta(hours=12 * n, microseconds=m) for n in range(6) for m in (0, 1)])
amounts = st.sampled_from([None, Decimal("1.000000"), Decimal("1.000001"), Decimal("0.005000"), Decimal("-1.000000")])
sales = st.builds(Sale, customers, st.sampled_from(["o1", "o2", "o3"]), instants, amounts)


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Computed]:
    with computing(date(2026, 2, 1), tmp_path_factory.mktemp("computed")) as computed:
        yield computed


@settings(max_examples=30, deadline=None)
@given(st.lists(sales, max_size=40), st.sets(customers))
def test_scores_and_segments_are_those_of_the_rule(computed: Computed, made: list[Sale], others: set[str]) -> None:
    known = others | {sale.customer_id for sale in made}
    rows = rfm(computed, made, known)
    assert {row["customer_id"]: scores_of(row) for row in rows} == segments(made, known, date(2026, 2, 1))


def test_the_order_of_recencies_is_the_same_at_every_date() -> None:
    made = [Sale(f"c{n}", "o", START + timedelta(hours=7 * n, microseconds=n % 2), Decimal(n)) for n in range(40)]
    first = segments(made, set(), date(2026, 2, 1))
    assert first == segments(made, set(), date(2026, 2, 2)) == segments(made, set(), date(2027, 7, 1))


@pytest.mark.parametrize(
    ("scores", "segment"),
    [
        ((5, 5, 5), "champions"),
        ((4, 4, 4), "champions"),
        ((2, 4, 1), "cant_lose_them"),
        ((3, 3, 3), "loyal"),
        ((5, 5, 3), "loyal"),
        ((2, 3, 3), "at_risk"),
        ((4, 2, 5), "new"),
        ((3, 3, 2), "promising"),
        ((5, 4, 1), "promising"),
        ((2, 2, 5), "lost"),
        ((3, 2, 5), "needs_attention"),
        ((2, 3, 2), "needs_attention"),
    ],
)
def test_the_rule_of_the_independent_computation(scores: tuple[int, int, int], segment: str) -> None:
    """The oracle itself, against the rule's text."""
    from tests.rfm import segment_of

    assert segment_of(*scores) == segment


def rfm(computed: Computed, made: list[Sale], known: set[str]) -> list[dict[str, Any]]:
    lines = [
        {
            "customer_id": sale.customer_id,
            "order_id": sale.order_id,
            "line_number": number,
            "order_ts": sale.order_ts,
            "reported_net_amount": sale.net_amount,
        }
        for number, sale in enumerate(made)
    ]
    return computed(
        "gold.customer_segments",
        silver__orders=lines,
        silver__known_customers=[{"customer_id": customer} for customer in known],
    )


def scores_of(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["recency_score"], row["frequency_score"], row["monetary_score"], row["segment"]
