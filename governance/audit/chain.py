"""How rows hold each other: the canonical form of a row, its digest over the one before, and anchors over all heads.

Everything is keyed: without the key ring a row can neither be changed nor added so that it fits. A writer's key is derived from
the ring's ``audit`` key and from who the writer says it is, so that a chain belongs to its writer row.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from governance.audit.event import Event
from governance.audit.models import NAME, TEXT
from kit.keyring import KeyRing, Mac, Purpose

FORMAT = 1
"""Version of the canonical forms; it stands in each of them."""

_SIGNED = (
    "writer",
    "seq",
    "at",
    "service",
    "action",
    "principal",
    "status",
    "error",
    "request_id",
    "customer",
    "source",
    "params",
    "anchor",
)
_signed, _AT = itemgetter(*_SIGNED), _SIGNED.index("at")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HASH_LENGTH = 32


class Identity(NamedTuple):
    """Who a writer is: an id of its own, what its process is called, since when."""

    id: str
    name: str
    started_at: datetime


class WriterKey(NamedTuple):
    """The key of one chain, and the id of the ring's key that it comes from."""

    key_id: str
    secret: bytes


class Head(NamedTuple):
    """The newest row of a chain at some moment."""

    writer: int
    seq: int
    digest: bytes


def writer_key(ring: KeyRing, who: Identity, key_id: str | None = None) -> WriterKey | None:
    """The key of a writer's chain, under the ring's current key or the one named; None where the ring has it no more."""
    data = _canonical([FORMAT, who.id, who.name, micros(who.started_at)])
    mac = _mac(ring, data, "audit.writer", key_id)
    return None if mac is None else WriterKey(mac.key_id, mac.digest)


def digest(key: WriterKey, previous: bytes, row: Mapping[str, Any]) -> bytes:
    """The digest of a row after the one whose digest is ``previous`` (``b""`` for the first)."""
    values = list(_signed(row))
    values[_AT] = micros(values[_AT])
    return hmac.digest(key.secret, previous + _canonical([FORMAT, *values]), "sha256")


def anchor_mac(
    ring: KeyRing, number: int, at: datetime, heads: Iterable[Head], previous: bytes, key_id: str | None = None
) -> Mac | None:
    """The keyed hash of an anchor, under the ring's current key or the one named; None where the ring has it no more."""
    listed = [[head.writer, head.seq, head.digest.hex()] for head in sorted(heads)]
    data = _canonical([FORMAT, number, micros(at), previous.hex(), listed])
    return _mac(ring, data, "audit.anchor", key_id)


def sweep_mac(ring: KeyRing, who: Identity, head: Head, key_id: str | None = None) -> Mac | None:
    """The keyed hash of rows of a chain having been swept up to a head, under the ring's current key or the one named."""
    data = _canonical([FORMAT, who.id, head.writer, head.seq, head.digest.hex()])
    return _mac(ring, data, "audit.sweep", key_id)


class Rows:
    """Makes rows of events, before they have a place in a chain. Good for one batch: it follows no rotation of the key."""

    def __init__(self, ring: KeyRing) -> None:
        self._customer = ring.hasher(Purpose.AUDIT, context="audit.customer")
        self._source = ring.hasher(Purpose.AUDIT, context="audit.source")

    def of(self, at: datetime, event: Event) -> dict[str, Any]:
        """The row of an event that happened at an instant."""
        customer, source = event.customer, event.source
        return {
            "at": at,
            "service": _text(event.service, NAME),
            "action": _text(event.action, TEXT),
            "principal": _text(event.principal, TEXT),
            "status": event.status,
            "error": _text(event.error, TEXT),
            "request_id": _text(event.request_id, NAME),
            "customer": None if customer is None else _short(self._customer(_bytes(customer))),
            "source": None if source is None else _short(self._source(_bytes(source))),
            "params": canonical_params(event.params).replace("\\u0000", "\\ufffd"),
        }


def keyed_hashes(ring: KeyRing, value: str, what: str) -> tuple[str, ...]:
    """All that may have been kept of a value, over the rotations of the key."""
    return tuple(_short(mac.digest) for mac in ring.macs(Purpose.AUDIT, _bytes(value), context=f"audit.{what}"))


def canonical_params(params: Mapping[str, str]) -> str:
    """JSON with sorted keys, without spaces."""
    return orjson.dumps(dict(params), option=orjson.OPT_SORT_KEYS).decode() if params else "{}"


def micros(at: datetime) -> int:
    """Microseconds since 1970, exactly."""
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _text(value: str | None, length: int) -> str | None:
    """As every database takes it: no NUL, no lone surrogate, not too long."""
    if value is None or (value.isascii() and len(value) <= length and "\0" not in value):
        return value
    return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")[:length]


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "replace")


def _short(digest_of_value: bytes) -> str:
    return digest_of_value.hex()[:_HASH_LENGTH]


def _canonical(values: list[Any]) -> bytes:
    return orjson.dumps(values)


def _mac(ring: KeyRing, data: bytes, context: str, key_id: str | None) -> Mac | None:
    if key_id is None:
        return ring.mac(Purpose.AUDIT, data, context=context)
    return next((mac for mac in ring.macs(Purpose.AUDIT, data, context=context) if mac.key_id == key_id), None)
