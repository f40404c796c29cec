"""Who the sample's customers are: name, e-mail, telephone number, birthday and address, by customer number.

Details are drawn when asked for and given as JSON text. ``changes`` is how often a customer has moved or changed one.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.sample.countries import COUNTRIES, EMAIL_DOMAINS, Country
from pipelines.sample.draws import Draws, Ints, Mask
from pipelines.sample.text import Text, concat, digits, either, lookup, without_first

POSTAL_CODES_A_CITY = 40
SHARE_WITHOUT_EMAIL, SHARE_WITHOUT_PHONE, SHARE_WITHOUT_BIRTHDAY = 0.02, 0.08, 0.12
UNKNOWN_COUNTRIES = ("UK", "XX", "Deutschland", "U.S.A.")
_NO_DECOMPOSITION = str.maketrans({"ł": "l", "ß": "ss", "ı": "i", "ø": "o", "æ": "ae"})
Numbers = NDArray[np.signedinteger[Any]]
_LETTERS = "ABCDEFGHJKLMNPRSTUWXYZ"


class People:
    """The personal details of customers, who live in ``countries`` (by customer number)."""

    def __init__(self, draws: Draws, countries: Ints) -> None:
        self._draws, self._countries = draws, countries
        self._given = _Pool(lambda country: [_native(name) for name in country.given.split()])
        self._family = _Pool(lambda country: [_native(name) for name in country.family.split()])
        self._given_latin = _Pool(lambda country: [_latin(name) for name in country.given.split()])
        self._family_latin = _Pool(lambda country: [_latin(name) for name in country.family.split()])
        self._street = _Pool(lambda country: [_inner_json(street) for street in country.streets.split(",")])
        self._city = _Pool(lambda country: [text for place in country.places for text in _city_texts(draws, *place)])
        self._phone_head = _Pool(_phone_heads)

    def given_names(self, customers: Ints) -> Text:
        return self._pick(self._given, "person.given", customers)

    def family_names(self, customers: Ints) -> Text:
        return self._pick(self._family, "person.family", customers)

    def emails(self, customers: Ints, changes: Numbers) -> Text:
        """Addresses without quotes; empty for those who gave none."""
        given = self._pick(self._given_latin, "person.given", customers)
        family = self._pick(self._family_latin, "person.family", customers)
        domain = lookup(EMAIL_DOMAINS, self._draws.pick("person.domain", len(EMAIL_DOMAINS), customers, changes))
        emails = concat(given, ".", family, digits(customers + 1), lookup(("@", "b@", "c@", "d@"), changes % 4), domain)
        return either(self._draws.uniform("person.no_email", customers) < SHARE_WITHOUT_EMAIL, "", emails)

    def phones(self, customers: Ints, changes: Numbers) -> Text:
        """Mobile numbers as JSON, in one of the ways people spell them."""
        head = self._pick(self._phone_head, "person.phone", customers, changes)
        width = np.array([country.mobile_digits - len(country.mobile_prefixes[0]) for country in COUNTRIES])
        limit = 10 ** width[self._countries[customers]]
        tail = without_first(digits(limit + self._draws.pick("person.phone_tail", limit, customers, changes)))
        phones = concat('"', head, tail, '"')
        return either(self._draws.uniform("person.no_phone", customers) < SHARE_WITHOUT_PHONE, "null", phones)

    def birthdays(self, customers: Ints, today: date) -> Text:
        """Dates of birth as JSON, of people who are 18 to 86 on ``today``."""
        share = 0.6 * self._draws.uniform("person.age", customers) + 0.4 * self._draws.uniform(
            "person.age_tail", customers
        )
        days, positions = np.unique((365.25 * (18 + 68 * share)).astype(np.int64), return_inverse=True)
        born = np.datetime_as_string(np.datetime64(today, "D") - days.astype("timedelta64[D]"))
        birthdays = concat('"', lookup(born.tolist(), positions), '"')
        return either(self._draws.uniform("person.no_birthday", customers) < SHARE_WITHOUT_BIRTHDAY, "null", birthdays)

    def addresses(self, customers: Ints, changes: Numbers, *, unknown_country: Mask) -> Text:
        """Addresses as JSON objects; the country of those marked is no ISO 3166 code."""
        countries = self._countries[customers]
        number = digits(1 + self._draws.pick("person.house", 180, customers, changes))
        first = np.array([country.number_first for country in COUNTRIES])[countries]
        before, after = either(first, concat(number, " "), ""), either(first, "", concat(" ", number))
        street = self._pick(self._street, "person.street", customers, changes)
        city = self._pick(self._city, "person.city", customers, changes)
        wrong = lookup(UNKNOWN_COUNTRIES, self._draws.pick("person.wrong_country", len(UNKNOWN_COUNTRIES), customers))
        code = either(unknown_country, wrong, lookup([country.code for country in COUNTRIES], countries))
        return concat('{"street": "', before, street, after, '", ', city, ', "country": "', code, '"}')

    def languages(self, customers: Ints) -> Text:
        return lookup([country.language for country in COUNTRIES], self._countries[customers])

    def _pick(self, pool: _Pool, purpose: str, customers: Ints, *keys: Numbers) -> Text:
        countries = self._countries[customers]
        return lookup(
            pool.texts, pool.starts[countries] + self._draws.pick(purpose, pool.counts[countries], customers, *keys)
        )


class _Pool:
    """Texts by country, those of a country next to each other."""

    def __init__(self, texts_of: Callable[[Country], Sequence[str]]) -> None:
        by_country = [texts_of(country) for country in COUNTRIES]
        self.counts = np.array([len(texts) for texts in by_country])
        self.starts = np.cumsum(self.counts) - self.counts
        self.texts = [text for texts in by_country for text in texts]


def _native(name: str) -> str:
    return json.dumps(name.partition("|")[0].replace("_", " "), ensure_ascii=False)


def _latin(name: str) -> str:
    latin = (name.partition("|")[2] or name).lower().translate(_NO_DECOMPOSITION)
    return "".join(letter for letter in unicodedata.normalize("NFKD", latin) if letter.isascii() and letter.isalpha())


def _inner_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _city_texts(draws: Draws, city: str, state: str, pattern: str) -> list[str]:
    """Members of an address object, one text for each of some postal codes of the city."""
    texts = []
    for row in range(POSTAL_CODES_A_CITY):
        drawn = draws.pick(f"postal {city}", 10 * len(_LETTERS), row, np.arange(len(pattern))).tolist()
        alphabets = {"#": "0123456789", "@": _LETTERS}
        code = "".join(
            alphabets.get(place, place)[number % len(alphabets.get(place, place))]
            for place, number in zip(pattern, drawn, strict=True)
        )
        members = {"city": city, "state": state or None, "postal_code": code}
        texts.append(json.dumps(members, ensure_ascii=False)[1:-1])
    return texts


def _phone_heads(country: Country) -> list[str]:
    """What stands before the last digits of a number: by prefix, in national and international spellings."""
    heads = []
    for prefix in country.mobile_prefixes:
        national = country.trunk_prefix + prefix
        heads += [
            f"+{country.dialling_code} {prefix} ",
            f"+{country.dialling_code}{prefix}",
            f"({national}) ",
            f"{national} ",
        ]
        heads += [f"{national}-", f"1-{prefix}-" if country.code == "US" else f"00{country.dialling_code} {prefix}"]
    return heads
