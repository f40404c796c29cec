"""Which columns look personal: a declaration whose column name says so must carry a class."""

from __future__ import annotations

import re

PII_CLASSES = (
    "pii.email",
    "pii.name",
    "pii.phone",
    "pii.birth_date",
    "pii.address",
    "pii.free_text",
    "pii.raw",
    "pii.device",
    "pii.url",
)
"""Classes of personal values. ``pii.raw`` marks text that may hold any of them (a line that did not parse, rescued fields)."""

_LOOKS_PERSONAL = re.compile(
    r"(^|_)(e?mails?|phones?|mobile|first_name|last_name|(?<!table_)full_name|surname|birth|dob|address(es)?|street|postal_code|zip|iban|ssn|passport"
    r"|ip|device_id|url|referr?er|body|subject|corrupt_record|rescued_data)(_|$)",
    re.IGNORECASE,
)


def looks_personal(column: str) -> bool:
    """Whether a column of this name is taken for personal data until its declaration says which kind it is."""
    return _LOOKS_PERSONAL.search(column) is not None
