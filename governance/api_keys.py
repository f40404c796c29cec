"""API keys: issued once, stored as a hash, checked in memory.

A key reads ``c360_<prefix>_<secret><checksum>``. The prefix names the key in lists and logs; the secret has 256 random bits; the
checksum tells a mistyped key from a wrong one (and lets scanners of leaked secrets recognise ours).

A serving process never asks the database per request: ``ApiKeys`` holds all live keys and reads them again every second, so a
revocation takes effect within seconds. When it could not read them for ``max_age`` seconds it lets nobody in.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import secrets
import threading
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Self

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from governance.access import Caller, Scope, parse_scopes
from governance.models import NAME_LENGTH, ApiKey
from kit import clock
from kit.db import Database
from kit.errors import Denied, Invalid, NotFound, Unavailable
from kit.ids import new_id

PREFIX_LENGTH = 8
_BRAND = "c360_"
_logger = logging.getLogger(__name__)
_NOBODY = hashlib.sha256(b"").hexdigest()  # what an unknown prefix is compared with, so that it takes as long


class Unauthenticated(Denied):
    """No valid key came with the request. Subclasses say what is wrong with it, and never repeat it."""

    code = "auth.unauthenticated"


class MalformedKey(Unauthenticated):
    """Not a key of ours, or mistyped."""

    code = "auth.malformed_key"


class UnknownKey(Unauthenticated):
    """A well-formed key that is not, or no longer, valid."""

    code = "auth.unknown_key"


class ExpiredKey(Unauthenticated):
    """The right key, after its end."""

    code = "auth.expired_key"


class KeysUnavailable(Unavailable):
    """The keys could not be read for too long, so nobody can be let in."""

    code = "auth.keys_unavailable"


class InvalidKeyName(Invalid):
    """A key needs a name that tells people what it is for."""

    code = "auth.invalid_key_name"


class KeyNotFound(NotFound):
    """No key has this id or prefix."""

    code = "auth.key_not_found"


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key. ``secret`` is the whole key as the caller sends it: it is shown once and cannot be had again."""

    id: str
    prefix: str
    name: str
    scopes: frozenset[Scope]
    expires_at: datetime | None
    secret: str = field(repr=False)


def create_key(session: Session, *, name: str, scopes: Iterable[str], expires_at: datetime | None = None) -> IssuedKey:
    """Issue a key; raises UnknownScope, InvalidKeyName. Takes effect when the session commits."""
    if not name.strip() or len(name) > NAME_LENGTH:
        raise InvalidKeyName(f"give the key a name that says what it is for, up to {NAME_LENGTH} characters")
    granted = parse_scopes(scopes)
    prefix = _random_text(5)
    secret = _with_checksum(f"{_BRAND}{prefix}_{_random_text(32)}")
    key = ApiKey(
        id=new_id("key"),
        prefix=prefix,
        secret_hash=_digest(secret),
        name=name.strip(),
        scopes=" ".join(sorted(granted)),
        created_at=clock.now(),
        expires_at=expires_at,
        revoked_at=None,
    )
    session.add(key)
    session.flush()
    return IssuedKey(key.id, prefix, key.name, granted, expires_at, secret)


def revoke_key(session: Session, id_or_prefix: str) -> ApiKey:
    """End a key for good; a key that was revoked before keeps its first date. Raises KeyNotFound."""
    key = session.scalars(
        select(ApiKey).where((ApiKey.id == id_or_prefix) | (ApiKey.prefix == id_or_prefix))
    ).one_or_none()
    if key is None:
        raise KeyNotFound("no key has this id or prefix; list them with `c360 token list`")
    key.revoked_at = key.revoked_at or clock.now()
    session.flush()
    return key


def list_keys(session: Session) -> Sequence[ApiKey]:
    """Every key ever issued, oldest first."""
    return session.scalars(select(ApiKey).order_by(ApiKey.created_at, ApiKey.id)).all()


@dataclass(frozen=True, slots=True)
class _LiveKey:
    secret_hash: str
    expires_at: float
    caller: Caller


class ApiKeys:
    """The live keys of a database, in memory. As a context manager it keeps itself fresh in a background thread."""

    def __init__(self, database: Database, *, refresh_seconds: float = 1.0, max_age_seconds: float = 15.0) -> None:
        self._database = database
        self._refresh_seconds = refresh_seconds
        self._max_age = max_age_seconds
        self._keys: Mapping[str, _LiveKey] = {}
        self._read_at = float("-inf")
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._stop.clear()
        self._refresh_or_log()
        self._thread = threading.Thread(target=self._keep_fresh, name="api-keys", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)  # a hanging database must not keep the process from ending

    @property
    def age(self) -> float:
        """Seconds since the keys were last read; infinite before the first time."""
        return time.monotonic() - self._read_at

    @property
    def is_fresh(self) -> bool:
        """Whether callers can be let in at all."""
        return self.age <= self._max_age

    def verify(self, secret: str) -> Caller:
        """Who holds this key. Reads memory only. Raises MalformedKey, UnknownKey, ExpiredKey, KeysUnavailable."""
        if not self.is_fresh:
            raise KeysUnavailable("API keys cannot be checked at present; try again in a few seconds")
        key = self._keys.get(secret[len(_BRAND) : len(_BRAND) + PREFIX_LENGTH])
        if not hmac.compare_digest(_digest(secret), key.secret_hash if key is not None else _NOBODY) or key is None:
            raise _reason_against(secret)
        if key.expires_at <= time.time():
            raise ExpiredKey("this API key has expired")
        return key.caller

    def refresh(self) -> None:
        """Read the keys now; raises SQLAlchemyError."""
        began = time.monotonic()
        with self._database.reading() as session:
            rows = session.scalars(select(ApiKey).where(ApiKey.revoked_at.is_(None))).all()
        self._keys = {row.prefix: _live(row) for row in rows}
        self._read_at = began

    def _keep_fresh(self) -> None:
        while not self._stop.wait(self._refresh_seconds):
            self._refresh_or_log()

    def _refresh_or_log(self) -> None:
        try:
            self.refresh()
        except SQLAlchemyError as error:
            _logger.warning(
                "API keys could not be read (%s); they were last read %.0f s ago", type(error).__name__, self.age
            )


def _live(row: ApiKey) -> _LiveKey:
    known = {scope.value for scope in Scope}  # a newer release may have granted scopes that this one does not know
    scopes = frozenset(Scope(name) for name in row.scopes.split() if name in known)
    expires_at = row.expires_at.timestamp() if row.expires_at is not None else float("inf")
    return _LiveKey(row.secret_hash, expires_at, Caller(row.id, scopes))


def _reason_against(secret: str) -> Unauthenticated:
    if not secret.startswith(_BRAND) or not secret.isascii() or _with_checksum(secret[:-_CHECKSUM_LENGTH]) != secret:
        return MalformedKey("this is not an API key of this service, or it is mistyped: its checksum does not match")
    return UnknownKey("this API key is not valid, or was revoked")


def _with_checksum(text: str) -> str:
    return text + _text(zlib.crc32(text.encode()).to_bytes(4))


def _random_text(size: int) -> str:
    return _text(secrets.token_bytes(size))


def _text(raw: bytes) -> str:
    return base64.b32encode(raw).decode().rstrip("=").lower()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


_CHECKSUM_LENGTH = len(_text(bytes(4)))
