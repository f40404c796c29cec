"""API keys: each belongs to a principal, is shown once, stored as a hash, rotated with a grace period, revoked for good.

A key reads ``c360_<prefix>_<secret><checksum>``. The prefix names the key in lists and logs; the secret has 256 random bits; the
checksum tells a mistyped key from a wrong one (and lets scanners of leaked secrets recognise ours).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from governance.access import Scope, known_scopes, parse_scopes
from governance.changes import changing
from governance.groups import add_member
from governance.models import ApiKey
from governance.principals import PrincipalKind, create_principal, get_principal, valid_name
from kit import clock
from kit.errors import Conflict, Invalid, NotFound
from kit.ids import new_id

BRAND = "c360_"
PREFIX_LENGTH = 8
DEFAULT_GRACE = timedelta(days=1)
MAX_GRACE = timedelta(days=90)


class KeyNotFound(NotFound):
    """No key has this id or prefix."""

    code = "auth.key_not_found"


class InvalidExpiry(Invalid):
    """A key ends in the future, a grace period is neither negative nor endless."""

    code = "auth.invalid_expiry"


class KeyEnded(Conflict):
    """A key that is revoked, expired or was rotated already cannot be rotated."""

    code = "auth.key_ended"


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key. ``secret`` is the whole key as the caller sends it: it is shown once and cannot be had again."""

    id: str
    principal_id: str
    prefix: str
    name: str
    scopes: frozenset[Scope]
    expires_at: datetime | None
    secret: str = field(repr=False)


def create_key(
    session: Session,
    *,
    name: str,
    groups: Iterable[str] = (),
    scopes: Iterable[str] = (),
    kind: PrincipalKind = PrincipalKind.SERVICE,
    expires_at: datetime | None = None,
) -> IssuedKey:
    """A new principal of this name, in these groups and with these scopes of its own, and its first key.

    Raises InvalidName, UnknownGroup, UnknownScope, InvalidExpiry. Takes effect when the session commits.
    """
    principal = create_principal(session, name, kind=kind, scopes=scopes)
    for group in groups:
        add_member(session, group, principal.id)
    return issue_key(session, principal.id, expires_at=expires_at)


def issue_key(
    session: Session,
    principal_id: str,
    *,
    name: str | None = None,
    scopes: Iterable[str] = (),
    expires_at: datetime | None = None,
) -> IssuedKey:
    """One more key of a principal, by default of its name. ``scopes`` narrow what the principal may; none: they do not.

    Raises UnknownPrincipal, InvalidName, UnknownScope, InvalidExpiry. Takes effect when the session commits.
    """
    given = list(scopes)
    narrowed = parse_scopes(given) if given else frozenset()
    with changing(session):
        principal = get_principal(session, principal_id)
        return _issue(session, principal.id, valid_name(principal.name if name is None else name), narrowed, expires_at)


def rotate_key(session: Session, id_or_prefix: str, *, grace: timedelta = DEFAULT_GRACE) -> IssuedKey:
    """A new key in the place of an old one, with the same name, scopes and end. The old one works until the grace period ends.

    Raises KeyNotFound, KeyEnded, InvalidExpiry.
    """
    if not timedelta(0) <= grace <= MAX_GRACE:
        raise InvalidExpiry(f"a grace period lasts up to {MAX_GRACE.days} days; revoke a key that must end at once")
    with changing(session):
        old = get_key(session, id_or_prefix)
        instant = clock.now()
        if old.revoked_at is not None or old.replaced_by is not None or (old.expires_at or instant) < instant:
            raise KeyEnded("this key has ended or was rotated already; issue a new one")
        new = _issue(session, old.principal_id, old.name, known_scopes(old.scopes), old.expires_at)
        old.replaced_by = new.id
        old.expires_at = min(old.expires_at or instant + grace, instant + grace)
    return new


def revoke_key(session: Session, id_or_prefix: str, *, force: bool = False) -> ApiKey:
    """End a key for good; a key that was revoked before keeps its first date. Raises KeyNotFound, LastAdmin."""
    with changing(session, force=force):
        key = get_key(session, id_or_prefix)
        key.revoked_at = key.revoked_at or clock.now()
    return key


def get_key(session: Session, id_or_prefix: str) -> ApiKey:
    """One key, by its id or its prefix; raises KeyNotFound."""
    key = session.scalars(
        select(ApiKey).where((ApiKey.id == id_or_prefix) | (ApiKey.prefix == id_or_prefix))
    ).one_or_none()
    if key is None:
        raise KeyNotFound("no key has this id or prefix; list them with `c360 token list`")
    return key


def list_keys(
    session: Session, principal_id: str | None = None, *, limit: int | None = None, after: str = ""
) -> Sequence[ApiKey]:
    """Every key ever issued (to a principal), oldest first, those after an id (ids sort by time)."""
    found = select(ApiKey).where(ApiKey.id > after).order_by(ApiKey.id).limit(limit)
    return session.scalars(found if principal_id is None else found.where(ApiKey.principal_id == principal_id)).all()


def prefix_of(secret: str) -> str:
    """The prefix of what may be a key; whatever it is."""
    return secret[len(BRAND) : len(BRAND) + PREFIX_LENGTH]


def is_well_formed(secret: str) -> bool:
    """Whether it is a key of this service, of whatever installation: a mistyped one is not."""
    return secret.startswith(BRAND) and secret.isascii() and _with_checksum(secret[:-_CHECKSUM_LENGTH]) == secret


def digest_of(secret: str) -> str:
    """What is stored of a key."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _issue(
    session: Session, principal_id: str, name: str, narrowed: frozenset[Scope], expires_at: datetime | None
) -> IssuedKey:
    if expires_at is not None and expires_at <= clock.now():
        raise InvalidExpiry("a key ends in the future; leave the end out for one that does not end")
    prefix = _random_text(5)
    secret = _with_checksum(f"{BRAND}{prefix}_{_random_text(32)}")
    key = ApiKey(
        id=new_id("key"),
        principal_id=principal_id,
        prefix=prefix,
        secret_hash=digest_of(secret),
        name=name,
        scopes=" ".join(sorted(narrowed)),
        created_at=clock.now(),
        expires_at=expires_at,
    )
    session.add(key)
    session.flush()
    return IssuedKey(key.id, principal_id, prefix, name, narrowed, clock.aware(expires_at), secret)


def _with_checksum(text: str) -> str:
    return text + _text(zlib.crc32(text.encode()).to_bytes(4))


def _random_text(size: int) -> str:
    return _text(secrets.token_bytes(size))


def _text(raw: bytes) -> str:
    return base64.b32encode(raw).decode().rstrip("=").lower()


_CHECKSUM_LENGTH = len(_text(bytes(4)))
