"""The queries of gold over rows made of what engines disagree about: ties, midnights, NULLs, halves, letters of any script.

The lake of sample and real sales (tests/flows/test_both_engines.py) holds few of them.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lakehouse.spark.engine import SparkEngine
from tests.computed import Computed, computing

AS_OF = date(2024, 6, 1)
MIDNIGHT = datetime(2024, 6, 1, tzinfo=UTC)
GOLD = ("customer_segments", "revenue_daily", "churn_features", "churn_labels", "customer_360")
WHO = ("a", "B", "ä", "Z", "z", "\uffff", "\U00010000", "é", "e\u0301", "c-10", "c-2", " x", "'", "日本")
INSTANTS = tuple(
    MIDNIGHT + timedelta(days=days, microseconds=micros)
    for days in (-400, -91, -90, -89, -62, -31, -30, -1, 0, 1)
    for micros in (-1, 0, 1)
) + (datetime(1969, 12, 31, 23, 59, 59, 999999, UTC), datetime(2024, 3, 31, 1, 30, tzinfo=UTC))
AMOUNTS = tuple(map(Decimal, ("0.005", "0.015", "-0.005", "1.000001", "1", "99999999999999.999999"))) + (None,)

pytestmark = pytest.mark.xdist_group("spark")


def rows(seed: int) -> dict[str, list[dict[str, Any]]]:
    """Inputs of all gold queries; the same rows for the same seed."""
    chance = random.Random(seed)

    def pick(*values: Any) -> Any:
        return chance.choice(values)

    orders = [
        {
            "order_id": f"o{chance.randrange(60)}", "line_number": number, "customer_id": pick(*WHO), "order_ts": pick(*INSTANTS),
            "product_category": pick("tea", "Tea", "ß", "SS", "", None), "quantity": pick(1, 7), "currency": pick("GBP", "EUR", None),
            "gross_amount": pick(*AMOUNTS[:-1]), "net_amount": pick(*AMOUNTS[:-1]),
            "reported_gross_amount": pick(*AMOUNTS), "reported_net_amount": pick(*AMOUNTS),
        }
        for number in range(300)
    ]  # fmt: skip
    history, customers = [], []
    for who in WHO:
        starts = sorted(chance.sample(INSTANTS, 3))
        for start, end in zip(starts, [*starts[1:], None], strict=True):
            history.append(
                {
                    "customer_id": who, "__START_AT": start, "__END_AT": end, "loyalty_tier": pick("gold", "ẞ", None),
                    "marketing_consent": pick(True, False, None), "address": pick(None, {"country": pick("gb", " ıe ", "", None)}),
                }
            )  # fmt: skip
        customers.append(
            {"customer_id": who, "email": pick("a@example.com", None), "date_of_birth": pick(date(1, 1, 1), None)}
        )
    tickets = [
        {
            "ticket_id": str(number), "customer_id": pick(*WHO, None), "created_at": pick(*INSTANTS, None),
            "updated_at": pick(*INSTANTS), "resolved_at": pick(*INSTANTS, None), "is_open": pick(True, False),
            "priority": pick("critical", "low", None), "satisfaction_score": pick(1, 2, 4, 5, None), "is_deleted": pick(True, False, False),
        }
        for number in range(80)
    ]  # fmt: skip
    visits = [
        {"session_id": str(number), "visitor_key": "v", "customer_id": pick(*WHO, None), "started_at": at, "ended_at": at + pick(timedelta(0), timedelta(hours=3)), "has_purchase": pick(True, False)}
        for number, at in enumerate(chance.choices(INSTANTS, k=120))
    ]  # fmt: skip
    return {
        "silver__orders": orders, "silver__customers_history": history, "silver__customers": customers, "silver__support_tickets": tickets,
        "silver__web_sessions": visits, "silver__known_customers": [{"customer_id": who} for who in (*WHO, "nobody")],
        "reference__reporting_currency": [{"currency": "GBP"}],
        "gold__customer_segments": [{"customer_id": who, "segment": "loyal"} for who in WHO[:5]],
        "gold__churn_features": [{"customer_id": who, "as_of": date(2024, month, 1)} for who in WHO for month in (1, 2, 3, 4)],
    }  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2])
def test_gold_is_the_same_on_both_engines(spark: Any, tmp_path: Path, seed: int) -> None:
    inputs = rows(seed)
    engine = SparkEngine(tmp_path / "lake", spark, tmp_path / "scratch")
    with computing(AS_OF, tmp_path / "embedded") as embedded, engine.session(AS_OF) as session:
        on_spark = Computed(session)
        for name in GOLD:
            left, right = embedded.given(f"gold.{name}", inputs), on_spark.given(f"gold.{name}", inputs)
            assert len(left) > 4
            assert as_texts(left) == as_texts(right), name


def as_texts(found: list[dict[str, Any]]) -> Counter[str]:
    """Rows as texts; numbers of another type but equal value are equal, as the declared type casts them."""
    return Counter(repr([plain(value) for value in row.values()]) for row in found)


def plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value.normalize())
    if isinstance(value, int) and not isinstance(value, bool):
        return str(Decimal(value).normalize())
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return value
