"""RFM scores and segments in plain Python, written from the rule and from nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True)
class Sale:
    """One line of an order; ``net_amount`` in the reporting currency, None where it has no rate."""

    customer_id: str
    order_id: str
    order_ts: datetime
    net_amount: Decimal | None


Scores = tuple[int | None, int | None, int | None, str]


def segments(sales: Iterable[Sale], known: Iterable[str], as_of: date) -> dict[str, Scores]:
    """(recency, frequency, monetary score, segment) of every known customer."""
    last: dict[str, datetime] = {}
    orders: dict[str, set[str]] = {}
    spent: dict[str, Decimal] = {}
    for sale in sales:
        who = sale.customer_id
        last[who] = max(last.get(who, sale.order_ts), sale.order_ts)
        orders.setdefault(who, set()).add(sale.order_id)
        spent[who] = spent.get(who, Decimal(0)) + (sale.net_amount or Decimal(0))
    midnight = datetime(as_of.year, as_of.month, as_of.day, tzinfo=UTC)
    days = {who: (midnight - at) // timedelta(days=1) for who, at in last.items()}
    recency = _fifths(days, lambda who: -days[who])
    frequency = _fifths(orders, lambda who: len(orders[who]))
    monetary = _fifths(spent, lambda who: spent[who])
    found: dict[str, Scores] = dict.fromkeys(known, (None, None, None, "no_purchase"))
    for who in last:
        scores = recency[who], frequency[who], monetary[who]
        found[who] = (*scores, segment_of(*scores))
    return found


def segment_of(recency: int, frequency: int, monetary: int) -> str:
    """The first segment whose condition holds."""
    rules = (
        ("champions", recency >= 4 and frequency >= 4 and monetary >= 4),
        ("cant_lose_them", recency <= 2 and frequency >= 4),
        ("loyal", recency >= 3 and frequency >= 3 and monetary >= 3),
        ("at_risk", recency <= 2 and frequency >= 3 and monetary >= 3),
        ("new", recency >= 4 and frequency <= 2),
        ("promising", recency >= 3 and frequency >= 3 and monetary <= 2),
        ("lost", recency <= 2 and frequency <= 2),
        ("needs_attention", True),
    )
    return next(name for name, holds in rules if holds)


def _fifths(customers: Iterable[str], worth: Callable[[str], Any]) -> dict[str, int]:
    """SQL's ntile(5) from worst to best: the first tiles take what does not divide by five; ties by the id's UTF-8 bytes."""
    ordered = sorted(customers, key=lambda who: (worth(who), who.encode()))
    size, rest = divmod(len(ordered), 5)
    tiles: dict[str, int] = {}
    for tile in range(5):
        start = tile * size + min(tile, rest)
        for who in ordered[start : start + size + (tile < rest)]:
            tiles[who] = tile + 1
    return tiles
