"""Who may read what: scopes, and the one policy from scopes to column classes.

The policy knows classes, never columns: a column is hidden because of what its declaration says it is. The online store's
segments are cut along the same classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import ClassVar

from kit.errors import Denied, Invalid
from lakehouse.dataset import PUBLIC, SUBJECT_KEY


class Scope(StrEnum):
    """What a caller was given. ``profiles:read:pii`` adds to ``profiles:read`` and means nothing without it."""

    PROFILES_READ = "profiles:read"
    PROFILES_READ_PII = "profiles:read:pii"
    RUNS_READ = "runs:read"
    RUNS_WRITE = "runs:write"
    AUDIT_READ = "audit:read"
    PRINCIPALS_READ = "principals:read"
    PRINCIPALS_WRITE = "principals:write"


class UnknownScope(Invalid):
    """A scope nobody defined, or one without the scope it builds on; the message says which there are."""

    code = "access.unknown_scope"


class MissingScope(Denied):
    """The caller is known but was not given the scope the operation needs; the message names it."""

    code = "access.missing_scope"

    def __init__(self, scope: Scope) -> None:
        super().__init__(f"this needs the scope {scope}; ask for a key that has it")
        self.scope = scope


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the id of the key it proved to hold, and its scopes."""

    key_id: str
    scopes: frozenset[Scope]


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


def parse_scopes(names: Iterable[str]) -> frozenset[Scope]:
    """The scopes of these names; raises UnknownScope, also for an empty list and for a scope without its base."""
    given = set(names)
    known = {scope.value for scope in Scope}
    if unknown := sorted(given - known):
        raise UnknownScope(f"there is no scope {', '.join(unknown)}; choose from {', '.join(sorted(known))}")
    if not given:
        raise UnknownScope(f"a key needs at least one scope; choose from {', '.join(sorted(known))}")
    if Scope.PROFILES_READ_PII in given and Scope.PROFILES_READ not in given:
        raise UnknownScope(f"{Scope.PROFILES_READ_PII} adds to {Scope.PROFILES_READ}; give both")
    return frozenset(Scope(name) for name in given)


@lru_cache(maxsize=256)
def visible_positions(scopes: frozenset[Scope], classes: tuple[str, ...]) -> tuple[int, ...]:
    """Positions of the classes a caller with these scopes may read."""
    return tuple(position for position, name in enumerate(classes) if Policy.visible(scopes, name))
