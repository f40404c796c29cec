from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa

from lakehouse.dataset import Column, Dataset, NoSubject, Seed
from lakehouse.properties import arrow_schema

REPORTING_CURRENCY = "GBP"


def _rows() -> pa.Table:
    """The currency in which amounts of several currencies are added up; worth one of itself at all times."""
    always = {"currency": REPORTING_CURRENCY, "valid_from": datetime(1, 1, 1, tzinfo=UTC), "rate": Decimal(1)}
    return pa.Table.from_pylist([always], schema=arrow_schema(dataset))


dataset = Dataset(
    name="reference.reporting_currency",
    comment="The currency in which amounts are reported. Rates of the others are landed files.",
    columns=(
        Column("currency", "STRING", "ISO 4217 code.", nullable=False),
        Column("valid_from", "TIMESTAMP", "From when the rate holds.", nullable=False),
        Column("rate", "DECIMAL(16,8)", "Units of the reporting currency for one unit.", nullable=False),
    ),
    keys=("currency",),
    flow=Seed(_rows),
    subject=NoSubject("A setting; no person."),
)
