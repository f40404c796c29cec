"""Telephone numbers of silver.customers_history against the phonenumbers library, for every country it knows.

The query knows calling codes, national prefixes and lengths, not the library's patterns of digits. Where that shows, it is
written down here: `KNOWN` says for which spelling, where, and why.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import phonenumbers
import pyarrow as pa
import pytest
from phonenumbers import PhoneMetadata, PhoneNumber, PhoneNumberFormat, PhoneNumberType, ValidationResult

from lakehouse.catalog import statement_of
from lakehouse.dataset import Seed
from lakehouse.embedded.engine import EmbeddedEngine
from lakehouse.properties import arrow_schema
from pipelines.catalog import load_catalog

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
UPDATED = datetime(2026, 1, 1, tzinfo=UTC)

KNOWN = {
    "national": {
        "AR": "mobile numbers are dialled with a 15 inside, which E.164 replaces by a 9 in front: NULL",
        "BY": "the prefix is 8 0, of which the metadata names the 8 only",
    },
    "national with extension": {"AR": "as above", "BY": "as above"},
    "prefix, digits": {"CO": "the library keeps the 0 before mobile numbers, which are dialled without it today"},
    "prefix in brackets": {"CO": "as above"},
    "one digit short": dict.fromkeys(
        ("IM", "JE", "NF"), "a territory has its own lengths or area code; the library takes those of the main country"
    ),
    "one digit long": dict.fromkeys(
        ("BQ", "GA", "KZ", "TA"), "as above, or an old form that the library completes (GA): NULL"
    ),
    "international, one digit short": {"NF": "the library adds the area code"},
    "international, one digit long": {"GA": "an old form that the library completes"},
}


@dataclass(frozen=True)
class Written:
    """A number as somebody wrote it, in the country of their address."""

    spelling: str
    country: str
    text: str
    number: PhoneNumber


def numbers(region: str, chance: random.Random) -> Iterator[PhoneNumber]:
    for kind in (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE):
        example = phonenumbers.example_number_for_type(region, kind)
        if example is None:
            continue
        yield example
        digits = str(example.national_number)
        for _ in range(2):
            changed = digits[:-3] + "".join(chance.choices("0123456789", k=3))
            yield PhoneNumber(
                country_code=example.country_code,
                national_number=int(changed),
                italian_leading_zero=example.italian_leading_zero,
                number_of_leading_zeros=example.number_of_leading_zeros,
            )


def spellings(region: str, number: PhoneNumber) -> Iterator[Written]:
    def written(spelling: str, text: str, country: str = region) -> Written:
        return Written(spelling, country, text, number)

    national = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    spaced = phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
    digits = phonenumbers.national_significant_number(number)
    prefix = PhoneMetadata.metadata_for_region(region).national_prefix or ""
    yield written("national", national)
    yield written("national with extension", f"{national} x12")
    yield written("digits", digits)
    yield written("prefix, digits", prefix + digits)
    yield written("prefix in brackets", f"+{number.country_code} ({prefix}) {digits}")
    yield written("E.164", phonenumbers.format_number(number, PhoneNumberFormat.E164))
    yield written("international", spaced)
    yield written("international with extension", f"{spaced} ext. 12")
    yield written("international, elsewhere", spaced, "FR" if region == "GB" else "GB")
    yield written("international, no country", spaced, "")
    yield written("URI", phonenumbers.format_number(number, PhoneNumberFormat.RFC3966))
    yield written("one digit short", digits[:-1])
    yield written("one digit long", f"{digits}7")
    yield written("international, one digit short", spaced[:-1])
    yield written("international, one digit long", f"{spaced}7")


def by_library(written: Written) -> str | None:
    """E.164 if the library finds the number possible."""
    try:
        number = phonenumbers.parse(written.text, written.country or None)
    except phonenumbers.NumberParseException:
        return None
    number.extension = None
    possible = phonenumbers.is_possible_number_with_reason(number) == ValidationResult.IS_POSSIBLE
    return phonenumbers.format_number(number, PhoneNumberFormat.E164) if possible else None


def by_query(home: Path, texts: list[tuple[str | None, str | None]]) -> list[str | None]:
    """What silver.customers_history makes of (number, country), in one statement."""
    catalog = load_catalog()
    history = catalog.get("silver.customers_history")
    seed = catalog.get("reference.calling_codes").flow
    assert isinstance(seed, Seed)
    rows = [
        {"customer_id": str(position), "phone": text, "address": {"country": country}, "updated_at": UPDATED}
        for position, (text, country) in enumerate(texts)
    ]
    views = {name: name.replace(".", "__") for name in catalog.inputs(history)}
    engine = EmbeddedEngine(home / "lake", scratch=home / "scratch", memory_limit_mb=512)
    with engine.session(date(2026, 2, 1)) as session:
        session.load(
            views["bronze.crm_customers"],
            pa.Table.from_pylist(rows, schema=arrow_schema(catalog.get("bronze.crm_customers"))),
        )
        session.load(views["reference.calling_codes"], seed.rows())
        found = session.fetch(f"SELECT customer_id, phone FROM ({statement_of(history).bound(views)}) AS q").to_pylist()
    phones = {int(row["customer_id"]): row["phone"] for row in found}
    assert len(found) == len(phones) == len(texts)
    return [phones[position] for position in range(len(texts))]


def test_every_spelling_of_every_country_is_what_the_library_makes_of_it(tmp_path: Path) -> None:
    chance = random.Random(360)
    cases = [w for region in REGIONS for number in numbers(region, chance) for w in spellings(region, number)]
    assert len(cases) > 15_000
    wrong = [
        (case.spelling, case.country, case.text, phone, expected)
        for case, phone in zip(cases, by_query(tmp_path, [(c.text, c.country or None) for c in cases]), strict=True)
        if phone != (expected := by_library(case)) and case.country not in KNOWN.get(case.spelling, {})
    ]
    assert wrong == []
    assert sum(by_library(case) is None for case in cases) > 500  # numbers that are none are among them


def test_the_00_of_most_countries_is_read_everywhere(tmp_path: Path) -> None:
    """The library reads it only where it is dialled so, and elsewhere makes nothing of the number, or another one."""
    chance = random.Random(361)
    cases = [
        (f"00{text[1:]}", region, text)
        for region in REGIONS
        for number in numbers(region, chance)
        for text in [phonenumbers.format_number(number, PhoneNumberFormat.E164)]
    ]
    assert by_query(tmp_path, [case[:2] for case in cases]) == [text for *_, text in cases]


def test_a_calling_code_that_nothing_marks_is_read_where_no_national_number_is_so_long(tmp_path: Path) -> None:
    """Where a national number may be so long it is read as one: the library's patterns tell more than lengths."""
    chance = random.Random(362)
    cases = []
    for region in REGIONS:
        lengths = PhoneMetadata.metadata_for_region(region).general_desc.possible_length
        for number in numbers(region, chance):
            text = phonenumbers.format_number(number, PhoneNumberFormat.E164)
            national = f"+{number.country_code}{text[1:]}"
            prefix = PhoneMetadata.metadata_for_region(region).national_prefix
            if len(text) - 1 not in lengths and not (prefix and text[1:].startswith(prefix)):
                cases.append((text[1:], region, text))
            elif not prefix:
                cases.append((text[1:], region, national))
    assert {region for text, region, read in cases if read == f"+{text}"} >= {"GB", "FR", "ES", "PL", "SE"}
    assert by_query(tmp_path, [case[:2] for case in cases]) == [read for *_, read in cases]


@pytest.mark.parametrize(
    ("text", "country", "expected"),
    [
        (None, "GB", None),
        ("", "GB", None),
        ("unknown", "GB", None),
        ("07700 900123", None, None),  # no country to read it in
        ("07700 900123", "XX", None),
        ("07700 900123", " gb ", "+447700900123"),
        ("(07700) 900-123", "GB", "+447700900123"),
        ("+44 (0)7700 900123", None, "+447700900123"),
        ("447700900123", "GB", "+447700900123"),
        ("07700 900123; mornings", "GB", "+447700900123"),
        ("07700 900123 / 020 7946 0958", "GB", None),
        ("+999 123456", "GB", None),
        ("+", "GB", None),
        ("1-800-FLOWERS", "US", None),  # the library reads letters as digits
        ("+800 1234 5678", "GB", None),  # numbers of no country
        ("06 1234 5678", "IT", "+390612345678"),  # Italy keeps its leading zero
        ("8 (912) 345-67-89", "RU", "+79123456789"),
        ("800 123 45 67", "RU", "+78001234567"),  # begins with the prefix, and is none
    ],
)
def test_by_hand(text: str | None, country: str | None, expected: str | None, tmp_path: Path) -> None:
    assert by_query(tmp_path, [(text, country)]) == [expected]
