"""Access tokens: signed JWTs after RFC 9068, short-lived, for who has an API key.

Only what this module itself writes is accepted: one algorithm (EdDSA), one type (``at+jwt``), one issuer, one audience, keys of the ring's
purpose ``tokens`` by their id. A token says which key it was issued for; it never outlives it, or its principal (``governance.callers``).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import jwt

from governance.access import Caller, Scope, Unauthenticated, known_scopes
from kit.ids import new_id
from kit.keyring import KeyRing, Purpose

AUDIENCE = "urn:c360:api"
LIFETIME_SECONDS = 600
MAX_LENGTH = 4096

_ALGORITHM = "EdDSA"
_TYPE = "at+jwt"
_CLAIMS = ("iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope")


class InvalidToken(Unauthenticated):
    """Not a token of ours: forged, changed, for another service, or signed with a key that was retired."""

    code = "auth.invalid_token"

    def __init__(self) -> None:
        super().__init__("this is not a valid access token of this service; get one at /oauth/token")


class ExpiredToken(Unauthenticated):
    """A token of ours, after its end."""

    code = "auth.expired_token"

    def __init__(self) -> None:
        super().__init__("this access token has expired; get a new one at /oauth/token")


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says. Its scopes are those that were granted: what they are worth now is decided elsewhere."""

    principal_id: str
    key_id: str
    token_id: str
    scopes: frozenset[Scope]
    expires_at: float
    signing_key_id: str


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token, with the seconds it lives and the scopes it carries."""

    token: str = field(repr=False)
    token_id: str
    expires_in: int
    scopes: frozenset[Scope]


class Tokens:
    """Issues and verifies tokens of one issuer."""

    def __init__(self, ring: KeyRing, issuer: str, lifetime_seconds: int = LIFETIME_SECONDS) -> None:
        self.issuer = issuer
        self._ring = ring
        self._lifetime = lifetime_seconds

    def issue(self, caller: Caller, scopes: frozenset[Scope], *, not_after: float) -> IssuedToken:
        """A token for a caller with these scopes, that ends at ``not_after`` (seconds since the epoch) at the latest."""
        key = self._ring.signing_key(Purpose.TOKENS)
        issued_at = int(time.time())
        expires_at = int(min(issued_at + self._lifetime, not_after))
        token_id = new_id("tok")
        claims = {
            "iss": self.issuer,
            "sub": caller.principal_id,
            "aud": AUDIENCE,
            "exp": expires_at,
            "iat": issued_at,
            "jti": token_id,
            "client_id": caller.key_id,
            "scope": " ".join(sorted(scopes)),
        }
        token = jwt.encode(claims, key.private, algorithm=_ALGORITHM, headers={"kid": key.id, "typ": _TYPE})
        return IssuedToken(token, token_id, expires_at - issued_at, scopes)

    def verify(self, token: str) -> Claims:
        """What a token of ours says. Raises InvalidToken, ExpiredToken; neither ever repeats it."""
        if len(token) > MAX_LENGTH:
            raise InvalidToken
        try:
            header = jwt.get_unverified_header(token)
            key_id = header.get("kid")
            if header.get("alg") != _ALGORITHM or header.get("typ") != _TYPE or not isinstance(key_id, str):
                raise InvalidToken
            public = self._ring.public_key(Purpose.TOKENS, key_id)
            if public is None or "crit" in header:
                raise InvalidToken
            claims: dict[str, Any] = jwt.decode(
                token,
                public,
                algorithms=[_ALGORITHM],
                issuer=self.issuer,
                audience=AUDIENCE,
                options={"require": list(_CLAIMS), "verify_iat": False},  # the clocks of two machines differ a little
            )
        except jwt.ExpiredSignatureError:
            raise ExpiredToken from None
        except (jwt.PyJWTError, ValueError, TypeError):
            raise InvalidToken from None
        return _claims(claims, key_id)

    def knows(self, signing_key_id: str) -> bool:
        """Whether tokens that were signed with this key still count."""
        return self._ring.public_key(Purpose.TOKENS, signing_key_id) is not None


def _claims(claims: dict[str, Any], signing_key_id: str) -> Claims:
    if not all(isinstance(claims[name], str) for name in ("sub", "jti", "client_id", "scope")):
        raise InvalidToken
    return Claims(
        claims["sub"],
        claims["client_id"],
        claims["jti"],
        known_scopes(claims["scope"]),
        float(claims["exp"]),
        signing_key_id,
    )
