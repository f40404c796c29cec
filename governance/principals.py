"""Principals: the services and people that call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from governance.access import parse_scopes
from governance.changes import changing
from governance.models import NAME_LENGTH, Principal
from kit import clock
from kit.errors import Invalid, NotFound
from kit.ids import new_id


class PrincipalKind(StrEnum):
    """What calls."""

    SERVICE = "service"
    PERSON = "person"


class UnknownPrincipal(NotFound):
    """There is no principal of this id."""

    code = "access.unknown_principal"


class InvalidName(Invalid):
    """A name tells people who or what it is."""

    code = "access.invalid_name"


def create_principal(
    session: Session, name: str, *, kind: PrincipalKind = PrincipalKind.SERVICE, scopes: Iterable[str] = ()
) -> Principal:
    """A new principal, in no group; ``scopes`` are given to it directly. Raises InvalidName, UnknownScope.

    Names are for people and need not differ; ids do.
    """
    given = list(scopes)
    granted = parse_scopes(given) if given else frozenset()
    principal = Principal(
        id=new_id("prn"),
        kind=kind.value,
        name=valid_name(name),
        scopes=" ".join(sorted(granted)),
        created_at=clock.now(),
    )
    with changing(session):
        session.add(principal)
    return principal


def get_principal(session: Session, principal_id: str) -> Principal:
    """One principal; raises UnknownPrincipal."""
    principal = session.get(Principal, principal_id)
    if principal is None:
        raise UnknownPrincipal("there is no principal of this id; `c360 principal list` and GET /principals show all")
    return principal


def list_principals(session: Session, *, limit: int | None = None, after: str = "") -> Sequence[Principal]:
    """Principals, oldest first, those after an id (ids sort by time)."""
    return session.scalars(select(Principal).where(Principal.id > after).order_by(Principal.id).limit(limit)).all()


def disable_principal(session: Session, principal_id: str, *, force: bool = False) -> Principal:
    """Let a principal in no more, with none of its keys and tokens; one that was disabled before keeps its first date.

    Raises UnknownPrincipal, LastAdmin.
    """
    with changing(session, force=force):
        principal = get_principal(session, principal_id)
        principal.disabled_at = principal.disabled_at or clock.now()
    return principal


def enable_principal(session: Session, principal_id: str) -> Principal:
    """Let a disabled principal in again, with the keys it has. Raises UnknownPrincipal."""
    with changing(session):
        principal = get_principal(session, principal_id)
        principal.disabled_at = None
    return principal


def valid_name(name: str) -> str:
    """A name without outer spaces; raises InvalidName where nothing is left, it is too long, or cannot be printed."""
    stripped = name.strip()
    if not stripped or len(stripped) > NAME_LENGTH or not stripped.isprintable():
        raise InvalidName(f"give a name that tells people who or what it is: up to {NAME_LENGTH} printable characters")
    return stripped
