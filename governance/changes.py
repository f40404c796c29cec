"""Every change of who may what goes through ``changing``: one after the other, seen by all processes, never locking out the last admin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from governance.access import Scope, known_scopes
from governance.group_graph import GroupGraph
from governance.models import AccessGeneration, ApiKey, Membership, Principal
from kit import clock
from kit.errors import Conflict


class LastAdmin(Conflict):
    """Nobody would be left who can change who may what. What was changed in the session must be rolled back."""

    code = "access.last_admin"


@contextmanager
def changing(session: Session, *, force: bool = False) -> Iterator[None]:
    """One change, checked and flushed when the block ends; raises LastAdmin unless it is forced.

    The row it locks first makes changes wait for each other until they commit, so that what was checked holds.
    """
    session.execute(update(AccessGeneration).values(number=AccessGeneration.number + 1))
    had_admin = not force and has_admin(session)
    yield
    session.flush()
    if had_admin and not has_admin(session):
        raise LastAdmin(
            f"nobody with {Scope.PRINCIPALS_WRITE} and a live key would be left; make another admin first, or force it"
        )


def has_admin(session: Session) -> bool:
    """Whether an enabled principal may change who may what, with a key that lives on and may be used for it."""
    granting = GroupGraph.read(session).granting(Scope.PRINCIPALS_WRITE)
    members = select(Membership.principal_id).where(Membership.group_name.in_(granting))
    candidates = session.execute(
        select(Principal.id, Principal.scopes, Principal.id.in_(members), ApiKey.scopes)
        .join(ApiKey, ApiKey.principal_id == Principal.id)
        .where(
            Principal.disabled_at.is_(None),
            or_(Principal.id.in_(members), Principal.scopes.contains(Scope.PRINCIPALS_WRITE.value)),
            ApiKey.revoked_at.is_(None),
            ApiKey.replaced_by.is_(None),
            or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > clock.now()),
        )
    )
    return any(
        (is_member or Scope.PRINCIPALS_WRITE in known_scopes(own))
        and (not narrowed or Scope.PRINCIPALS_WRITE in known_scopes(narrowed))
        for _, own, is_member, narrowed in candidates
    )
