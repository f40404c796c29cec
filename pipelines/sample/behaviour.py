"""How the sample's customers behave: who signs up when, buys, changes, and is lost.

A week at a time, all customers at once. Behind what the files show stands a state they never show: a customer is
*active* until a weekly hazard ends it. The hazard grows with weeks without an order and with the taste for discounts,
and falls with the loyalty tier; the buying rate differs between customers. So whether a customer comes back can be
learned from recency, frequency and the like, but not read off.

Days are counted from ``Population.first_day``. The past of a world does not depend on how far it is continued.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from pipelines.sample.countries import COUNTRIES
from pipelines.sample.draws import Draws, Floats, Ints, Mask
from pipelines.sample.products import CATEGORIES

HISTORY_DAYS = 3 * 364
EXPORTED_AT_START = 0.15  # share of the customers that signed up before the first day
EARLIEST_SIGNUP = -730
GROWTH = 1.0  # of the number of sign-ups a day over the history, as a power of e
SHARE_NEVER_BUYING = 0.07
SHARE_DORMANT_AT_START = 0.3  # of the customers of before the first day
SHARE_BUYING_AT_SIGNUP = 0.75
SHARE_WITHOUT_CRM_RECORD = 0.01
SHARE_CONSENTING = 0.55  # to marketing, at sign-up
# What share of the customers does in a week. The last saves a record again as it was.
CONSENTING, UNSUBSCRIBING, UNSUBSCRIBING_ONCE_LOST = 0.0010, 0.0012, 0.004
MOVING, CHANGING_EMAIL, SAVING_AGAIN = 0.0012, 0.0004, 0.0006
MONTHS = np.array([0.82, 0.84, 0.92, 0.95, 0.98, 0.95, 0.90, 0.86, 1.0, 1.08, 1.45, 1.60])
WEEKDAYS = np.array([1.05, 0.95, 0.92, 0.95, 1.05, 1.15, 1.25])
BLACK_FRIDAY, AFTER_CHRISTMAS_RUSH = 2.5, 0.55
AT_SIGNUP = 99  # the number of the order a customer signs up with among those of the week
TIERS = ("bronze", "silver", "gold", "platinum")
TIER_SCORES = np.array([2.2, 4.5, 8.0])
TIER_HAZARD = np.array([1.5, 1.0, 0.65, 0.4])
WEEKLY_HAZARD = 0.0055
LOST_AFTER_ORDER = 0.06  # of any one order
TIER_REVIEW_WEEKS = 4
FORGETTING = 0.98  # a week, of the orders a tier counts


@dataclass(frozen=True, slots=True)
class Population:
    """Customers by number, in the order of their sign-up, with what stays the same for life."""

    first_day: date
    signup_day: Ints
    country: Ints
    rate: Floats  # orders a week while active; 0 never buys
    discount_taste: Floats
    favourite: Ints
    in_crm: Mask


@dataclass(frozen=True, slots=True)
class Orders:
    """Orders in the order of their time; the position is the order's number, from which all else about it is drawn."""

    customer: NDArray[np.int32]
    day: NDArray[np.int32]
    second: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Versions:
    """CRM record versions in the order of their time: a sign-up, then a version for each change."""

    customer: NDArray[np.int32]
    day: NDArray[np.int32]
    tier: NDArray[np.int8]
    consent: NDArray[np.bool_]
    address: NDArray[np.int8]  # how often the customer has moved
    email: NDArray[np.int8]  # how often the customer has changed it


def build_population(draws: Draws, customers: int, first_day: date, days: int) -> Population:
    """The customers signed up within ``days`` of ``first_day``; ``customers`` of them by the end of the history."""
    signup = _signup_days(customers, days)
    number = np.arange(len(signup))
    rate = 0.085 * np.exp(0.85 * draws.normal("customer.rate", number))
    return Population(
        first_day=first_day,
        signup_day=signup,
        country=draws.choice("customer.country", np.array([country.weight for country in COUNTRIES]), number),
        rate=np.where(draws.uniform("customer.never_buying", number) < SHARE_NEVER_BUYING, 0.0, np.minimum(rate, 1.5)),
        discount_taste=draws.uniform("customer.discount_taste", number) ** 2,
        favourite=draws.pick("customer.favourite", len(CATEGORIES), number),
        in_crm=draws.uniform("customer.in_crm", number) >= SHARE_WITHOUT_CRM_RECORD,
    )


def simulate(draws: Draws, population: Population, days: int) -> tuple[Orders, Versions]:
    """What happens before day ``days``, to whole weeks: what lies beyond is cut off by the reader of the result."""
    world = _World(draws, population)
    for week in range(-(-days // 7)):
        world.live(week)
    return world.orders(), world.versions()


class _World:
    """The hidden state of every customer, moved on by a week at a time."""

    def __init__(self, draws: Draws, population: Population) -> None:
        count = len(population.signup_day)
        number = np.arange(count)
        self._draws, self._population = draws, population
        dormant = (population.signup_day < 0) & (draws.uniform("customer.dormant", number) < SHARE_DORMANT_AT_START)
        self._active = ~dormant
        self._last_order = np.zeros(count, dtype=np.int32)
        self._score = np.zeros(count)
        self._tier = np.zeros(count, dtype=np.int8)
        self._consent = draws.uniform("customer.consent", number) < SHARE_CONSENTING
        self._address = np.zeros(count, dtype=np.int8)
        self._email = np.zeros(count, dtype=np.int8)
        self._known = 0
        self._orders: list[tuple[NDArray[np.int32], ...]] = []
        self._versions: list[tuple[NDArray[np.generic], ...]] = []

    def live(self, week: int) -> None:
        known = int(np.searchsorted(self._population.signup_day, 7 * (week + 1)))
        newcomers = np.arange(self._known, known)
        self._change(week)
        self._last_order[newcomers] = week
        self._record(newcomers, self._population.signup_day[newcomers])
        self._known = known
        bought = self._buy(week, newcomers)
        self._lose(week, bought)

    def _buy(self, week: int, newcomers: Ints) -> Ints:
        buyers = np.flatnonzero(self._active[: self._known])
        weights = _day_weights(self._population.first_day + timedelta(weeks=week))
        expected = self._population.rate[buyers] * weights.mean()
        counts = _poisson(self._draws.uniform("order.count", buyers, week), expected)
        first_days = self._population.signup_day[newcomers]
        at_once = (first_days >= 0) & (self._population.rate[newcomers] > 0)
        at_once &= self._draws.uniform("order.at_signup", newcomers) < SHARE_BUYING_AT_SIGNUP
        customer = np.concatenate([np.repeat(buyers, counts), newcomers[at_once]])
        nth = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        nth = np.concatenate([nth, np.full(at_once.sum(), AT_SIGNUP)])
        day = 7 * week + self._draws.choice("order.day", weights, customer, week, nth)
        signup_day = self._population.signup_day[customer]
        day = np.where(nth == AT_SIGNUP, signup_day, np.maximum(day, signup_day))
        second = 86399 * (0.62 + 0.11 * self._draws.normal("order.second", customer, week, nth)).clip(0, 1)
        self._orders.append((customer.astype(np.int32), day.astype(np.int32), second.astype(np.int32)))
        self._score[: self._known] *= FORGETTING
        np.add.at(self._score, customer, 1.0)
        self._last_order[customer] = week
        return customer

    def _lose(self, week: int, bought: Ints) -> None:
        exposed = np.flatnonzero(self._active[: self._known])
        silent = week - self._last_order[exposed]
        hazard = WEEKLY_HAZARD * TIER_HAZARD[self._tier[exposed]]
        hazard *= (1 + 1.5 * self._population.discount_taste[exposed]) * (1 + silent / 26)
        lost = exposed[self._draws.uniform("customer.lost", exposed, week) < hazard]
        self._active[lost] = False
        # Some never come back after a purchase: most of the one-time buyers any shop has.
        fate = self._draws.uniform("customer.lost_after_order", bought, week)
        self._active[bought[fate < LOST_AFTER_ORDER * TIER_HAZARD[self._tier[bought]]]] = False

    def _change(self, week: int) -> None:
        """Let the customers of earlier weeks change in tier (at a review), consent, address or e-mail."""
        known = np.arange(self._known)
        fate = self._draws.uniform("customer.change", known, week)
        unsubscribing = np.where(self._active[known], UNSUBSCRIBING, UNSUBSCRIBING_ONCE_LOST)
        flipped = fate < np.where(self._consent[known], unsubscribing, CONSENTING)
        self._consent[known] ^= flipped
        moved = fate > 1 - MOVING
        renamed = (fate > 1 - MOVING - CHANGING_EMAIL) & ~moved
        self._address[known] += moved
        self._email[known] += renamed
        changed = flipped | (fate > 1 - MOVING - CHANGING_EMAIL - SAVING_AGAIN)
        if week % TIER_REVIEW_WEEKS == 0:
            score = self._score[known]
            reached = np.searchsorted(TIER_SCORES, score, side="right")
            kept = np.minimum(self._tier[known], np.searchsorted(0.6 * TIER_SCORES, score, side="right"))
            tier = np.maximum(reached, kept).astype(np.int8)
            changed |= tier != self._tier[known]
            self._tier[known] = tier
        customers = np.flatnonzero(changed)
        self._record(customers, 7 * week + self._draws.pick("version.day", 7, customers, week))

    def _record(self, customers: Ints, days: Ints) -> None:
        kept = self._population.in_crm[customers]
        customers, days = customers[kept], days[kept]
        state = (self._tier, self._consent, self._address, self._email)
        self._versions.append((customers.astype(np.int32), days.astype(np.int32), *(part[customers] for part in state)))

    def orders(self) -> Orders:
        customer, day, second = (np.concatenate(column) for column in zip(*self._orders, strict=True))
        order = np.lexsort((customer, second, day))
        return Orders(customer[order], day[order], second[order])

    def versions(self) -> Versions:
        columns = [np.concatenate(column) for column in zip(*self._versions, strict=True)]
        order = np.lexsort((columns[0], columns[1]))
        customer, day, tier, consent, address, email = (column[order] for column in columns)
        return Versions(customer, day, tier, consent, address, email)


def _signup_days(customers: int, days: int) -> Ints:
    """Days by customer number: before the first day evenly, then growing; past the history as at its end."""
    before = round(customers * EXPORTED_AT_START)
    early = EARLIEST_SIGNUP * (1 - (np.arange(before) + 0.5) / max(before, 1))
    during = customers - before
    share = (np.arange(during) + 0.5) / max(during, 1)
    grown = HISTORY_DAYS * np.log1p(share * np.expm1(GROWTH)) / GROWTH
    daily = during * GROWTH * np.exp(GROWTH) / (np.expm1(GROWTH) * HISTORY_DAYS)
    later = HISTORY_DAYS + np.arange(0.5, max(0.0, (days - HISTORY_DAYS) * daily)) / max(daily, 1e-9)
    return np.asarray(np.floor(np.concatenate([early, grown, later])), dtype=np.int64)


def _day_weights(first: date) -> Floats:
    """How busy the seven days from ``first`` are, against an average day."""
    days = [first + timedelta(days=offset) for offset in range(7)]
    weights = np.array([MONTHS[day.month - 1] * WEEKDAYS[day.weekday()] for day in days])
    weights[[(day.month, day.day) > (12, 21) for day in days]] *= AFTER_CHRISTMAS_RUSH
    weights[[(day.month, day.weekday()) == (11, 4) and day.day in range(23, 30) for day in days]] *= BLACK_FRIDAY
    return weights


def _poisson(uniform: Floats, expected: Floats) -> Ints:
    """Poisson counts by inversion, at most 5 (the rates are far below)."""
    term = np.exp(-expected)
    reached = term.copy()
    counts = np.zeros(len(uniform), dtype=np.int64)
    for count in range(1, 6):
        counts += uniform >= reached
        term *= expected / count
        reached += term
    return counts
