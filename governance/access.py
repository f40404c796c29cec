"""Who may read what: scopes, and the one policy from scopes to column classes.

The policy knows classes, never columns: a column is hidden because of what its declaration says it is. The online store's
segments are cut along the same classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import ClassVar

from kit.errors import Denied, Invalid
from lakehouse.dataset import PUBLIC, SUBJECT_KEY


class Scope(StrEnum):
    """What a caller was given. ``profiles:read:pii`` adds to ``profiles:read`` and means nothing without it."""

    PROFILES_READ = "profiles:read"
    PROFILES_READ_PII = "profiles:read:pii"
    PIPELINES_READ = "pipelines:read"
    RUNS_READ = "runs:read"
    RUNS_WRITE = "runs:write"
    AUDIT_READ = "audit:read"
    METRICS_READ = "metrics:read"
    PRINCIPALS_READ = "principals:read"
    PRINCIPALS_WRITE = "principals:write"


MEANING: Mapping[Scope, str] = MappingProxyType(
    {
        Scope.PROFILES_READ: "Read profiles without personal data.",
        Scope.PROFILES_READ_PII: "See the personal data of profiles too.",
        Scope.PIPELINES_READ: "See pipelines with their datasets.",
        Scope.RUNS_READ: "See runs and schedules.",
        Scope.RUNS_WRITE: "Start, cancel and retry runs; change schedules.",
        Scope.AUDIT_READ: "Read the audit trail.",
        Scope.METRICS_READ: "Read the figures for monitoring.",
        Scope.PRINCIPALS_READ: "See principals, groups and keys (never a secret).",
        Scope.PRINCIPALS_WRITE: "Change who may what: the right to everything.",
    }
)
"""Each scope in a sentence, for the documentation."""


class UnknownScope(Invalid):
    """A scope nobody defined, or one without the scope it builds on; the message says which there are."""

    code = "access.unknown_scope"


class Unauthenticated(Denied):
    """No valid credentials came with the request. Subclasses say what is wrong with them, and never repeat them."""

    code = "auth.unauthenticated"


class MissingScope(Denied):
    """The caller is known but was not given the scope the operation needs; the message names it."""

    code = "access.missing_scope"

    def __init__(self, scope: Scope) -> None:
        super().__init__(f"this needs the scope {scope}; ask for a key that has it")
        self.scope = scope


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the principal, the API key it proved to hold (or, with ``token_id``, had a token for), and what it may now."""

    principal_id: str
    key_id: str
    scopes: frozenset[Scope]
    token_id: str | None = None


class Policy:
    """From scopes to classes. A class it does not know is visible to nobody."""

    _OPEN: ClassVar = frozenset({PUBLIC, SUBJECT_KEY})

    @classmethod
    def visible(cls, scopes: frozenset[Scope], column_class: str) -> bool:
        """Whether a caller with these scopes may read values of this class."""
        if Scope.PROFILES_READ not in scopes:
            return False
        return column_class in cls._OPEN or (column_class.startswith("pii.") and Scope.PROFILES_READ_PII in scopes)


def require(caller: Caller, scope: Scope) -> None:
    """Raise MissingScope unless the caller has the scope."""
    if scope not in caller.scopes:
        raise MissingScope(scope)


def parse_scopes(names: Iterable[str], *, within: frozenset[Scope] | None = None) -> frozenset[Scope]:
    """The scopes of these names; raises UnknownScope, also for an empty list, for a scope without its base, and for one that is
    not ``within``."""
    given = set(names)
    known = {scope.value for scope in (Scope if within is None else within)}
    choice = f"choose from {', '.join(sorted(known))}" if known else "there is none to choose"
    if not given:
        raise UnknownScope(f"name at least one scope; {choice}")
    if not given <= known:
        raise UnknownScope(f"a scope that was named does not exist, or is not yours to have; {choice}")
    if Scope.PROFILES_READ_PII in given and Scope.PROFILES_READ not in given:
        raise UnknownScope(f"{Scope.PROFILES_READ_PII} adds to {Scope.PROFILES_READ}; give both")
    return frozenset(Scope(name) for name in given)


def known_scopes(stored: str) -> frozenset[Scope]:
    """The scopes of a stored list; those that only a newer release knows are left out."""
    known = {scope.value for scope in Scope}
    return frozenset(Scope(name) for name in stored.split() if name in known)


@lru_cache(maxsize=256)
def visible_positions(scopes: frozenset[Scope], classes: tuple[str, ...]) -> tuple[int, ...]:
    """Positions of the classes a caller with these scopes may read."""
    return tuple(position for position, name in enumerate(classes) if Policy.visible(scopes, name))
