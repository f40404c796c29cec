from typing import Any

import phonenumbers
import pyarrow as pa

from lakehouse.dataset import Column, Dataset, NoSubject, Seed
from lakehouse.properties import arrow_schema


def _rows() -> pa.Table:
    """One row per region, from the metadata of the phonenumbers library."""
    return pa.Table.from_pylist(
        [_row(region) for region in sorted(phonenumbers.SUPPORTED_REGIONS)], schema=arrow_schema(dataset)
    )


def _row(region: str) -> dict[str, Any]:
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if metadata is None or metadata.country_code is None or metadata.general_desc is None:
        raise LookupError(f"phonenumbers supports {region} without metadata")
    return {
        "country": region,
        "calling_code": str(metadata.country_code),
        "is_main_country": phonenumbers.region_code_for_country_code(metadata.country_code) == region,
        "national_prefix": metadata.national_prefix,
        "possible_lengths": "," + ",".join(map(str, metadata.general_desc.possible_length)) + ",",
    }


dataset = Dataset(
    name="reference.calling_codes",
    comment="How telephone numbers are built, by country (ITU-T E.164; from the phonenumbers library).",
    columns=(
        Column("country", "STRING", "ISO 3166-1 alpha-2 code.", nullable=False),
        Column("calling_code", "STRING", "Country calling code, digits only.", nullable=False),
        Column(
            "is_main_country",
            "BOOLEAN",
            "Whether the country is the one its calling code stands for first.",
            nullable=False,
        ),
        Column(
            "national_prefix",
            "STRING",
            "Digits dialled before a national number, dropped in E.164; NULL if there are none.",
        ),
        Column(
            "possible_lengths",
            "STRING",
            "Lengths a national number may have, as ,9,10, so that one is found as text.",
            nullable=False,
        ),
    ),
    keys=("country",),
    flow=Seed(_rows),
    subject=NoSubject("Numbering plans; no person."),
)
