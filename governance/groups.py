"""Groups: who is in which, built-in ones and own ones, groups in groups.

A principal may what its groups may, and what the groups may that these are in. Whoever has ``principals:write`` can make itself a member of
anything: treat it as the right to everything.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from governance.access import parse_scopes
from governance.changes import changing
from governance.group_graph import BUILT_IN, GroupGraph
from governance.models import Group, Membership, Nesting, Principal
from governance.principals import get_principal
from kit import clock
from kit.errors import Conflict, Invalid, NotFound

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


class UnknownGroup(NotFound):
    """There is no group of this name."""

    code = "access.unknown_group"


class InvalidGroupName(Invalid):
    """A group's name stands in addresses and commands."""

    code = "access.invalid_group_name"


class GroupExists(Conflict):
    """There is a group of this name already."""

    code = "access.group_exists"


class BuiltInGroup(Conflict):
    """Built-in groups belong to the release: they can be filled, not changed."""

    code = "access.built_in_group"


class GroupCycle(Conflict):
    """Two groups would be in each other."""

    code = "access.group_cycle"


def create_group(session: Session, name: str, *, comment: str = "", scopes: Iterable[str] = ()) -> Group:
    """A new group of its own; raises InvalidGroupName, GroupExists, UnknownScope."""
    if not _NAME.fullmatch(name):
        raise InvalidGroupName("a group's name has up to 64 of a-z, 0-9, _ and -, and begins with a letter")
    given = list(scopes)
    granted = parse_scopes(given) if given else frozenset()
    with changing(session):
        if session.get(Group, name) is not None:
            raise GroupExists("there is a group of this name already; choose another one")
        group = Group(name=name, comment=comment, scopes=" ".join(sorted(granted)), created_at=clock.now())
        session.add(group)
    return group


def set_group_scopes(session: Session, name: str, scopes: Iterable[str], *, force: bool = False) -> Group:
    """Change what an own group gives; raises UnknownGroup, BuiltInGroup, UnknownScope, LastAdmin."""
    given = list(scopes)
    granted = parse_scopes(given) if given else frozenset()
    with changing(session, force=force):
        group = _own_group(session, name)
        group.scopes = " ".join(sorted(granted))
    return group


def delete_group(session: Session, name: str, *, force: bool = False) -> None:
    """Take an own group away, out of all groups too; raises UnknownGroup, BuiltInGroup, LastAdmin."""
    with changing(session, force=force):
        group = _own_group(session, name)
        session.execute(delete(Membership).where(Membership.group_name == name))
        session.execute(delete(Nesting).where((Nesting.parent == name) | (Nesting.child == name)))
        session.delete(group)


def get_group(session: Session, name: str) -> Group:
    """One group; raises UnknownGroup."""
    group = session.get(Group, name)
    if group is None:
        raise UnknownGroup("there is no group of this name; `c360 group list` and GET /groups show all")
    return group


def list_groups(session: Session, *, limit: int | None = None, after: str = "") -> Sequence[Group]:
    """Groups by name, those after a name."""
    return session.scalars(select(Group).where(Group.name > after).order_by(Group.name).limit(limit)).all()


def add_member(session: Session, group_name: str, principal_id: str) -> None:
    """Put a principal into a group; nothing happens where it is in. Raises UnknownGroup, UnknownPrincipal."""
    with changing(session):
        get_group(session, group_name)
        get_principal(session, principal_id)
        if session.get(Membership, (group_name, principal_id)) is None:
            session.add(Membership(group_name=group_name, principal_id=principal_id))


def remove_member(session: Session, group_name: str, principal_id: str, *, force: bool = False) -> None:
    """Take a principal out of a group; nothing happens where it is not in. Raises UnknownGroup, UnknownPrincipal, LastAdmin."""
    with changing(session, force=force):
        get_group(session, group_name)
        get_principal(session, principal_id)
        if (membership := session.get(Membership, (group_name, principal_id))) is not None:
            session.delete(membership)


def nest(session: Session, parent: str, child: str) -> None:
    """Put a group into a group: members of ``child`` then may what ``parent`` may. Raises UnknownGroup, GroupCycle."""
    with changing(session):
        get_group(session, parent)
        get_group(session, child)
        if child in GroupGraph.read(session).closure([parent]):
            raise GroupCycle(
                f"{parent} is in {child} already, directly or not, or is the same; groups cannot be in each other"
            )
        if session.get(Nesting, (parent, child)) is None:
            session.add(Nesting(parent=parent, child=child))


def unnest(session: Session, parent: str, child: str, *, force: bool = False) -> None:
    """Take a group out of a group; nothing happens where it is not in. Raises UnknownGroup, LastAdmin."""
    with changing(session, force=force):
        get_group(session, parent)
        get_group(session, child)
        if (nesting := session.get(Nesting, (parent, child))) is not None:
            session.delete(nesting)


def list_members(session: Session, name: str, *, limit: int | None = None, after: str = "") -> Sequence[Principal]:
    """Principals that are directly in a group, oldest first, those after an id. Raises UnknownGroup."""
    get_group(session, name)
    members = select(Principal).join(Membership, Membership.principal_id == Principal.id)
    return session.scalars(
        members.where(Membership.group_name == name, Principal.id > after).order_by(Principal.id).limit(limit)
    ).all()


def children_of(session: Session, names: Collection[str]) -> Mapping[str, Sequence[str]]:
    """Names of the groups that are directly in each of these groups."""
    found: dict[str, list[str]] = {name: [] for name in names}
    rows = select(Nesting.parent, Nesting.child).where(Nesting.parent.in_(names)).order_by(Nesting.child)
    for parent, child in session.execute(rows):
        found[parent].append(child)
    return found


def groups_of(session: Session, principal_ids: Collection[str]) -> Mapping[str, Sequence[str]]:
    """Names of the groups that each of these principals is directly in."""
    found: dict[str, list[str]] = {principal_id: [] for principal_id in principal_ids}
    memberships = select(Membership.principal_id, Membership.group_name).order_by(Membership.group_name)
    for principal_id, group in session.execute(memberships.where(Membership.principal_id.in_(principal_ids))):
        found[principal_id].append(group)
    return found


def _own_group(session: Session, name: str) -> Group:
    if name in BUILT_IN:
        raise BuiltInGroup("built-in groups can be filled, not changed; make one of your own")
    return get_group(session, name)
