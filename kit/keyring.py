"""The key ring: every secret key of an installation, by purpose, with ids and rotation.

A ring is one JSON document: ``{"version": 1, "keys": [{"id", "purpose", "secret", "created_at"}, ...]}``. The newest key of a purpose is
its current one; older ones go on verifying until they are retired. It lies in a file of mode 600, which is made when a key is first
needed, or is given whole by a secret store (a mounted file or an environment variable) and then never written.

Purposes are of two kinds. ``audit``, ``suppression``, ``cursors`` and ``requests`` are for keyed hashes (HMAC-SHA256); what is hashed for one context
never equals what is hashed for another. ``tokens`` and ``certificates`` sign (Ed25519), so that others can verify with a public key.

A running process sees a rotation by another one within a second, and at once when it meets a key id it does not know.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from kit.errors import Conflict, Fault, Invalid, NotFound
from kit.key_document import (
    Key,
    Purpose,
    UnreadableKeyRing,
    alone_in,
    new_key,
    parse,
    refuse_exposed,
    render,
    stamp_of,
    write,
)

__all__ = ["Key", "KeyRing", "Mac", "Purpose", "Signature"]

_LOOK_SECONDS = 1.0


class MissingKey(Fault):
    """A ring that is given from outside has no key of a purpose."""

    code = "keyring.missing_key"


class KeyRingIsGiven(Conflict):
    """A ring that is given from outside is changed there, not here."""

    code = "keyring.is_given"


class UnknownKeyId(NotFound):
    """The ring has no key of this id."""

    code = "keyring.unknown_key_id"


class CurrentKey(Conflict):
    """The current key of a purpose cannot be retired: nothing could be made any more."""

    code = "keyring.current_key"


class WrongPurpose(Invalid):
    """A purpose that signs was asked for a keyed hash, or the other way round."""

    code = "keyring.wrong_purpose"


@dataclass(frozen=True, slots=True)
class Mac:
    """A keyed hash and the id of the key it was made with: keep both."""

    key_id: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature and the id of the key it was made with: keep both."""

    key_id: str
    value: bytes


class KeyRing:
    """A ring in a file (``KeyRing(path)``), or one that is given (``KeyRing.given(read)``). Nothing is read before a key is needed.

    Safe to use from several threads; several processes may use, create and rotate one file.
    """

    def __init__(self, path: Path) -> None:
        self._path: Path | None = path
        self._read: Callable[[], str] = partial(path.read_text, encoding="utf-8")
        self._keys: Sequence[Key] | None = None
        self._stamp: tuple[int, int] | None = None
        self._look_again_at = 0.0
        self._lock = threading.RLock()

    @classmethod
    def given(cls, read: Callable[[], str]) -> KeyRing:
        """A ring that a secret store gives: ``read`` returns its document. It is read once and cannot be changed from here."""
        ring = cls(Path())
        ring._path, ring._read = None, read
        return ring

    @classmethod
    def choose(cls, path: Path, *, document: str = "", secret_file: Path | None = None) -> KeyRing:
        """The ring of an installation: the document where there is one, else the secret file, else the file at ``path``."""
        if document:
            return cls.given(lambda: document)
        if secret_file is not None:
            return cls.given(partial(secret_file.read_text, encoding="utf-8"))
        return cls(path)

    # Keyed hashes

    def mac(self, purpose: Purpose, data: bytes, *, context: str) -> Mac:
        """The keyed hash of ``data`` under the current key. ``context`` names what it is for, as in ``"customer"``."""
        return _mac(self._current(purpose, signs=False), data, context)

    def hasher(self, purpose: Purpose, *, context: str) -> Callable[[bytes], bytes]:
        """The digest that ``mac`` makes, as a function for many data in a row. It goes on with its key when the ring is rotated: ask anew
        now and then."""
        return _hasher(self._current(purpose, signs=False), context)

    def macs(self, purpose: Purpose, data: bytes, *, context: str) -> tuple[Mac, ...]:
        """The keyed hash under every key, the current one first: to find what was hashed before a rotation."""
        self._current(purpose, signs=False)
        return tuple(_mac(key, data, context) for key in reversed(self._snapshot()) if key.purpose == purpose)

    def verify_mac(
        self, purpose: Purpose, data: bytes, mac: Mac, *, context: str, length: int = hashlib.sha256().digest_size
    ) -> bool:
        """Whether a keyed hash, or its first ``length`` bytes, was made by this ring, for this purpose and context, from these
        data."""
        key = self._find(purpose, mac.key_id)
        return key is not None and hmac.compare_digest(_mac(key, data, context).digest[:length], mac.digest)

    # Signatures

    def sign(self, purpose: Purpose, data: bytes) -> Signature:
        """Sign with the current key (Ed25519)."""
        key = self._current(purpose, signs=True)
        return Signature(key.id, key.private.sign(data))

    def verify(self, purpose: Purpose, data: bytes, signature: Signature) -> bool:
        """Whether this ring signed these data for this purpose."""
        key = self._find(purpose, signature.key_id)
        if key is None:
            return False
        with suppress(InvalidSignature):
            key.public.verify(signature.value, data)
            return True
        return False

    def signing_key(self, purpose: Purpose) -> Key:
        """The current key of a purpose that signs."""
        return self._current(purpose, signs=True)

    def public_key(self, purpose: Purpose, key_id: str) -> Ed25519PublicKey | None:
        """The public key of an id, current or older; None where this purpose has no such key."""
        key = self._find(purpose, key_id)
        return None if key is None else key.public

    def public_keys(self, purpose: Purpose) -> Mapping[str, Ed25519PublicKey]:
        """Every public key of a purpose by its id, the current one first."""
        self._current(purpose, signs=True)
        return {key.id: key.public for key in reversed(self._snapshot()) if key.purpose == purpose}

    # The ring itself

    def contents(self) -> Sequence[Key]:
        """Every key, oldest first; the last of a purpose is its current one. A missing file is not created."""
        if self._path is not None and not self._path.exists():
            return ()
        return self._snapshot()

    def complete(self) -> None:
        """See to it that every purpose has a key."""
        for purpose in Purpose:
            self._current(purpose, signs=purpose.signs)

    def rotate(self, purpose: Purpose) -> Key:
        """Make a new current key; the older ones go on verifying. Raises KeyRingIsGiven."""
        with self._changing() as keys:
            keys.append(key := new_key(purpose, keys))
        return key

    def retire(self, key_id: str) -> Key:
        """Take an older key out: what was made with it verifies no more. Raises UnknownKeyId, CurrentKey, KeyRingIsGiven."""
        with self._changing() as keys:
            key = next((key for key in keys if key.id == key_id), None)
            if key is None:
                raise UnknownKeyId("the key ring has no key of this id; `c360 keyring list` shows what it has")
            if _newest(keys, key.purpose) is key:
                raise CurrentKey(f"{key_id} is the current key of {key.purpose}; rotate first, then retire it")
            keys.remove(key)
        return key

    def _current(self, purpose: Purpose, *, signs: bool) -> Key:
        if purpose.signs is not signs:
            raise WrongPurpose(f"keys for {purpose} are for {'signatures' if purpose.signs else 'keyed hashes'}")
        if (key := _newest(self._snapshot(), purpose)) is not None:
            return key
        if self._path is None:
            raise MissingKey(
                f"the key ring that was given has no key for {purpose}; `c360 keyring generate` prints a whole new ring"
            )
        with self._changing() as keys:
            if (key := _newest(keys, purpose)) is None:  # else another process was quicker
                keys.append(key := new_key(purpose, keys))
        return key

    def _find(self, purpose: Purpose, key_id: str) -> Key | None:
        for look_now in (False, True):
            for key in self._snapshot(look_now=look_now):
                if key.id == key_id and key.purpose == purpose:
                    return key
        return None

    def _snapshot(self, *, look_now: bool = False) -> Sequence[Key]:
        keys = self._keys
        if keys is not None and (self._path is None or (not look_now and time.monotonic() < self._look_again_at)):
            return keys
        with self._lock:
            self._look_again_at = time.monotonic() + _LOOK_SECONDS
            if self._path is None:
                self._keys = parse(self._text())
            elif (stamp := stamp_of(self._path)) is None:
                self._keys = self._keys or ()  # a file that vanishes takes nothing from who has read it
            elif stamp != self._stamp:
                refuse_exposed(self._path)
                self._keys, self._stamp = parse(self._text()), stamp
            return self._keys or ()

    def _text(self) -> str:
        try:
            return self._read()
        except (OSError, UnicodeDecodeError) as failure:
            raise UnreadableKeyRing(f"the key ring cannot be read ({type(failure).__name__})") from None

    @contextmanager
    def _changing(self) -> Iterator[list[Key]]:
        """The keys as they are now, to be changed: alone among all threads and processes; written when the block ends well."""
        if self._path is None:
            raise KeyRingIsGiven(
                "this key ring is given by a secret store; change it there and start the service again"
            )
        with self._lock, alone_in(self._path.parent):
            keys = list(self._snapshot(look_now=True))
            before = list(keys)
            yield keys
            if keys != before:
                write(self._path, render(keys))
                self._keys, self._stamp = tuple(keys), stamp_of(self._path)


def _mac(key: Key, data: bytes, context: str) -> Mac:
    return Mac(key.id, _hasher(key, context)(data))


def _hasher(key: Key, context: str) -> Callable[[bytes], bytes]:
    secret, prefix = key.secret, context.encode() + b"\0"
    return lambda data: hmac.digest(secret, prefix + data, "sha256")


def _newest(keys: Sequence[Key], purpose: str) -> Key | None:
    return next((key for key in reversed(keys) if key.purpose == purpose), None)
