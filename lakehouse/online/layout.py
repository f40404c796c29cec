r"""How LMDB keys and values are laid out.

Keys      ``\0 view`` the header; ``view \0 key`` a profile; ``view \1 sha256(key)`` where that would pass LMDB's 511 bytes.
Values    u16 length of the class names, the class names (separated by spaces), a u32 length per segment, the segments.
          Every value names its classes: a position whose meaning changed could hand out what is personal as public.
"""

from __future__ import annotations

import hashlib
import re
import struct
from datetime import date, datetime
from functools import lru_cache

import orjson

from lakehouse.online.store import DamagedProfile, Header, InvalidViewOrKey, ProfileSegments

MAX_KEY = 511
_VIEW = re.compile(r"[a-z][a-z0-9_]{0,62}")
_CLASS = re.compile(r"[a-z][a-z0-9_.]*")
_SIZE = struct.Struct("<H")


def header_key(view: str) -> bytes:
    """LMDB key of a view's header."""
    return b"\0" + _view(view)


def profile_key(view: str, key: str) -> bytes:
    """LMDB key of a profile; raises InvalidViewOrKey for an empty key or one that is not Unicode text."""
    try:
        name = key.encode()
    except UnicodeEncodeError:
        raise InvalidViewOrKey("a key must be Unicode text without lone surrogates") from None
    if not name:
        raise InvalidViewOrKey("a key must not be empty")
    prefix = _view(view)
    whole = prefix + b"\0" + name
    return whole if len(whole) <= MAX_KEY else prefix + b"\1" + hashlib.sha256(name).digest()


def profile_range(view: str) -> tuple[bytes, bytes]:
    """First possible LMDB key of a view's profiles, and the first beyond them."""
    return _view(view) + b"\0", _view(view) + b"\2"


def encode_profile(segments: ProfileSegments) -> bytes:
    """A profile as it is stored; segments in the order given."""
    return b"".join((*_envelope(tuple(segments), tuple(map(len, segments.values()))), *segments.values()))


def decode_profile(value: bytes) -> tuple[tuple[str, ...], tuple[bytes, ...]]:
    """Classes and segments of a stored profile; raises DamagedProfile."""
    try:
        start = 2 + _SIZE.unpack_from(value)[0]
        classes, lengths = _layout(value[2:start])
        sizes = lengths.unpack_from(value, start)
    except struct.error:
        raise DamagedProfile("a stored profile is cut short; publish the view whole") from None
    start += lengths.size
    segments = []
    for size in sizes:
        segments.append(value[start : start + size])
        start += size
    if start != len(value):
        raise DamagedProfile("a stored profile does not have the length it states; publish the view whole")
    return classes, tuple(segments)


def encode_header(header: Header) -> bytes:
    """A header as it is stored: JSON."""
    return orjson.dumps(
        {
            "table": header.table,
            "version": header.version,
            "as_of": header.as_of.isoformat(),
            "published_at": header.published_at.isoformat(),
            "fields": {cls: list(names) for cls, names in header.fields.items()},
            "count": header.count,
        }
    )


@lru_cache(maxsize=64)
def decode_header(value: bytes) -> Header:
    """The header of these bytes; the same object for the same bytes, so that readers may cache by it."""
    stored = orjson.loads(value)
    return Header(
        table=stored["table"],
        version=stored["version"],
        as_of=date.fromisoformat(stored["as_of"]),
        published_at=datetime.fromisoformat(stored["published_at"]),
        fields={cls: tuple(names) for cls, names in stored["fields"].items()},
        count=stored["count"],
    )


@lru_cache(maxsize=256)
def _view(view: str) -> bytes:
    if not _VIEW.fullmatch(view):
        raise InvalidViewOrKey("a view is named in lower-case letters, digits and underscores, at most 63")
    return view.encode()


def _envelope(classes: tuple[str, ...], lengths: tuple[int, ...]) -> tuple[bytes, bytes]:
    names, sizes = _encoded_classes(classes)
    return names, sizes.pack(*lengths)


@lru_cache(maxsize=64)
def _encoded_classes(classes: tuple[str, ...]) -> tuple[bytes, struct.Struct]:
    for cls in classes:
        if not _CLASS.fullmatch(cls):
            raise InvalidViewOrKey(f"{cls!r} is not the name of a class")
    names = " ".join(classes).encode()
    return _SIZE.pack(len(names)) + names, struct.Struct(f"<{len(classes)}I")


@lru_cache(maxsize=64)
def _layout(names: bytes) -> tuple[tuple[str, ...], struct.Struct]:
    classes = tuple(names.decode().split())
    return classes, struct.Struct(f"<{len(classes)}I")
