"""The online store port: profiles as pre-encoded JSON, read by key in microseconds.

A *view* ("customers") holds one profile per key. A profile is cut into *segments*, one per class a caller may or may not
read: ``public`` and one for each ``pii.*`` class. A segment is the inside of a JSON object (``"a":1,"b":null``), so a reader joins
the segments its caller may see and never decodes one. What is the same for every profile (date, table version) stands
in the view's header and is joined in at read: a new run rewrites only the profiles that differ.

`lakehouse.online.lmdb_store` implements it; every implementation passes tests/contracts/test_online_store.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from kit.errors import Conflict, Fault, Invalid, Unavailable

ProfileSegments = Mapping[str, bytes]
"""Class → members of a JSON object in UTF-8, without the braces."""


class HeaderMoved(Conflict):
    """The view is not at the version these changes were computed against; read its header and compute them again."""

    code = "online.header_moved"


class FieldsChanged(Conflict):
    """The profile's fields or their classes have changed since the view was written: publish it whole, with ``replace``."""

    code = "online.fields_changed"


class OnlineStoreFull(Unavailable):
    """The store has no room left; the message names the setting to raise. Nothing was written."""

    code = "online.full"


class OnlineStoreUnavailable(Unavailable):
    """The store cannot be opened or read at present."""

    code = "online.unavailable"


class InvalidViewOrKey(Invalid):
    """A view or key the store cannot hold."""

    code = "online.invalid_key"


class DamagedProfile(Fault):
    """A stored value that this version cannot read; publish the view whole."""

    code = "online.damaged_profile"


@dataclass(frozen=True, slots=True)
class Header:
    """What all profiles of a view have in common.

    ``version`` is the version of ``table`` that the profiles were read at; ``fields`` names each class's fields in order;
    ``count`` is kept by the store (what a caller passes is ignored).
    """

    table: str
    version: int
    as_of: date
    published_at: datetime
    fields: Mapping[str, tuple[str, ...]]
    count: int = 0

    def says_the_same(self, other: Header) -> bool:
        """Whether both differ in nothing but when they were published and what the store counts."""
        return (self.table, self.version, self.as_of, dict(self.fields)) == (
            other.table,
            other.version,
            other.as_of,
            dict(other.fields),
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile with the header it belongs to, both read at one instant. ``segments[i]`` is of class ``classes[i]``."""

    header: Header
    classes: tuple[str, ...]
    segments: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """How many profiles were written, deleted, and found to be there already; ``changed`` is False if nothing was stored at all."""

    written: int
    deleted: int
    unchanged: int
    changed: bool


class OnlineStore(Protocol):
    """Profiles by (view, key). Reads never wait for a writer; one writer per view at a time.

    Guarantees: a header at version v is seen only together with all changes up to v, whatever dies and when; changes land
    only on the version they were computed against; profiles equal to what is stored are not written.
    """

    def header(self, view: str) -> Header | None:
        """The view's header; None if it was never published. Raises OnlineStoreUnavailable."""

    def get(self, view: str, key: str) -> Profile | None:
        """One profile; None if there is none. Does no I/O on a warm store. Raises OnlineStoreUnavailable."""

    def apply(
        self,
        view: str,
        upserts: Iterable[tuple[str, ProfileSegments]],
        deletes: Iterable[str],
        header: Header,
        *,
        after: int | None,
    ) -> Applied:
        """Write changes that lead from version ``after`` (None: never published) to ``header.version``, and the header; a key in
        both upserts and deletes is deleted.

        Raises HeaderMoved, FieldsChanged, OnlineStoreFull; then nothing was written. Applying the same again where ``after`` is the
        new version stores nothing, not even the header.
        """

    def replace(
        self, view: str, profiles: Iterable[tuple[str, ProfileSegments]], header: Header, *, after: int | None
    ) -> Applied:
        """Make these profiles, and no others, the view's: for the first publication, a lost feed, or changed fields."""
