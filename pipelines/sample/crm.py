"""The CRM's export: one JSON record a version of a customer, with the dirt of ``faults``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.sample.behaviour import TIERS, Population, Versions
from pipelines.sample.deliveries import OTHER_SPELLING, FileForm, Rendered, Rhythm, customer_ids, late_days, with_copies
from pipelines.sample.draws import Draws, Ints, Mask
from pipelines.sample.faults import CRM_FAULTS, CRM_SHARES, Faults
from pipelines.sample.people import People
from pipelines.sample.text import Spelling, Text, concat, either, in_capitals, instants, is_empty, lookup, shortened

SHARE_IN_CAPITALS = 0.6  # of the respelled e-mails
MISSING_IDS = ("null", '""', '"  "')
BROKEN_BIRTHDAYS = ('"31/02/1985"', '"1985-13-01"', '"0000-00-00"', '"unknown"', '"1979"')
BROKEN_PHONES = ('"n/a"', '"unknown"', '"12"', '"see notes"', '"+00 000"')
BROKEN_EMAILS = ("n/a", "anna@", "@example.com", "no e-mail")
BROKEN_INSTANTS = ('"yesterday"', '"2026-02-30T10:00:00Z"', '"32.01.2026"', '"99999-01-01T00:00:00Z"')


@dataclass(frozen=True, slots=True)
class _Records:
    """The records of one rendering: whose version each is, and what is wrong with it."""

    customer: Ints
    day: Ints
    tier: NDArray[np.int8]
    consent: NDArray[np.int8]
    address: NDArray[np.int8]
    email: NDArray[np.int8]
    faults: Faults
    spelling: Ints
    respelled: Mask


class CrmCustomers:
    """Deliveries of CRM records. Versions from before the first day are handed over on that day."""

    folder = "crm/customers"
    suffix = ".json"
    rhythm = Rhythm.WEEKLY
    is_dirty = True

    def __init__(self, draws: Draws, population: Population, versions: Versions) -> None:
        late = late_days(draws, "crm.late", CRM_SHARES["late"], 10, versions.customer, versions.day)
        due = np.maximum(versions.day, 0) + late
        order = np.argsort(due, kind="stable").astype(np.int32)
        self.due = due[order].astype(np.int32)
        self._version, self._is_late = order, late[order] > 0
        self._draws, self._population, self._versions = draws, population, versions
        self._people = People(draws, population.country)

    def header(self, form: FileForm) -> str:  # noqa: ARG002 - the source's contract
        return ""

    def render(self, positions: Ints, form: FileForm) -> Rendered:
        version = self._version[positions]
        keys = (self._versions.customer[version], self._versions.day[version])
        exact = self._draws.uniform("crm.exact_duplicate", *keys) < CRM_SHARES["exact_duplicate"]
        again = self._draws.uniform("crm.respelled_duplicate", *keys) < CRM_SHARES["respelled_duplicate"]
        again &= ~exact
        positions, copy = with_copies(positions, exact, again)
        respelled = (copy == 1) & np.repeat(again, 1 + exact + again)
        records = self._read(self._version[positions], respelled)
        lines = concat(self._lines(records, form), form.newline)
        injected = records.faults.counts()
        injected["late"] = int(self._is_late[positions].sum())
        injected["exact_duplicate"], injected["respelled_duplicate"] = int(exact.sum()), int(again.sum())
        injected["offset_timestamp"] = int((records.spelling == Spelling.OFFSET).sum())
        injected["date_only_timestamp"] = int((records.spelling == Spelling.DATE_ONLY).sum())
        return Rendered(lines, injected)

    def _read(self, version: NDArray[np.int32], respelled: Mask) -> _Records:
        versions, draws = self._versions, self._draws
        customer, day = versions.customer[version].astype(np.int64), versions.day[version].astype(np.int64)
        share = draws.uniform("crm.spelling", customer, day)
        offset, date_only = CRM_SHARES["offset_timestamp"], CRM_SHARES["date_only_timestamp"]
        return _Records(
            customer=customer,
            day=day,
            tier=versions.tier[version],
            consent=versions.consent[version].astype(np.int8),
            address=versions.address[version],
            email=versions.email[version],
            faults=Faults(CRM_FAULTS, draws.uniform("crm.fault", customer, day)),
            spelling=np.select(
                [share < offset, share < offset + date_only, share > 1 - OTHER_SPELLING],
                [Spelling.OFFSET, Spelling.DATE_ONLY, Spelling.SPACE],
                Spelling.ZULU,
            ),
            respelled=respelled,
        )

    def _lines(self, records: _Records, form: FileForm) -> Text:
        people, customer = self._people, records.customer
        created = instants(self._population.first_day, *self._created(customer), np.zeros_like(customer))
        parts = [
            '{"customer_id": ', _customer_ids(records),
            ', "email": ', self._emails(records),
            ', "first_name": ', people.given_names(customer),
            ', "last_name": ', people.family_names(customer),
            self._phone_members(records),
            ', "date_of_birth": ', self._birthdays(records),
            ', "address": ', self._addresses(records),
            ', "loyalty_tier": "', lookup(TIERS, records.tier),
            '", "marketing_consent": ', _consents(records),
            ', "created_at": "', created,
            '", "updated_at": ', self._updated(records),
        ]  # fmt: skip
        if form.extended:
            parts += [', "preferred_language": "', people.languages(customer), '"']
        lines = concat(*parts, "}")
        return either(records.faults.of("malformed_json"), self._malformed(lines, customer), lines)

    def _created(self, customer: Ints) -> tuple[Ints, Ints]:
        """Day and second of the sign-up."""
        return self._population.signup_day[customer], self._draws.pick("crm.created", 82800, customer)

    def _updated(self, records: _Records) -> Text:
        customer, day = records.customer, records.day
        created_day, created_second = self._created(customer)
        second = np.where(day == created_day, created_second, self._draws.pick("crm.updated", 86400, customer, day))
        updated = concat('"', instants(self._population.first_day, day, second, records.spelling), '"')
        broken = self._broken(updated, "broken_updated_at", BROKEN_INSTANTS, records)
        return either(records.faults.of("null_updated_at"), "null", broken)

    def _emails(self, records: _Records) -> Text:
        emails = self._people.emails(records.customer, records.email)
        emails = self._broken(emails, "broken_email", BROKEN_EMAILS, records)
        capitals = self._draws.uniform("crm.capitals", records.customer) < SHARE_IN_CAPITALS
        respelled = either(capitals, in_capitals(emails), concat("  ", emails, " "))
        return either(is_empty(emails), "null", concat('"', either(records.respelled, respelled, emails), '"'))

    def _phone_members(self, records: _Records) -> Text:
        phones = self._people.phones(records.customer, records.address)
        phones = self._broken(phones, "broken_phone", BROKEN_PHONES, records)
        return either(records.faults.of("missing_key"), "", concat(', "phone": ', phones))

    def _birthdays(self, records: _Records) -> Text:
        birthdays = self._people.birthdays(records.customer, self._population.first_day)
        return self._broken(birthdays, "broken_date_of_birth", BROKEN_BIRTHDAYS, records)

    def _addresses(self, records: _Records) -> Text:
        unknown = records.faults.of("unknown_country")
        addresses = self._people.addresses(records.customer, records.address, unknown_country=unknown)
        return either(records.faults.of("null_address"), "null", addresses)

    def _broken(self, text: Text, fault: str, instead: Sequence[str], records: _Records) -> Text:
        values = lookup(instead, self._draws.pick(f"crm.{fault}", len(instead), records.customer, records.day))
        return either(records.faults.of(fault), values, text)

    def _malformed(self, lines: Text, customer: Ints) -> Text:
        return either(customer % 2 == 0, shortened(lines, 90), concat("ERROR 1205: ", lines))


def _customer_ids(records: _Records) -> Text:
    ids = customer_ids(records.customer)
    padded = records.faults.of("padded_customer_id")
    written = either(padded, concat('"  ', ids, ' "'), concat('"', ids, '"'))
    missing = lookup(MISSING_IDS, records.customer % len(MISSING_IDS))
    return either(records.faults.of("missing_customer_id"), missing, written)


def _consents(records: _Records) -> Text:
    as_text = lookup(('"no"', '"yes"'), records.consent)
    return either(records.faults.of("consent_as_text"), as_text, lookup(("false", "true"), records.consent))
