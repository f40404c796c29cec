"""The shop's export: one CSV line an order line, again when its status changes, with the dirt of ``faults``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from pipelines.sample.behaviour import Orders, Population
from pipelines.sample.countries import COUNTRIES
from pipelines.sample.deliveries import OTHER_SPELLING, FileForm, Rendered, Rhythm, customer_ids, late_days, with_copies
from pipelines.sample.draws import Draws, Floats, Ints, Mask
from pipelines.sample.faults import ORDER_FAULTS, ORDER_SHARES, Faults
from pipelines.sample.products import build_products
from pipelines.sample.text import Spelling, Text, concat, digits, either, instants, lookup, money

COLUMNS = (
    "order_id", "line_number", "customer_id", "order_ts", "product_id", "product_name", "product_category", "quantity",
    "unit_price", "discount_pct", "currency", "payment_method", "status",
)  # fmt: skip
ADDED_COLUMN = "coupon_code"
FIELDS_OF_A_SHORT_LINE = 7
PAYMENT_METHODS, PAYMENT_WEIGHTS = (
    ("card", "paypal", "invoice", "bank_transfer", "apple_pay", "gift_card"),
    (48, 22, 12, 7, 8, 3),
)
SHARE_WITH_COUPON, SHARE_DISCOUNT_ZERO = 0.1, 0.15
DISCOUNTS = ("5", "10", "12.5", "15", "20", "25", "30")
COUPONS = ("WELCOME10", "SPRING", "BF25", "VIP")
LINES, LINE_WEIGHTS = (1, 2, 3, 4, 5, 6), (38, 26, 16, 10, 6, 4)
QUANTITIES, QUANTITY_WEIGHTS = (1, 2, 3, 4, 6, 12, 24), (72, 15, 5, 3, 2.5, 1.5, 1)
BROKEN_NUMBERS = ('"12,5"', "n/a", "NaN", "twelve", "1e400", "--", "0x1F")
BROKEN_INSTANTS = ("2025-02-30 10:00:00", "yesterday", "0000-00-00 00:00:00", "99999-01-01 00:00:00", "25:61")
UNKNOWN_STATUS = ("on_hold?", "???", "3")
# Statuses of an order's first, settling and reversing version, in the spellings the shop uses.
PLACED, PLACED_WEIGHTS = ("pending", "completed", "Completed", "paid", "shipped", "DELIVERED"), (14, 52, 6, 9, 10, 9)
SETTLED, SETTLED_WEIGHTS = ("completed", "cancelled", "canceled"), (86, 10, 4)
REVERSED, REVERSED_WEIGHTS = ("refunded", "returned", "cancelled", "void"), (50, 30, 15, 5)
SHARE_SETTLED, SHARE_REVERSED, SHARE_OF_LINES_REVERSED = 0.97, 0.035, 0.5


class Step(IntEnum):
    """Which version of an order a delivery is."""

    PLACED = 0
    SETTLED = 1  # a pending one, some days later
    REVERSED = 2  # another, some weeks later, for some of its lines


@dataclass(frozen=True, slots=True)
class _Lines:
    """The lines of one rendering: of which order, in which version, and what is wrong with each."""

    order: Ints
    number: Ints
    step: Ints
    customer: Ints
    faults: Faults


class EcommerceOrders:
    """Deliveries of whole orders; each is rendered to its lines."""

    folder = "ecommerce/orders"
    suffix = ".csv"
    rhythm = Rhythm.DAILY
    is_dirty = True

    def __init__(self, draws: Draws, population: Population, orders: Orders) -> None:
        self._draws, self._population, self._orders = draws, population, orders
        self._products = build_products(draws)
        number = np.arange(len(orders.day), dtype=np.int32)
        self._late = late_days(draws, "order.late", ORDER_SHARES["late"], 5, number) > 0
        order, step, due = self._deliveries(number)
        by_day = np.lexsort((order, due))
        self.due, self._order, self._step = due[by_day], order[by_day], step[by_day]

    def _deliveries(self, number: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int8], NDArray[np.int32]]:
        draws = self._draws
        placed = self._orders.day + late_days(draws, "order.late", ORDER_SHARES["late"], 5, number)
        pending = _weighted(draws, "order.placed", PLACED_WEIGHTS, number) == 0
        fate = draws.uniform("order.fate", number)
        settled = number[pending & (fate < SHARE_SETTLED)]
        reversed_ = number[~pending & (fate < SHARE_REVERSED)]
        due = [
            placed,
            placed[settled] + 1 + draws.pick("order.settled_after", 4, settled),
            placed[reversed_] + 3 + draws.pick("order.reversed_after", 25, reversed_),
        ]
        steps = [np.full(len(days), step, np.int8) for step, days in zip(Step, due, strict=True)]
        return np.concatenate([number, settled, reversed_]), np.concatenate(steps), np.concatenate(due).astype(np.int32)

    def header(self, form: FileForm) -> str:
        names = (*COLUMNS, ADDED_COLUMN) if form.extended else COLUMNS
        cased = {"lower": names, "upper": [name.upper() for name in names], "title": [name.title() for name in names]}
        return ",".join(cased[form.header_case]) + form.newline

    def render(self, positions: Ints, form: FileForm) -> Rendered:
        lines, copies = self._expand(positions)
        columns, spelling = self._columns(lines, form)
        written = concat(_joined(columns, lines), form.newline)
        injected = lines.faults.counts()
        injected["exact_duplicate"] = copies
        injected["late"] = int(((lines.step == Step.PLACED) & self._late[lines.order]).sum())
        injected["blank_customer_id"] = int(self._is_guest(lines.order).sum())
        injected["padded_customer_id"] = int(self._is_padded(lines.order).sum())
        injected["offset_timestamp"] = int((spelling == Spelling.OFFSET).sum())
        injected["date_only_timestamp"] = int((spelling == Spelling.DATE_ONLY).sum())
        return Rendered(written, injected)

    def _expand(self, positions: Ints) -> tuple[_Lines, int]:
        """The lines of the deliveries, some twice, and how many of these copies there are."""
        draws = self._draws
        order, step = self._order[positions].astype(np.int64), self._step[positions].astype(np.int64)
        count = np.array(LINES)[_weighted(draws, "order.lines", LINE_WEIGHTS, order)]
        order, step = np.repeat(order, count), np.repeat(step, count)
        number = 1 + np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
        kept = (
            (step != Step.REVERSED)
            | (number == 1)
            | (draws.uniform("line.reversed", order, number) < SHARE_OF_LINES_REVERSED)
        )
        order, step, number = order[kept], step[kept], number[kept]
        twice = draws.uniform("line.exact_duplicate", order, number, step) < ORDER_SHARES["exact_duplicate"]
        rows, _ = with_copies(np.arange(len(order)), twice)
        order, step, number = order[rows], step[rows], number[rows]
        faults = Faults(ORDER_FAULTS, draws.uniform("line.fault", order, number, step))
        return _Lines(order, number, step, self._orders.customer[order].astype(np.int64), faults), int(twice.sum())

    def _columns(self, lines: _Lines, form: FileForm) -> tuple[list[Text], Ints]:
        draws, order, number = self._draws, lines.order, lines.number
        products, country = self._products, self._population.country[lines.customer]
        product = products.pick(draws, self._population.favourite[lines.customer], order, number)
        spelling = self._spelling(order)
        columns = [
            concat("O", digits(1_000_000 + order)),
            digits(number),
            self._customer_ids(lines),
            self._order_instants(lines, spelling),
            lookup(products.ids, product),
            self._product_names(lines, product),
            lookup(products.categories, products.category[product]),
            self._quantities(lines),
            self._unit_prices(lines, products.euro_cents[product], country),
            self._discounts(lines),
            lookup([country.currency for country in COUNTRIES], country),
            lookup(PAYMENT_METHODS, _weighted(draws, "order.payment", PAYMENT_WEIGHTS, order)),
            self._statuses(lines),
        ]
        if form.extended:
            coupon = lookup(COUPONS, draws.pick("order.coupon", len(COUPONS), order))
            columns.append(either(draws.uniform("order.has_coupon", order) < SHARE_WITH_COUPON, coupon, ""))
        return columns, spelling

    def _product_names(self, lines: _Lines, product: Ints) -> Text:
        names = self._products.names
        plain = lookup([name.replace(",", "").replace('"', "") for name in names], product)
        inches, after_quote = concat(plain, ' 12" wide'), concat('"', plain, '" (new)')
        others = either(lines.faults.of("text_after_quote"), after_quote, _quoted(names, product))
        return either(lines.faults.of("stray_quote"), inches, others)

    def _is_guest(self, order: Ints) -> Mask:
        return self._draws.uniform("order.guest", order) < ORDER_SHARES["blank_customer_id"]

    def _is_padded(self, order: Ints) -> Mask:
        return (self._draws.uniform("order.padded", order) < ORDER_SHARES["padded_customer_id"]) & ~self._is_guest(
            order
        )

    def _customer_ids(self, lines: _Lines) -> Text:
        ids = customer_ids(lines.customer)
        blank = lookup(("", "   "), (lines.order % 4 == 0).astype(np.int8))
        return either(
            self._is_guest(lines.order), blank, either(self._is_padded(lines.order), concat(" ", ids, "  "), ids)
        )

    def _spelling(self, order: Ints) -> Ints:
        share = self._draws.uniform("order.spelling", order)
        offset, date_only = ORDER_SHARES["offset_timestamp"], ORDER_SHARES["date_only_timestamp"]
        return np.select(
            [share < offset, share < offset + date_only, share > 1 - OTHER_SPELLING],
            [Spelling.OFFSET, Spelling.DATE_ONLY, Spelling.ZULU],
            Spelling.SPACE,
        )

    def _order_instants(self, lines: _Lines, spelling: Ints) -> Text:
        orders = self._orders
        days, seconds = orders.day[lines.order].astype(np.int64), orders.second[lines.order].astype(np.int64)
        return self._broken(
            instants(self._population.first_day, days, seconds, spelling), "broken_order_ts", BROKEN_INSTANTS, lines
        )

    def _quantities(self, lines: _Lines) -> Text:
        quantity = np.array(QUANTITIES)[
            _weighted(self._draws, "line.quantity", QUANTITY_WEIGHTS, lines.order, lines.number)
        ]
        quantity = np.where(lines.faults.of("negative_quantity"), -quantity, quantity)
        quantity = np.where(lines.faults.of("zero_quantity"), 0, quantity)
        return self._broken(digits(quantity), "broken_quantity", BROKEN_NUMBERS, lines)

    def _unit_prices(self, lines: _Lines, euro_cents: Ints, country: Ints) -> Text:
        rate = np.array([country.per_euro for country in COUNTRIES])[country]
        cents = (euro_cents // 100 * rate).astype(np.int64) * 100 + euro_cents % 100
        cents = np.where(lines.faults.of("negative_unit_price"), -cents, cents)
        cents = np.where(lines.faults.of("zero_unit_price"), 0, cents)
        return self._broken(money(cents), "broken_unit_price", BROKEN_NUMBERS, lines)

    def _discounts(self, lines: _Lines) -> Text:
        taste = self._population.discount_taste[lines.customer]
        share = self._draws.uniform("line.discount", lines.order, lines.number)
        amounts = lookup(DISCOUNTS, self._draws.pick("line.discount_pct", len(DISCOUNTS), lines.order, lines.number))
        return either(share < 0.06 + 0.5 * taste, amounts, either(share > 1 - SHARE_DISCOUNT_ZERO, "0", ""))

    def _statuses(self, lines: _Lines) -> Text:
        draws, order = self._draws, lines.order
        placed = lookup(PLACED, _weighted(draws, "order.placed", PLACED_WEIGHTS, order))
        settled = lookup(SETTLED, _weighted(draws, "order.settled", SETTLED_WEIGHTS, order))
        reversed_ = lookup(REVERSED, _weighted(draws, "order.reversed", REVERSED_WEIGHTS, order))
        status = either(lines.step == Step.PLACED, placed, either(lines.step == Step.SETTLED, settled, reversed_))
        return self._broken(status, "unknown_status", UNKNOWN_STATUS, lines)

    def _broken(self, text: Text, fault: str, instead: Sequence[str], lines: _Lines) -> Text:
        values = lookup(instead, self._draws.pick(f"line.{fault}", len(instead), lines.order, lines.number))
        return either(lines.faults.of(fault), values, text)


def _weighted(draws: Draws, purpose: str, weights: Sequence[float], *keys: NDArray[np.signedinteger]) -> Ints:
    shares: Floats = np.array(weights, dtype=np.float64)
    return draws.choice(purpose, shares, *keys)


def _joined(columns: list[Text], lines: _Lines) -> Text:
    whole = concat(*columns, separator=",")
    short = concat(*columns[:FIELDS_OF_A_SHORT_LINE], separator=",")
    longer = concat(whole, ",surplus,1")
    return either(lines.faults.of("missing_fields"), short, either(lines.faults.of("extra_fields"), longer, whole))


def _quoted(names: Sequence[str], positions: Ints) -> Text:
    """Product names as CSV fields."""
    fields = ['"' + name.replace('"', '""') + '"' if "," in name or '"' in name else name for name in names]
    return lookup(fields, positions)
