"""What lies in the sample's files, read with the standard library: the counts it reports, and people one can believe in."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import phonenumbers
import pytest

from lakehouse.dataset import AutoLoader
from lakehouse.files.listing import LandingFile, list_files
from lakehouse.files.reader import read_files
from pipelines.bronze.crm_customers import dataset as crm_customers
from pipelines.bronze.ecommerce_orders import dataset as ecommerce_orders
from pipelines.bronze.exchange_rates import dataset as exchange_rates
from pipelines.bronze.web_events import dataset as web_events
from pipelines.sample import LandedSample, land_sample
from pipelines.sample.countries import COUNTRIES
from pipelines.sample.faults import CRM_FAULTS, CRM_SHARES, ORDER_FAULTS, ORDER_SHARES, WEB_FAULTS
from pipelines.sample.orders import ADDED_COLUMN, COLUMNS

UNTIL = date(2025, 11, 23)
CRM, ORDERS, RATES = "crm/customers", "ecommerce/orders", "finance/exchange_rates"
WEB, TICKETS = "web/events", "support/tickets"


@dataclass(frozen=True)
class Sample:
    landing: Path
    landed: LandedSample
    crm_lines: list[str]
    order_fields: list[list[str]]

    @property
    def crm(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.crm_lines if line.startswith("{") and line.endswith("}")]

    @property
    def orders(self) -> list[dict[str, str]]:
        """The lines with as many fields as their header, by column."""
        return [
            dict(zip((*COLUMNS, ADDED_COLUMN), fields, strict=False))
            for fields in self.order_fields
            if len(fields) in (13, 14)
        ]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    landing = tmp_path_factory.mktemp("landing")
    landed = land_sample(landing, customers=5000, until=UNTIL)
    crm_lines = [line for path in sorted((landing / CRM).iterdir()) for line in path.read_text("utf-8").splitlines()]
    order_fields: list[list[str]] = []
    for path in sorted((landing / ORDERS).iterdir()):
        with path.open(encoding="utf-8-sig", newline="") as file:
            order_fields += list(csv.reader(file))[1:]
    return Sample(landing, landed, crm_lines, order_fields)


class TestCounts:
    def test_records_are_those_in_the_files(self, sample: Sample) -> None:
        assert sample.landed.records[CRM] == len(sample.crm_lines)
        assert sample.landed.records[ORDERS] == len(sample.order_fields)

    @pytest.mark.parametrize(
        ("folder", "names"),
        [(CRM, {**CRM_FAULTS, **CRM_SHARES}), (ORDERS, {**ORDER_FAULTS, **ORDER_SHARES}), (WEB, WEB_FAULTS)],
    )
    def test_every_kind_of_dirt_is_there_in_about_its_share(
        self, sample: Sample, folder: str, names: dict[str, float]
    ) -> None:
        injected = sample.landed.injected[folder]
        for name, share in names.items():
            expected = share * sample.landed.records[folder]
            assert expected / 3 <= injected[name] <= expected * 2, name

    def test_crm_dirt_is_counted_as_it_is(self, sample: Sample) -> None:
        injected, records = sample.landed.injected[CRM], sample.crm
        assert injected["malformed_json"] == len(sample.crm_lines) - len(records)
        assert injected["missing_customer_id"] == sum(not (record["customer_id"] or "").strip() for record in records)
        assert injected["padded_customer_id"] == sum(
            (record["customer_id"] or "").startswith("  C") for record in records
        )
        assert injected["null_updated_at"] == sum(record["updated_at"] is None for record in records)
        assert injected["null_address"] == sum(record["address"] is None for record in records)
        assert injected["missing_key"] == sum("phone" not in record for record in records)
        assert injected["consent_as_text"] == sum(isinstance(record["marketing_consent"], str) for record in records)
        known = {country.code for country in COUNTRIES}
        assert injected["unknown_country"] == sum(
            (record["address"] or {"country": "GB"})["country"] not in known for record in records
        )

    def test_order_dirt_is_counted_as_it_is(self, sample: Sample) -> None:
        injected, orders = sample.landed.injected[ORDERS], sample.orders
        quantities = Counter(order["quantity"] for order in orders)
        assert injected["zero_quantity"] == quantities["0"]
        assert injected["negative_quantity"] == sum(
            count for text, count in quantities.items() if text.startswith("-") and text[1:].isdigit()
        )
        assert injected["broken_quantity"] == sum(
            count for text, count in quantities.items() if not text.lstrip("-").isdigit()
        )
        assert injected["zero_unit_price"] == sum(order["unit_price"].startswith("0.") for order in orders)
        assert injected["unknown_status"] == sum(order["status"] in ("on_hold?", "???", "3") for order in orders)
        assert injected["stray_quote"] == sum(order["product_name"].endswith(' 12" wide') for order in orders)
        assert injected["text_after_quote"] == sum(order["product_name"].endswith(" (new)") for order in orders)
        assert injected["missing_fields"] == sum(len(fields) == 7 for fields in sample.order_fields)
        assert injected["extra_fields"] == sum(fields[-2:] == ["surplus", "1"] for fields in sample.order_fields)
        blank = [fields for fields in sample.order_fields if not fields[2].strip()]
        assert injected["blank_customer_id"] == len(blank)

    def test_the_reader_of_landing_files_finds_the_same(self, sample: Sample) -> None:
        unreadable: list[LandingFile] = []
        rows: Counter[str] = Counter()
        corrupt: Counter[str] = Counter()
        sources = ((CRM, crm_customers), (ORDERS, ecommerce_orders), (RATES, exchange_rates), (WEB, web_events))
        for folder, dataset in sources:
            assert isinstance(dataset.flow, AutoLoader)
            files = list_files(sample.landing, dataset.flow.path)
            now = datetime(2026, 1, 1, tzinfo=UTC)
            for batch in read_files(sample.landing, files, dataset, now, lambda file, _: unreadable.append(file)):
                rows[folder] += batch.num_rows
                corrupt[folder] += batch.num_rows - batch.column("_corrupt_record").null_count
        assert rows == sample.landed.records - Counter({TICKETS: sample.landed.records[TICKETS]})
        assert corrupt[CRM] == sample.landed.injected[CRM]["malformed_json"]
        assert corrupt[ORDERS] == sample.landed.injected[ORDERS]["text_after_quote"]
        assert corrupt[RATES] == corrupt[WEB] == 0
        assert [file.path for file in unreadable] == [name for name in sample.landed.files if "-retry." in name]
        assert len(unreadable) == 3


class TestPeople:
    def test_have_addresses_only_at_reserved_domains(self, sample: Sample) -> None:
        addresses = {(record["email"] or "@example.com").strip().lower() for record in sample.crm}
        domains = {address.partition("@")[2] for address in addresses} - {""}
        assert domains == {"example.com", "example.org", "example.net"}

    def test_have_numbers_valid_in_their_country(self, sample: Sample) -> None:
        spelled = {
            (record["phone"], record["address"]["country"])
            for record in sample.crm
            if record.get("phone") and record["address"] and record["address"]["country"] in {c.code for c in COUNTRIES}
        }
        broken = {"n/a", "unknown", "12", "see notes", "+00 000"}
        invalid = Counter(
            country
            for phone, country in spelled
            if phone not in broken and not phonenumbers.is_valid_number(phonenumbers.parse(phone, country))
        )
        assert invalid == Counter()
        assert {country for _, country in spelled} == {country.code for country in COUNTRIES}

    def test_are_not_all_written_in_ascii(self, sample: Sample) -> None:
        assert {"李", "Müller", "O'Connor", "Łukasz", "Van der Berg"} <= {
            name for record in sample.crm for name in (record["first_name"], record["last_name"])
        }

    def test_change_over_time(self, sample: Sample) -> None:
        tiers: dict[str, set[str]] = {}
        consents: dict[str, set[Any]] = {}
        for record in sample.crm:
            tiers.setdefault(record["customer_id"], set()).add(record["loyalty_tier"])
            consents.setdefault(record["customer_id"], set()).add(record["marketing_consent"])
        assert {tier for found in tiers.values() for tier in found} == {"bronze", "silver", "gold", "platinum"}
        assert sum(len(found) > 1 for found in tiers.values()) > 500
        assert sum(found >= {True, False} for found in consents.values()) > 300

    def test_some_are_known_to_one_source_only(self, sample: Sample) -> None:
        in_crm = {(record["customer_id"] or "").strip() for record in sample.crm}
        buying = {order["customer_id"].strip() for order in sample.orders}
        assert len(buying - in_crm) > 10
        assert len(in_crm - buying) > 100


class TestOrders:
    def test_are_corrected_later(self, sample: Sample) -> None:
        statuses: dict[tuple[str, str], list[str]] = {}
        for order in sample.orders:
            statuses.setdefault((order["order_id"], order["line_number"]), []).append(order["status"].lower())
        changes = Counter((found[0], found[-1]) for found in statuses.values() if found[0] != found[-1])
        assert changes["pending", "completed"] > 1000
        assert changes["pending", "cancelled"] > 100
        assert changes["completed", "refunded"] > 100

    def test_arrive_after_they_are_placed(self, sample: Sample) -> None:
        for name in sample.landed.files:
            if not name.startswith(ORDERS) or not (sample.landing / name).stat().st_size:
                continue
            last = Path(name).stem[-10:]
            with (sample.landing / name).open(encoding="utf-8-sig", newline="") as file:
                placed = {fields[3][:10] for fields in list(csv.reader(file))[1:] if fields[3].startswith("202")}
            assert max(placed - {"2025-02-30"}) <= date.fromisoformat(last).isoformat() or placed <= {last}, name

    def test_hold_no_sale_before_the_sign_up(self, sample: Sample) -> None:
        signed_up = {record["customer_id"]: record["created_at"][:10] for record in sample.crm if record["customer_id"]}
        early = [
            order
            for order in sample.orders
            if order["order_ts"][:4].isdigit() and order["order_ts"] != "2025-02-30 10:00:00"
            and order["order_ts"][:10] < signed_up.get(order["customer_id"], "")
            and not order["order_ts"].startswith(("0000", "99999"))
        ]  # fmt: skip
        assert early == []

    def test_have_a_currency_for_each_of_which_there_is_a_rate_at_last(self, sample: Sample) -> None:
        (rates,) = (sample.landing / RATES).iterdir()
        quoted = {row["currency"] for row in csv.DictReader(rates.read_text().splitlines())}
        assert quoted | {"GBP"} == {order["currency"] for order in sample.orders}
