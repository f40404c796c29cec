"""Pages of a list: keyset pagination with opaque cursors.

A cursor says after which row the next page begins, so that rows that come or go meanwhile neither repeat nor hide others. It is signed
with the key ring: one that was made up, changed, or made for another list (or for other filters) is refused. It is not encrypted:
a position never holds personal data.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar

import orjson
from fastapi import Query
from pydantic import BaseModel, Field

from kit.errors import Invalid
from kit.keyring import KeyRing, Mac, Purpose

T = TypeVar("T")
Row = TypeVar("Row")

_DIGEST_BYTES = 16


class InvalidCursor(Invalid):
    """Not a cursor of this list."""

    code = "api.invalid_cursor"

    def __init__(self) -> None:
        super().__init__("this is no cursor of this list with these filters; leave it out to begin at the first page")


class Page(BaseModel, Generic[T]):
    """One page of a list. A list's own page derives from ``Page[Item]``, which names it in the OpenAPI document."""

    items: list[T] = Field(description="The rows of this page.")
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; `null`: this is the last one.")


Limit = Annotated[int, Query(ge=1, le=200, description="Rows a page has at most.")]
Cursor = Annotated[
    str | None, Query(max_length=1000, description="The `next_cursor` of the page before; left out: the first page.")
]


class Cursors:
    """Makes and reads cursors. ``of`` names the list with its filters, as in ``"runs?state=failed"``."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def seal(self, position: Sequence[str | int], *, of: str) -> str:
        """The cursor of a position: the sort key of the last row that was given out."""
        data = orjson.dumps(list(position))
        mac = self._ring.mac(Purpose.CURSORS, data, context=of)
        raw = mac.digest[:_DIGEST_BYTES] + mac.key_id.encode() + b"\0" + data
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    def open(self, cursor: str, *, of: str) -> list[str | int]:
        """The position of a cursor that ``seal`` has made for the same list; raises InvalidCursor."""
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            key_id, _, data = raw[_DIGEST_BYTES:].partition(b"\0")
            mac = Mac(key_id.decode("ascii"), raw[:_DIGEST_BYTES])
        except ValueError:
            raise InvalidCursor from None
        if not self._ring.verify_mac(Purpose.CURSORS, data, mac, context=of, length=_DIGEST_BYTES):
            raise InvalidCursor
        position: list[str | int] = orjson.loads(data)
        return position

    def after(self, cursor: str | None, *, of: str) -> str:
        """The key after which a page begins, in a list that is sorted by one text: empty for the first page."""
        return str(self.open(cursor, of=of)[0]) if cursor is not None else ""

    def page(
        self, rows: Sequence[Row], limit: int, position: Callable[[Row], Sequence[str | int]], *, of: str
    ) -> tuple[Sequence[Row], str | None]:
        """The rows of a page and the next page's cursor, from up to ``limit + 1`` rows that were read."""
        shown = rows[:limit]
        return shown, self.seal(position(shown[-1]), of=of) if len(rows) > limit else None
