"""Finance's export: a rate per currency and month, in units of the reporting currency. It is the one clean source."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import numpy as np

from pipelines.reference.reporting_currency import REPORTING_CURRENCY
from pipelines.sample.behaviour import HISTORY_DAYS
from pipelines.sample.countries import COUNTRIES
from pipelines.sample.deliveries import FileForm, Rendered, Rhythm
from pipelines.sample.draws import Draws, Ints
from pipelines.sample.text import concat, digits, lookup

WITHOUT_RATE_AT_FIRST = "CNY"
FIRST_RATE_DAY = HISTORY_DAYS - 365
SWING = 0.02  # standard deviation of a month's rate


class ExchangeRates:
    """Deliveries of rates: each month's on its first day, and on the first day of all those of its month.

    One currency is not quoted before its last year: orders in it have no rate until then.
    """

    folder = "finance/exchange_rates"
    suffix = ".csv"
    rhythm = Rhythm.AT_ONCE
    is_dirty = False

    def __init__(self, draws: Draws, first_day: date, days: int) -> None:
        every = [first_day + timedelta(days=day) for day in range(days)]
        months = np.array([day for day in range(days) if day == 0 or every[day].day == 1], dtype=np.int32)
        per_euro = {country.currency: country.per_euro for country in COUNTRIES}
        self._currencies = sorted(per_euro.keys() - {REPORTING_CURRENCY})
        due, currency = np.repeat(months, len(self._currencies)), np.tile(np.arange(len(self._currencies)), len(months))
        quoted = (currency != self._currencies.index(WITHOUT_RATE_AT_FIRST)) | (due >= FIRST_RATE_DAY)
        self.due, self._currency = due[quoted], currency[quoted]
        self._valid_from = [every[day].replace(day=1).isoformat() for day in self.due.tolist()]
        level = np.array([per_euro[REPORTING_CURRENCY] / per_euro[name] for name in self._currencies])[self._currency]
        swing = 1 + SWING * draws.normal("rate", self._currency, self.due)
        self._millionths = np.rint(1_000_000 * level * swing).astype(np.int64)

    def header(self, form: FileForm) -> str:
        return "currency,valid_from,rate" + form.newline

    def render(self, positions: Ints, form: FileForm) -> Rendered:
        millionths = self._millionths[positions]
        currency, valid_from = lookup(self._currencies, self._currency[positions]), lookup(self._valid_from, positions)
        rate = concat(digits(millionths // 1_000_000), ".", digits(millionths % 1_000_000, 6))
        return Rendered(concat(currency, ",", valid_from, ",", rate, form.newline), Counter())
