"""Keys of the key ring, the document that holds them, and the file that holds the document.

``{"version": 1, "keys": [{"id", "purpose", "secret", "created_at"}, ...]}``, oldest first.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from kit import clock
from kit.errors import Fault

_VERSION = 1
_SECRET_BYTES = 32
_PRIVATE = 0o600


class Purpose(StrEnum):
    """What a key is for. A key serves one purpose only."""

    AUDIT = "audit"
    SUPPRESSION = "suppression"
    CURSORS = "cursors"
    REQUESTS = "requests"
    TOKENS = "tokens"
    CERTIFICATES = "certificates"

    @property
    def signs(self) -> bool:
        """Whether its keys are Ed25519 key pairs; else they are HMAC keys."""
        return self in {Purpose.TOKENS, Purpose.CERTIFICATES}


class UnreadableKeyRing(Fault):
    """The document is not a key ring, or cannot be opened. The message never repeats any of it."""

    code = "keyring.unreadable"


class ExposedKeyRing(Fault):
    """Others on this machine may read the file."""

    code = "keyring.exposed"


@dataclass(frozen=True)
class Key:
    """One key of the ring. Its secret is never shown by ``repr``. ``purpose`` may be one that only a newer release knows."""

    id: str
    purpose: str
    created_at: datetime
    secret: bytes = field(repr=False)

    @cached_property
    def private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.secret)

    @cached_property
    def public(self) -> Ed25519PublicKey:
        return self.private.public_key()


def generate() -> str:
    """The document of a new ring with a key for every purpose: for a secret store."""
    keys: list[Key] = []
    for purpose in Purpose:
        keys.append(new_key(purpose, keys))
    return render(keys)


def new_key(purpose: Purpose, beside: Sequence[Key]) -> Key:
    taken = {key.id for key in beside}
    while (key_id := f"{purpose}-{secrets.token_hex(4)}") in taken:
        pass
    return Key(key_id, purpose.value, clock.now(), secrets.token_bytes(_SECRET_BYTES))


def render(keys: Sequence[Key]) -> str:
    rows = [
        {
            "id": key.id,
            "purpose": key.purpose,
            "secret": base64.urlsafe_b64encode(key.secret).decode(),
            "created_at": key.created_at.isoformat(),
        }
        for key in keys
    ]
    return json.dumps({"version": _VERSION, "keys": rows}, indent=1) + "\n"


def parse(text: str) -> Sequence[Key]:
    """The keys of a document; raises UnreadableKeyRing."""
    try:
        document = json.loads(text)
        if document["version"] != _VERSION:
            raise UnreadableKeyRing("the key ring is of a newer release; upgrade customer360")
        keys = tuple(_key(row) for row in document["keys"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UnreadableKeyRing(
            "the key ring is not a document of ours, or is damaged; restore it from a backup"
        ) from None
    if len({key.id for key in keys}) != len(keys):
        raise UnreadableKeyRing("two keys of the key ring have one id; restore it from a backup")
    return keys


def _key(row: Mapping[str, Any]) -> Key:
    secret = base64.b64decode(row["secret"], altchars=b"-_", validate=True)
    if len(secret) != _SECRET_BYTES:
        raise ValueError
    created_at = datetime.fromisoformat(row["created_at"])
    return Key(str(row["id"]), str(row["purpose"]), created_at, secret)


def stamp_of(path: Path) -> tuple[int, int] | None:
    """Changes with every replacement of the file."""
    try:
        seen = path.stat()
    except FileNotFoundError:
        return None
    return seen.st_ino, seen.st_mtime_ns


def refuse_exposed(path: Path) -> None:
    if path.stat().st_mode & 0o077:
        raise ExposedKeyRing(f"others may read {path}; `chmod 600 {path}`, and rotate its keys if others have")


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write(path: Path, text: str) -> None:
    """Replace the file in one step: a reader sees the old ring or the new one, a crash leaves one of the two."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
