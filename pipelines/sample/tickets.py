"""The help desk's tickets: the state of each at any instant, drawn whole, so that a day can be added without replaying others.

A ticket is about an order, and has its number. Its life is a handful of instants, in order: opened, taken up, waiting for the
customer, resolved, reopened by some, resolved again, closed; a few are deleted (spam, doubles, requests to be forgotten), and
some of these restored. The state at an instant is what the last of them has made of it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.sample.behaviour import Orders, Population
from pipelines.sample.deliveries import customer_ids
from pipelines.sample.draws import Draws, Floats, Ints, Mask
from pipelines.sample.people import People
from pipelines.sample.text import Text, concat, digits, either, lookup
from pipelines.sample.ticket_texts import CLOSINGS, GREETINGS, TOPICS

DAY = 86_400
SHARE_OF_ORDERS = 0.355
LATEST_DAYS = 12
"""Within how many days after an order people write."""

STATUSES = (
    ("new", "New"),
    ("open", "Open", "in progress", "In-Progress"),
    ("pending", "Waiting for customer", "waiting"),
    ("resolved", "Resolved", "solved"),
    ("reopened", "Reopened"),
    ("closed", "Closed", "done"),
)
NEW, OPEN, PENDING, RESOLVED, REOPENED, CLOSED = range(len(STATUSES))
PRIORITIES = (
    ("low", "Low", "P4"),
    ("normal", "medium", "Normal"),
    ("high", "HIGH", "P2"),
    ("urgent", "critical", "P1"),
)
HOURS_TO_RESOLVE = np.array([90.0, 48.0, 18.0, 6.0])
# Shares of all tickets.
WAITING, REOPENING, NEVER_RESOLVED, DELETED, RESTORED, SCORED = 0.35, 0.07, 0.015, 0.012, 0.1, 0.35
SIGNED, WITH_PHONE = 0.4, 0.06
TICKET_FAULTS = {
    "unknown_priority": 0.001,
    "unknown_status": 0.0008,
    "score_out_of_range": 0.002,  # of all, once they are closed
    "blank_customer_id": 0.008,
    "padded_customer_id": 0.003,
    "blank_subject": 0.004,
    "resolved_before_created": 0.0005,
}
UNKNOWN_PRIORITY, UNKNOWN_STATUS, OUT_OF_RANGE = ("???", "asap"), ("escalated?", "-"), (0, 6, 10)
USUAL_SPELLING = 0.85
_NEVER = np.iinfo(np.int64).max
_UNIX_EPOCH = date(1970, 1, 1)
_INSTANT = pa.timestamp("us", tz="UTC")

SCHEMA = pa.schema(
    [
        *(
            pa.field(name, pa.string())
            for name in ("ticket_id", "customer_id", "subject", "body", "category", "priority", "status")
        ),
        *(pa.field(name, _INSTANT) for name in ("created_at", "updated_at", "resolved_at")),
        pa.field("agent_id", pa.string()),
        pa.field("satisfaction_score", pa.int32()),
    ]
)


@dataclass(frozen=True, slots=True)
class Changes:
    """What the tickets' states became within a span: rows that are there now and differ, and ids of those that are gone."""

    upserts: pa.Table
    deleted: Text
    injected: Counter[str]


class SupportTickets:
    """Tickets about the orders, by their order's number; instants are seconds since the population's first day."""

    folder = "support/tickets"

    def __init__(self, draws: Draws, population: Population, orders: Orders) -> None:
        self._draws, self._population = draws, population
        self._people = People(draws, population.country)
        number = np.arange(len(orders.day))
        number = number[draws.uniform("ticket.of_order", number) < SHARE_OF_ORDERS]
        self._number = number
        self._customer = orders.customer[number].astype(np.int64)
        placed = orders.day[number].astype(np.int64) * DAY + orders.second[number]
        self._topic = draws.choice("ticket.topic", np.array([topic.weight for topic in TOPICS]), number)
        urgency = np.array([topic.urgency for topic in TOPICS])[self._topic] + draws.normal("ticket.urgency", number)
        self._priority = np.searchsorted(np.array([-0.6, 0.9, 1.9]), urgency)
        self._created = (
            placed + 3600 + (draws.uniform("ticket.after", number) ** 2 * LATEST_DAYS * DAY).astype(np.int64)
        )
        self._events = self._lives()
        self._deleted, self._restored = self._deletions()

    def changes(self, after: int, upto: int) -> Changes:
        """What became different in (after, upto]."""
        moved = (self._created > after) & (self._created <= upto)
        for instant in (*(at for at, _ in self._events), self._deleted, self._restored):
            moved |= (instant > after) & (instant <= upto)
        there = self._is_there(upto)
        gone = self._is_there(after) & ~there
        rows, injected = self._rows(np.flatnonzero(moved & there), upto)
        return Changes(rows, self._ids(self._number[gone]), injected)

    def _lives(self) -> list[tuple[Ints, int]]:
        """(instant, status) in the order in which they happen; an instant that never comes is far away."""
        number, draws = self._number, self._draws
        mean = HOURS_TO_RESOLVE[self._priority] * 3600
        taken = self._created + 120 + self._waits("ticket.taken", mean / 6)
        waiting = taken + self._waits("ticket.waiting", mean / 4)
        resolved = waiting + self._waits("ticket.resolved", mean)
        reopened = resolved + 1800 + self._waits("ticket.reopened", np.full(len(number), 1.2 * DAY))
        again = reopened + self._waits("ticket.resolved_again", mean)
        waits = draws.uniform("ticket.waits", number) < WAITING
        fate = draws.uniform("ticket.fate", number)
        ends, returns = fate >= NEVER_RESOLVED, fate > 1 - REOPENING
        closed = (
            np.where(returns, again, resolved) + 3 * DAY + self._waits("ticket.closed", np.full(len(number), 0.7 * DAY))
        )
        return [
            (taken, OPEN),
            (np.where(waits, waiting, _NEVER), PENDING),
            (np.where(ends, resolved, _NEVER), RESOLVED),
            (np.where(ends & returns, reopened, _NEVER), REOPENED),
            (np.where(ends & returns, again, _NEVER), RESOLVED),
            (np.where(ends, closed, _NEVER), CLOSED),
        ]

    def _deletions(self) -> tuple[Ints, Ints]:
        fate = self._draws.uniform("ticket.deleted", self._number)
        after = (
            self._created
            + 600
            + (self._draws.uniform("ticket.deleted_after", self._number) * 20 * DAY).astype(np.int64)
        )
        restored = (
            after + 3600 + (self._draws.uniform("ticket.restored_after", self._number) * 3 * DAY).astype(np.int64)
        )
        return np.where(fate < DELETED, after, _NEVER), np.where(fate < DELETED * RESTORED, restored, _NEVER)

    def _waits(self, purpose: str, mean: Floats) -> Ints:
        """Seconds until something happens: many short waits, some long ones."""
        return (-np.log1p(-self._draws.uniform(purpose, self._number)) * mean).astype(np.int64)

    def _is_there(self, at: int) -> Mask:
        return np.asarray((self._created <= at) & ~((self._deleted <= at) & (self._restored > at)))

    def _rows(self, chosen: Ints, at: int) -> tuple[pa.Table, Counter[str]]:
        number, created = self._number[chosen], self._created[chosen]
        status, updated, resolved = np.zeros(len(chosen), np.int64), created, np.full(len(chosen), _NEVER)
        for instants, becomes in self._events:
            happened = instants[chosen] <= at
            status = np.where(happened, becomes, status)
            updated = np.where(happened, instants[chosen], updated)
            if becomes in (RESOLVED, REOPENED):
                resolved = np.where(happened, instants[chosen] if becomes == RESOLVED else _NEVER, resolved)
        restored = self._restored[chosen] <= at
        updated = np.where(restored, np.maximum(updated, np.where(restored, self._restored[chosen], 0)), updated)
        flaws = {name: self._draws.uniform(f"ticket.{name}", number) < share for name, share in TICKET_FAULTS.items()}
        flaws["score_out_of_range"] &= status == CLOSED
        flaws["resolved_before_created"] &= resolved != _NEVER
        resolved = np.where(flaws["resolved_before_created"], created - 3600, resolved)
        subject, body = self._texts(chosen)
        columns = [
            self._ids(number),
            self._customer_ids(chosen, flaws),
            either(flaws["blank_subject"], " ", subject),
            body,
            self._spelled("category", tuple(topic.spellings for topic in TOPICS), self._topic[chosen], number),
            self._or_unknown(
                self._spelled("priority", PRIORITIES, self._priority[chosen], number),
                flaws["unknown_priority"],
                UNKNOWN_PRIORITY,
                number,
            ),
            self._or_unknown(
                self._spelled("status", STATUSES, status, number), flaws["unknown_status"], UNKNOWN_STATUS, number
            ),
            self._instants(created),
            self._instants(updated),
            self._instants(resolved),
            self._agents(number, status),
            self._scores(number, status, flaws["score_out_of_range"]),
        ]
        injected = Counter({name: int(mask.sum()) for name, mask in flaws.items()})
        return pa.Table.from_arrays(columns, schema=SCHEMA), injected

    def _ids(self, number: Ints) -> Text:
        return concat("T", digits(1_000_000 + number))

    def _customer_ids(self, chosen: Ints, flaws: dict[str, Mask]) -> Text:
        ids = customer_ids(self._customer[chosen])
        padded = either(flaws["padded_customer_id"], concat("  ", ids), ids)
        return either(flaws["blank_customer_id"], "", padded)

    def _texts(self, chosen: Ints) -> tuple[Text, Text]:
        number, customer, topic = self._number[chosen], self._customer[chosen], self._topic[chosen]
        order = concat("O", digits(1_000_000 + number))
        subjects = _Pools(tuple(known.subjects for known in TOPICS))
        chosen_subject = subjects.positions(topic, self._draws.uniform("ticket.subject", number))
        before, named_order, after = zip(*(words.partition("{}") for words in subjects.words), strict=True)
        of_order = np.array([bool(named) for named in named_order])[chosen_subject]
        subject = concat(lookup(before, chosen_subject), either(of_order, order, ""), lookup(after, chosen_subject))
        named = self._draws.uniform("ticket.signed", number)
        signature = either(
            named < SIGNED,
            concat("\n", self._people.given_names(customer), " ", self._people.family_names(customer)),
            "",
        )
        phone = concat(
            "\nYou can reach me under ", digits(600_000_000 + self._draws.pick("ticket.phone", 90_000_000, number)), "."
        )
        reach = either(self._draws.uniform("ticket.reach", number) < WITH_PHONE, phone, "")
        bodies = _Pools(tuple(known.bodies for known in TOPICS))
        said = lookup(bodies.words, bodies.positions(topic, self._draws.uniform("ticket.body", number)))
        greeting = lookup(GREETINGS, self._draws.pick("ticket.greeting", len(GREETINGS), number))
        closing = lookup(CLOSINGS, self._draws.pick("ticket.closing", len(CLOSINGS), number))
        return subject, concat(greeting, "\n", said, reach, "\n", closing, signature)

    def _spelled(self, purpose: str, pools: tuple[tuple[str, ...], ...], code: Ints, number: Ints) -> Text:
        """A word of the code's pool: mostly the first, else one that the ticket keeps to."""
        spellings = _Pools(pools)
        usual = self._draws.uniform(f"ticket.{purpose}.usual", number) < USUAL_SPELLING
        drawn = np.where(usual, 0.0, self._draws.uniform(f"ticket.{purpose}.spelling", number))
        return lookup(spellings.words, spellings.positions(code, drawn))

    def _or_unknown(self, known: Text, flawed: Mask, unknown: tuple[str, ...], number: Ints) -> Text:
        return either(flawed, lookup(unknown, number % len(unknown)), known)

    def _instants(self, seconds: Ints) -> Any:
        never = seconds == _NEVER
        unix = ((self._population.first_day - _UNIX_EPOCH).days * DAY + np.where(never, 0, seconds)) * 1_000_000
        return pa.array(unix, pa.int64(), mask=never).cast(_INSTANT)

    def _agents(self, number: Ints, status: NDArray[np.int64]) -> Text:
        agents = concat("agent-", digits(1 + self._draws.pick("ticket.agent", 40, number), 2))
        return pa.array(np.asarray(agents, dtype=object), pa.string(), mask=status == NEW)

    def _scores(self, number: Ints, status: NDArray[np.int64], flawed: Mask) -> Any:
        pleased = 4.2 + 1.1 * self._draws.normal("ticket.score", number)
        score = np.clip(np.rint(pleased), 1, 5).astype(np.int32)
        score = np.where(flawed, np.array(OUT_OF_RANGE)[number % len(OUT_OF_RANGE)], score).astype(np.int32)
        silent = (status != CLOSED) | ((self._draws.uniform("ticket.scored", number) >= SCORED) & ~flawed)
        return pa.array(score, pa.int32(), mask=silent)


class _Pools:
    """Words by code, one pool a code."""

    def __init__(self, pools: tuple[tuple[str, ...], ...]) -> None:
        self.words = [word for pool in pools for word in pool]
        self._sizes = np.array([len(pool) for pool in pools])
        self._starts = np.cumsum(self._sizes) - self._sizes

    def positions(self, code: Ints, uniform: Floats) -> Ints:
        """Where in ``words`` the word of each row stands, by a number of [0, 1)."""
        return np.asarray(self._starts[code] + (uniform * self._sizes[code]).astype(np.int64))
