"""Profiles: who has one, and how a customer's health follows from orders and tickets."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.computed import Computed, Rows, computing

AS_OF = date(2026, 6, 1)
MIDNIGHT = datetime(2026, 6, 1, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Computed]:
    with computing(AS_OF, tmp_path_factory.mktemp("computed")) as computed:
        yield computed


def profile(
    computed: Computed, orders: list[datetime], tickets: list[dict[str, Any]], visits: Rows = ()
) -> dict[str, Any]:
    [row] = computed(
        "gold.customer_360",
        silver__known_customers=[{"customer_id": "c1"}],
        reference__reporting_currency=[{"currency": "GBP"}],
        silver__orders=[
            {"customer_id": "c1", "order_id": f"o{number}", "line_number": 1, "order_ts": instant}
            for number, instant in enumerate(orders)
        ],
        silver__web_sessions=[{"customer_id": "c1", "has_purchase": False} | dict(visit) for visit in visits],
        silver__support_tickets=[
            {"customer_id": "c1", "is_deleted": False, "is_open": False} | ticket for ticket in tickets
        ],
    )
    return row


OPEN = {"is_open": True, "priority": "low"}
CRITICAL = {"is_open": True, "priority": "critical"}
SOLVED = {"is_open": False, "priority": "critical"}
DELETED = {"is_open": False, "is_deleted": True, "priority": "critical"}


@pytest.mark.parametrize(
    ("orders", "tickets", "health"),
    [
        ([], [], "no_purchase"),
        ([], [CRITICAL], "no_purchase"),
        ([MIDNIGHT - timedelta(days=90) - INSTANT], [], "at_risk"),
        ([MIDNIGHT - timedelta(days=90)], [], "neutral"),
        ([MIDNIGHT - timedelta(days=30) - INSTANT], [], "neutral"),
        ([MIDNIGHT - timedelta(days=30)], [], "healthy"),
        ([MIDNIGHT - INSTANT], [], "healthy"),
        ([MIDNIGHT], [], "at_risk"),
        ([MIDNIGHT - INSTANT], [SOLVED, DELETED], "healthy"),
        ([MIDNIGHT - INSTANT], [OPEN], "neutral"),
        ([MIDNIGHT - INSTANT], [OPEN, CRITICAL], "at_risk"),
        ([MIDNIGHT - timedelta(days=60)], [CRITICAL], "at_risk"),
    ],
)
def test_health(computed: Computed, orders: list[datetime], tickets: list[dict[str, Any]], health: str) -> None:
    assert profile(computed, orders, tickets)["health"] == health


def test_support(computed: Computed) -> None:
    tickets = [
        OPEN | {"created_at": MIDNIGHT, "satisfaction_score": 5},
        CRITICAL | {"created_at": MIDNIGHT - INSTANT, "satisfaction_score": 4},
        SOLVED | {"satisfaction_score": 4},
        DELETED | {"created_at": MIDNIGHT + INSTANT, "satisfaction_score": 1},
    ]
    row = profile(computed, [], tickets)
    assert (row["tickets_count"], row["open_tickets_count"], row["open_critical_tickets_count"]) == (3, 2, 1)
    assert (row["last_ticket_at"], row["average_satisfaction"]) == (MIDNIGHT, Decimal("4.33"))
    nothing = profile(computed, [], [])
    assert (nothing["tickets_count"], nothing["last_ticket_at"], nothing["average_satisfaction"]) == (0, None, None)
    assert nothing["segment"] == "no_purchase"


def test_visits(computed: Computed) -> None:
    begun = (MIDNIGHT, MIDNIGHT - INSTANT, MIDNIGHT - timedelta(days=30), MIDNIGHT - timedelta(days=90) - INSTANT)
    visits = [{"started_at": at, "ended_at": at + INSTANT, "has_purchase": at == MIDNIGHT} for at in begun[:3]]
    visits.append({"started_at": begun[3], "ended_at": begun[3]})
    row = profile(computed, [], [], visits)
    assert (row["sessions_count"], row["sessions_30d_count"], row["sessions_90d_count"]) == (4, 2, 2)
    assert (row["last_seen_at"], row["conversion_rate"]) == (MIDNIGHT + INSTANT, Decimal("0.2500"))
    nothing = profile(computed, [], [])
    assert (nothing["sessions_count"], nothing["last_seen_at"], nothing["conversion_rate"]) == (0, None, None)
