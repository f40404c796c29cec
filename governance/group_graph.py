"""What groups give: the scopes of the built-in ones, and what follows from groups being in groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from sqlalchemy import select
from sqlalchemy.orm import Session

from governance.access import Scope, known_scopes
from governance.models import Group, Nesting

BUILT_IN: Mapping[str, frozenset[Scope]] = MappingProxyType(
    {
        "partner": frozenset({Scope.PROFILES_READ}),
        "compliance": frozenset({Scope.PROFILES_READ, Scope.PROFILES_READ_PII, Scope.AUDIT_READ}),
        "scoring": frozenset({Scope.PROFILES_READ}),
        "analyst": frozenset({Scope.PROFILES_READ, Scope.PIPELINES_READ, Scope.RUNS_READ}),
        "operator": frozenset({Scope.PIPELINES_READ, Scope.RUNS_READ, Scope.RUNS_WRITE, Scope.METRICS_READ}),
        "admin": frozenset(Scope),
    }
)
"""What the built-in groups may. It belongs to the release; a new scope is given to groups here."""


class GroupGraph:
    """Which groups are in which, and what they may: pure, in memory."""

    def __init__(self, scopes: Mapping[str, frozenset[Scope]], nestings: Iterable[tuple[str, str]]) -> None:
        self._scopes = scopes
        self._parents: dict[str, list[str]] = {}
        for parent, child in nestings:
            self._parents.setdefault(child, []).append(parent)

    @classmethod
    def read(cls, session: Session) -> GroupGraph:
        """All groups, as they are now."""
        nestings = session.execute(select(Nesting.parent, Nesting.child))
        return cls({group.name: scopes_of(group) for group in session.scalars(select(Group))}, nestings)

    def closure(self, names: Iterable[str]) -> frozenset[str]:
        """These groups, and all that they are in, directly or not."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            if (name := waiting.pop()) not in found:
                found.add(name)
                waiting += self._parents.get(name, ())
        return frozenset(found)

    def scopes(self, names: Iterable[str]) -> frozenset[Scope]:
        """What a member of these groups may."""
        return frozenset().union(*(self._scopes.get(name, ()) for name in self.closure(names)))

    def granting(self, scope: Scope) -> frozenset[str]:
        """The groups whose members have a scope."""
        return frozenset(name for name in self._scopes if scope in self.scopes([name]))


def scopes_of(group: Group) -> frozenset[Scope]:
    """What a group itself gives, without the groups it is in."""
    return BUILT_IN[group.name] if group.name in BUILT_IN else known_scopes(group.scopes)
