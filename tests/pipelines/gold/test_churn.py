"""Churn features know nothing of what comes after their date; labels know it only once it has passed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.computed import Computed, Rows, computing

AS_OF = date(2026, 6, 17)
SNAPSHOTS = [
    *(date(2025, month, 1) for month in range(7, 13)),
    *(date(2026, month, 1) for month in range(1, 7)),
    AS_OF,
]
quick = settings(max_examples=25, deadline=None)


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Computed]:
    with computing(AS_OF, tmp_path_factory.mktemp("computed")) as computed:
        yield computed


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


edges = [
    at(day) + timedelta(days=days, microseconds=micros)
    for day in SNAPSHOTS[-4:]
    for days in (-90, -30, 0, 30, 90)
    for micros in (-1, 0, 1)
]
order_lines = st.builds(
    lambda customer, order, instant, category, amount: {
        "customer_id": customer,
        "order_id": f"{customer}-{order}",
        "order_ts": instant,
        "product_category": category,
        "reported_net_amount": amount,
    },
    st.sampled_from(["c1", "c2"]),
    st.integers(1, 3),
    st.sampled_from(edges),
    st.sampled_from(["tea", "pots", None]),
    st.sampled_from([Decimal("10.00"), Decimal("0.005"), None]),
)
sales = st.lists(order_lines, max_size=12)


def features(
    computed: Computed, lines: Rows, history: Rows = (), tickets: Rows = (), visits: Rows = ()
) -> list[dict[str, Any]]:
    numbered = [{"line_number": number, **line} for number, line in enumerate(lines)]
    return computed(
        "gold.churn_features",
        silver__orders=numbered,
        silver__customers_history=history,
        silver__support_tickets=tickets,
        silver__web_sessions=visits,
    )


def ticket(opened: datetime, **told: Any) -> dict[str, Any]:
    return {"customer_id": "c1", "created_at": opened, "updated_at": opened, "is_deleted": False, **told}


def visit(start: datetime, end: datetime) -> dict[str, Any]:
    return {"customer_id": "c1", "started_at": start, "ended_at": end, "has_purchase": True}


def states(*tiers: tuple[datetime, str]) -> list[dict[str, Any]]:
    ends = [start for start, _ in tiers[1:]] + [None]
    return [
        {"customer_id": "c1", "__START_AT": start, "__END_AT": end, "loyalty_tier": tier}
        for (start, tier), end in zip(tiers, ends, strict=True)
    ]


@quick
@given(sales, sales, st.sampled_from(SNAPSHOTS))
def test_what_happens_from_a_date_on_changes_no_feature_of_it(
    computed: Computed, before: list[dict[str, Any]], after: list[dict[str, Any]], snapshot: date
) -> None:
    past = [line for line in before if line["order_ts"] < at(snapshot)]
    future = [line for line in after if line["order_ts"] >= at(snapshot)]
    first = states((at(date(2025, 1, 1)), "bronze"), (at(snapshot) - timedelta(microseconds=1), "silver"))
    changed = states(
        (at(date(2025, 1, 1)), "bronze"), (at(snapshot) - timedelta(microseconds=1), "silver"), (at(snapshot), "gold")
    )

    opened = at(snapshot) - timedelta(days=1)
    tickets = [ticket(opened, satisfaction_score=4), ticket(opened)]
    later = {"updated_at": at(snapshot), "satisfaction_score": 1}
    tickets_since = [
        tickets[0],
        ticket(opened, resolved_at=at(snapshot)) | later,
        ticket(at(snapshot), satisfaction_score=1),
    ]

    visits = [visit(opened, opened + timedelta(hours=1))]
    visits_since = [*visits, visit(opened, at(snapshot)), visit(at(snapshot), at(snapshot))]

    def of_snapshot(lines: Rows, history: Rows, tickets: Rows, visits: Rows) -> dict[str, Any]:
        rows = features(computed, lines, history, tickets, visits)
        return {row["customer_id"]: row for row in rows if row["as_of"] == snapshot}

    known = of_snapshot(past, first, tickets, visits)
    assert of_snapshot(past + future, changed, tickets_since, visits_since) == known
    assert known.keys() == {line["customer_id"] for line in past}
    for row in known.values():
        if row["customer_id"] == "c1":
            assert row["loyalty_tier"] == "silver"
            assert (row["tickets_90d_count"], row["open_tickets_count"]) == (2, 2)
            assert row["average_satisfaction"] == 4
            assert (row["sessions_90d_count"], row["unseen_days"], row["conversion_rate"]) == (1, 0, 1)


@quick
@given(sales)
def test_features_are_counted_as_in_plain_python(computed: Computed, lines: list[dict[str, Any]]) -> None:
    for row in features(computed, lines):
        midnight = at(row["as_of"])
        seen = [x for x in lines if x["customer_id"] == row["customer_id"] and x["order_ts"] < midnight]
        starts: dict[str, datetime] = {}
        for line in seen:
            starts[line["order_id"]] = min(starts.get(line["order_id"], line["order_ts"]), line["order_ts"])
        recent = {order for order, start in starts.items() if start >= midnight - timedelta(days=30)}
        assert row["orders_count"] == len(starts)
        assert row["orders_30d_count"] == len(recent)
        assert row["orders_90d_count"] == sum(start >= midnight - timedelta(days=90) for start in starts.values())
        assert row["net_30d_amount"] == money(x for x in seen if x["order_id"] in recent)
        assert row["net_amount"] == money(seen)
        assert row["categories_count"] == len({x["product_category"] for x in seen} - {None})
        assert row["recency_days"] == (midnight - max(x["order_ts"] for x in seen)) // timedelta(days=1)
        assert row["tenure_days"] == (midnight - min(x["order_ts"] for x in seen)) // timedelta(days=1)


def test_snapshots_are_the_run_s_date_and_the_twelve_months_up_to_it(computed: Computed) -> None:
    line = {"customer_id": "c1", "order_id": "o", "order_ts": at(date(2020, 1, 1))}
    assert sorted(row["as_of"] for row in features(computed, [line])) == SNAPSHOTS


@quick
@given(sales)
def test_a_label_is_there_when_its_90_days_have_passed_and_tells_of_them_only(
    computed: Computed, lines: list[dict[str, Any]]
) -> None:
    population = [{"customer_id": customer, "as_of": day} for customer in ("c1", "c2") for day in SNAPSHOTS]
    rows = computed("gold.churn_labels", gold__churn_features=population, silver__orders=lines)
    assert len(rows) == len(population)
    for row in rows:
        start, end = at(row["as_of"]), at(row["as_of"]) + timedelta(days=90)
        bought = any(x["customer_id"] == row["customer_id"] and start <= x["order_ts"] < end for x in lines)
        assert row["churned"] is (None if end > at(AS_OF) else not bought)


def money(lines: Any) -> Decimal:
    """Half-up to the cent; a line without a rate is left out."""
    total = sum((line["reported_net_amount"] or Decimal(0) for line in lines), Decimal(0))
    return total.quantize(Decimal("0.01"), "ROUND_HALF_UP")
