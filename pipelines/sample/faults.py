"""The dirt of the sample: which fault a record has, drawn from small shares, and how many of each were written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from pipelines.sample.draws import Floats, Mask

# At most one of these faults a record, as shares of all records.
CRM_FAULTS = {
    "malformed_json": 0.001,  # a line cut off, or none of JSON
    "missing_customer_id": 0.001,  # null or blank
    "padded_customer_id": 0.002,  # spaces around it
    "null_updated_at": 0.002,
    "broken_updated_at": 0.0005,
    "broken_date_of_birth": 0.003,
    "broken_phone": 0.003,
    "broken_email": 0.002,
    "unknown_country": 0.002,  # not an ISO 3166 code
    "null_address": 0.002,
    "missing_key": 0.003,  # no phone at all
    "consent_as_text": 0.002,  # "yes" for true
}
ORDER_FAULTS = {
    "missing_fields": 0.0005,  # a line that ends early
    "extra_fields": 0.0005,  # a line with more fields than its header
    "stray_quote": 0.0003,  # a quotation mark inside an unquoted field
    "text_after_quote": 0.0003,  # a quoted field that goes on after its closing quotation mark
    "broken_quantity": 0.0008,
    "broken_unit_price": 0.0015,
    "broken_order_ts": 0.0008,
    "unknown_status": 0.001,
    "negative_quantity": 0.005,
    "zero_quantity": 0.0008,
    "zero_unit_price": 0.0025,
    "negative_unit_price": 0.0003,
}
WEB_FAULTS = {
    "missing_event_id": 0.0004,
    "missing_visitor": 0.0006,  # neither customer nor device
    "missing_event_ts": 0.0004,
    "broken_event_ts": 0.0006,  # a word in a file whose instants are text, else a time beyond the year 9999
    "missing_page": 0.002,
}
# Independent of the above, and of each other.
CRM_SHARES = {
    "late": 0.02,  # delivered days after it was made, so perhaps behind a newer version
    "exact_duplicate": 0.004,
    "respelled_duplicate": 0.004,  # the same version with other case or spaces in its e-mail
    "offset_timestamp": 0.03,
    "date_only_timestamp": 0.01,
}
ORDER_SHARES = {
    "late": 0.015,  # of the orders
    "blank_customer_id": 0.012,  # of the orders: guests
    "padded_customer_id": 0.004,  # of the orders
    "offset_timestamp": 0.03,  # of the orders
    "date_only_timestamp": 0.004,  # of the orders
    "exact_duplicate": 0.004,
}

WEB_SHARES = {
    "late": 0.03,  # of the visits: some of their events come days later
    "late_events": 0.4,  # of the events of such a visit
    "sent_again": 0.01,  # of the visits: the next day once more
    "exact_duplicate": 0.002,
}


class Faults:
    """The fault of each of some records, from one uniform number a record."""

    def __init__(self, shares: Mapping[str, float], uniform: Floats) -> None:
        self._names = tuple(shares)
        self._codes = np.searchsorted(np.cumsum(tuple(shares.values())), uniform, side="right")

    def of(self, name: str) -> Mask:
        """Which records have the fault."""
        return np.asarray(self._codes == self._names.index(name))

    def counts(self) -> Counter[str]:
        """How many records have each fault; a fault nobody has is counted as 0."""
        found = np.bincount(self._codes, minlength=len(self._names))
        return Counter({name: int(count) for name, count in zip(self._names, found, strict=False)})
