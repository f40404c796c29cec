"""The customers' behaviour: seasonal, growing, and with a churn that features of the past can tell."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from pipelines.sample.behaviour import HISTORY_DAYS, Orders, Population, build_population, simulate
from pipelines.sample.draws import Draws, Floats, Mask

CUSTOMERS = 8000
FIRST_DAY = date(2022, 11, 28)
LABEL_DAYS = 90


@pytest.fixture(scope="module")
def population() -> Population:
    return build_population(Draws(7), CUSTOMERS, FIRST_DAY, HISTORY_DAYS)


@pytest.fixture(scope="module")
def orders(population: Population) -> Orders:
    return simulate(Draws(7), population, HISTORY_DAYS)[0]


def test_churn_is_learnable_from_recency_and_frequency(population: Population, orders: Orders) -> None:
    as_of = HISTORY_DAYS - LABEL_DAYS
    past, future = orders.day < as_of, orders.day >= as_of
    frequency = np.bincount(orders.customer[past], minlength=CUSTOMERS)
    recent = np.bincount(orders.customer[past & (orders.day >= as_of - LABEL_DAYS)], minlength=CUSTOMERS)
    last = np.full(CUSTOMERS, -1)
    np.maximum.at(last, orders.customer[past], orders.day[past])
    churned = np.bincount(orders.customer[future], minlength=CUSTOMERS) == 0
    buyers = np.flatnonzero(frequency > 0)
    features = np.column_stack([np.ones(CUSTOMERS), np.log1p(as_of - last), np.log1p(frequency), np.log1p(recent)])
    train, test = buyers[::2], buyers[1::2]
    weights = fit_logistic(features[train], churned[train])
    assert 0.4 < churned[buyers].mean() < 0.85
    assert 0.75 < area_under_curve(features[test] @ weights, churned[test]) < 0.97


def test_december_before_christmas_sells_more_than_the_january_after(orders: Orders) -> None:
    for year in (2022, 2023, 2024):
        december = sales_a_day(orders, date(year, 12, 1), 20)
        january = sales_a_day(orders, date(year + 1, 1, 2), 20)
        assert december > 1.3 * january


def test_the_shop_grows(orders: Orders) -> None:
    assert sales_a_day(orders, date(2025, 2, 1), 200) > 1.5 * sales_a_day(orders, date(2023, 2, 1), 200)


def test_nobody_buys_before_signing_up(population: Population, orders: Orders) -> None:
    assert (orders.day >= population.signup_day[orders.customer]).all()


def test_the_past_does_not_depend_on_how_far_the_world_is_continued(orders: Orders) -> None:
    draws, days = Draws(7), HISTORY_DAYS + 40
    longer, _ = simulate(draws, build_population(draws, CUSTOMERS, FIRST_DAY, days), days)
    count = np.searchsorted(longer.day, HISTORY_DAYS)
    for column in ("customer", "day", "second"):
        assert (getattr(longer, column)[:count] == getattr(orders, column)[:count]).all()
    assert len(longer.day) > len(orders.day)
    assert longer.customer.max() >= CUSTOMERS  # new customers sign up, too


def sales_a_day(orders: Orders, start: date, days: int) -> float:
    first = (start - FIRST_DAY) // timedelta(days=1)
    return float(((orders.day >= first) & (orders.day < first + days)).sum() / days)


def fit_logistic(features: Floats, labels: Mask) -> Floats:
    """Weights of a logistic regression, by Newton's method."""
    weights = np.zeros(features.shape[1])
    for _ in range(20):
        expected = 1 / (1 + np.exp(-features @ weights))
        curvature = (features * (expected * (1 - expected))[:, None]).T @ features
        weights += np.linalg.solve(curvature, features.T @ (labels - expected))
    return weights


def area_under_curve(scores: Floats, labels: Mask) -> float:
    ranks = np.empty(len(scores))
    ranks[np.argsort(scores, kind="stable")] = np.arange(1, len(scores) + 1)
    positives, negatives = labels.sum(), (~labels).sum()
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))
