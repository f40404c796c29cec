"""Who visits the sample's shop on the web, and when: buyers on the day of their orders and, less and less often, after them,
people without an account, and a few robots. A visit depends on the past alone, so that a world can be continued."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from pipelines.sample.behaviour import HISTORY_DAYS, Orders, Population
from pipelines.sample.draws import Draws, Ints

WEB_FROM = HISTORY_DAYS - 182  # the day from which the shop measures its pages
SHARE_BOUGHT_ONLINE = 0.92
SHARE_WITH_RESEARCH = 0.4  # of the orders: another visit on the same day, before
RETURNS = 4  # visits after an order or a sign-up, at most
SHARE_OF_RETURNS = (0.8, 0.65, 0.5, 0.35)
DAYS_UNTIL_RETURN = 24.0  # on average
ANONYMOUS_A_DAY = 0.018  # per customer the shop has by then
ROBOTS = 2
DAY = 86_400


class Kind(IntEnum):
    """What sort of visit it is."""

    PURCHASE = 0  # ends with an order
    RESEARCH = 1
    RETURN = 2  # after an order
    WELCOME = 3  # after a sign-up
    ANONYMOUS = 4
    ROBOT = 5


@dataclass(frozen=True, slots=True)
class Visits:
    """Visits by the day on which they end; ``key`` tells a visit from others of its kind, ``end`` counts seconds from the first
    day. ``customer`` is -1 where there is none."""

    kind: NDArray[np.int8]
    key: Ints
    customer: Ints
    end: Ints


def simulate_visits(draws: Draws, population: Population, orders: Orders, days: int) -> Visits:
    """The visits of the days from ``WEB_FROM`` up to ``days``."""
    number = np.arange(len(orders.day))
    parts = [
        *_of_orders(draws, orders, number),
        _returns(draws, Kind.RETURN, number, orders.customer.astype(np.int64), orders.day.astype(np.int64)),
        _returns(
            draws,
            Kind.WELCOME,
            np.arange(len(population.signup_day)),
            np.arange(len(population.signup_day)),
            population.signup_day,
        ),
        _anonymous(draws, population, days),
        _robots(days),
    ]
    kind, key, customer, end = (np.concatenate(column) for column in zip(*parts, strict=True))
    seen = (end >= WEB_FROM * DAY) & (end < days * DAY)
    kind, key, customer, end = kind[seen].astype(np.int8), key[seen], customer[seen], end[seen]
    order = np.lexsort((key, kind, end))
    return Visits(kind[order], key[order], customer[order], end[order])


_Part = tuple[Ints, Ints, Ints, Ints]


def _of_orders(draws: Draws, orders: Orders, number: Ints) -> tuple[_Part, _Part]:
    end = orders.day.astype(np.int64) * DAY + orders.second
    customer = orders.customer.astype(np.int64)
    online = number[draws.uniform("visit.online", number) < SHARE_BOUGHT_ONLINE]
    research = number[draws.uniform("visit.research", number) < SHARE_WITH_RESEARCH]
    before = (draws.uniform("visit.before", research) * orders.second[research]).astype(np.int64)
    return (
        (np.full(len(online), Kind.PURCHASE), online, customer[online], end[online]),
        (np.full(len(research), Kind.RESEARCH), research, customer[research], end[research] - before),
    )


def _returns(draws: Draws, kind: Kind, number: Ints, customer: Ints, day: Ints) -> _Part:
    nth = np.tile(np.arange(RETURNS), len(number))
    key = np.repeat(number, RETURNS) * RETURNS + nth
    comes = draws.uniform(f"visit.comes {kind}", key) < np.array(SHARE_OF_RETURNS)[nth]
    key, nth = key[comes], nth[comes]
    source = key // RETURNS
    wait = -DAYS_UNTIL_RETURN * (1 + nth) / 2 * np.log1p(-draws.uniform(f"visit.wait {kind}", key))
    second = (DAY - 1) * (0.6 + 0.12 * draws.normal(f"visit.second {kind}", key)).clip(0, 1)
    return (
        np.full(len(key), kind),
        key,
        customer[source],
        (day[source] + 1 + wait.astype(np.int64)) * DAY + second.astype(np.int64),
    )


def _anonymous(draws: Draws, population: Population, days: int) -> _Part:
    listed = np.arange(WEB_FROM, max(days, WEB_FROM))
    known = np.searchsorted(population.signup_day, listed, side="right")
    count = np.rint(known * ANONYMOUS_A_DAY * (0.8 + 0.4 * draws.uniform("visit.anonymous", listed))).astype(np.int64)
    day = np.repeat(listed, count)
    key = (day << 24) + np.arange(len(day)) - np.repeat(np.cumsum(count) - count, count)
    second = (DAY - 1) * (0.58 + 0.13 * draws.normal("visit.anonymous_second", key)).clip(0, 1)
    return np.full(len(key), Kind.ANONYMOUS), key, np.full(len(key), -1), day * DAY + second.astype(np.int64)


def _robots(days: int) -> _Part:
    day = np.repeat(np.arange(WEB_FROM, max(days, WEB_FROM)), ROBOTS)
    robot = np.tile(np.arange(ROBOTS), len(day) // ROBOTS)
    return np.full(len(day), Kind.ROBOT), day * ROBOTS + robot, np.full(len(day), -1), day * DAY + 3600 * (3 + robot)
