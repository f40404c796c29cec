"""Who may call now, in memory: API keys and access tokens are checked without asking the database.

``Callers`` holds every live key with what its principal may through all its groups. It asks the database once a second for one number
(``AccessGeneration``) and reads the rest only when that has changed, so that a revoked key, a disabled principal or a lost membership is refused
within seconds. When it could not ask for ``max_age`` seconds it lets nobody in.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Self

from sqlalchemy import or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from governance.access import Caller, Scope, Unauthenticated, known_scopes, parse_scopes
from governance.api_keys import BRAND, digest_of, is_well_formed, prefix_of
from governance.group_graph import GroupGraph
from governance.key_use import KeyUse
from governance.models import AccessGeneration, ApiKey, Membership, Principal
from governance.tokens import ExpiredToken, InvalidToken, IssuedToken, Tokens
from kit import clock
from kit.db import Database
from kit.errors import Unavailable

_REMEMBERED_TOKENS = 10_000
_READ_ALL_SECONDS = 60.0
_TOLD_EXPIRED = timedelta(days=30)  # so long a key that has ended is told from one that never was
_NOBODY = hashlib.sha256(b"").hexdigest()  # what an unknown prefix is compared with, so that it takes as long
_logger = logging.getLogger(__name__)


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


@dataclass(frozen=True, slots=True)
class _LiveKey:
    secret_hash: str
    expires_at: float
    caller: Caller


@dataclass(frozen=True, slots=True)
class _SeenToken:
    expires_at: float
    signing_key_id: str
    caller: Caller


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """Who may call as of one generation; the tokens that were verified under it are forgotten with it."""

    generation: int | None = None
    by_prefix: Mapping[str, _LiveKey] = field(default_factory=dict)
    by_id: Mapping[str, _LiveKey] = field(default_factory=dict)
    tokens: dict[str, _SeenToken] = field(default_factory=dict)


class Callers:
    """The callers of a database, in memory. As a context manager it keeps itself fresh in a background thread."""

    def __init__(
        self, database: Database, tokens: Tokens, *, refresh_seconds: float = 1.0, max_age_seconds: float = 15.0
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._refresh_seconds = refresh_seconds
        self._max_age = max_age_seconds
        self._snapshot = _Snapshot()
        self._asked_at = float("-inf")
        self._read_all_at = float("-inf")
        self._use = KeyUse(database)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._stop.clear()
        self._refresh_or_log()
        self._thread = threading.Thread(target=self._keep_fresh, name="callers", daemon=True)
        self._thread.start()
        self._use.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)  # a hanging database must not keep the process from ending
        self._use.__exit__(kind, error, trace)

    @property
    def age(self) -> float:
        """Seconds since the database was last asked; infinite before the first time."""
        return time.monotonic() - self._asked_at

    @property
    def is_fresh(self) -> bool:
        """Whether callers can be let in at all."""
        return self.age <= self._max_age

    def verify(self, credential: str) -> Caller:
        """Who holds this API key or access token. Reads memory only.

        Raises MalformedKey, UnknownKey, ExpiredKey, InvalidToken, ExpiredToken, KeysUnavailable.
        """
        if credential.startswith(BRAND) or credential.count(".") != 2:  # noqa: PLR2004 - a JWT has three parts
            return self._holder(credential).caller
        return self._bearer(credential)

    def exchange(self, client_id: str, secret: str, scopes: str | None) -> IssuedToken:
        """An access token for an API key. ``client_id`` is the key's id or that of its principal.

        ``scopes`` (separated by spaces) narrow the token; None gives all that the key may now. Raises what ``verify`` raises for a key, and
        UnknownScope for one that nobody defined, or that the key may not.
        """
        key = self._holder(secret)
        if client_id not in {key.caller.key_id, key.caller.principal_id}:
            raise UnknownKey("this API key does not belong to this client id")
        granted = key.caller.scopes
        if scopes is not None or not granted:
            granted = parse_scopes((scopes or "").split(), within=granted)
        return self._tokens.issue(key.caller, granted, not_after=key.expires_at)

    def refresh(self) -> None:
        """See what has changed, now; raises SQLAlchemyError."""
        began = time.monotonic()
        with self._database.reading() as session:
            generation = session.scalar(select(AccessGeneration.number))
            if generation != self._snapshot.generation or began - self._read_all_at > _READ_ALL_SECONDS:
                self._snapshot = _read(
                    session, generation
                )  # what changed since is of a later generation: read again then
                self._read_all_at = began
        self._asked_at = began

    def _holder(self, secret: str) -> _LiveKey:
        if not self.is_fresh:
            raise KeysUnavailable("API keys cannot be checked at present; try again in a few seconds")
        key = self._snapshot.by_prefix.get(prefix_of(secret))
        if not hmac.compare_digest(digest_of(secret), key.secret_hash if key is not None else _NOBODY) or key is None:
            if not is_well_formed(secret):
                raise MalformedKey(
                    "this is not an API key of this service, or it is mistyped: its checksum does not match"
                )
            raise UnknownKey("this API key is not valid, or was revoked")
        instant = time.time()
        if key.expires_at <= instant:
            raise ExpiredKey("this API key has expired")
        self._use.note(key.caller.key_id, instant)
        return key

    def _bearer(self, token: str) -> Caller:
        if not self.is_fresh:
            raise KeysUnavailable("access tokens cannot be checked at present; try again in a few seconds")
        snapshot = self._snapshot
        if (seen := snapshot.tokens.get(token)) is None:
            seen = self._see(token, snapshot)
            if len(snapshot.tokens) >= _REMEMBERED_TOKENS:
                snapshot.tokens.clear()
            snapshot.tokens[token] = seen
        elif not self._tokens.knows(seen.signing_key_id):
            raise InvalidToken
        instant = time.time()
        if seen.expires_at <= instant:
            raise ExpiredToken
        self._use.note(seen.caller.key_id, instant)
        return seen.caller

    def _see(self, token: str, snapshot: _Snapshot) -> _SeenToken:
        claims = self._tokens.verify(token)
        key = snapshot.by_id.get(claims.key_id)
        if key is None or key.caller.principal_id != claims.principal_id:
            raise UnknownKey("the API key of this access token is not valid any more")
        caller = Caller(claims.principal_id, claims.key_id, claims.scopes & key.caller.scopes, claims.token_id)
        return _SeenToken(min(claims.expires_at, key.expires_at), claims.signing_key_id, caller)

    def _keep_fresh(self) -> None:
        while not self._stop.wait(self._refresh_seconds):
            self._refresh_or_log()

    def _refresh_or_log(self) -> None:
        try:
            self.refresh()
        except SQLAlchemyError as error:
            _logger.warning(
                "callers could not be read (%s); they were last read %.0f s ago", type(error).__name__, self.age
            )


def _read(session: Session, generation: int | None) -> _Snapshot:
    graph = GroupGraph.read(session)
    memberships: dict[str, list[str]] = {}
    for principal_id, group in session.execute(select(Membership.principal_id, Membership.group_name)):
        memberships.setdefault(principal_id, []).append(group)
    rows = session.execute(
        select(ApiKey, Principal.id, Principal.scopes)
        .join(Principal, Principal.id == ApiKey.principal_id)
        .where(
            Principal.disabled_at.is_(None),
            ApiKey.revoked_at.is_(None),
            or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > clock.now() - _TOLD_EXPIRED),
        )
    )
    by_prefix, by_id = {}, {}
    for row, principal_id, own in rows:
        scopes = known_scopes(own) | graph.scopes(memberships.get(principal_id, ()))
        by_prefix[row.prefix] = by_id[row.id] = _live(row, scopes)
    return _Snapshot(generation, by_prefix, by_id)


def _live(row: ApiKey, scopes: frozenset[Scope]) -> _LiveKey:
    may = scopes & known_scopes(row.scopes) if row.scopes else scopes
    expires_at = row.expires_at.timestamp() if row.expires_at is not None else float("inf")
    return _LiveKey(row.secret_hash, expires_at, Caller(row.principal_id, row.id, may))
