"""Tables of the control database that governance owns: who there is, in which groups, with which keys; which runs have ended.

A scope list is separated by single spaces (the OAuth spelling).
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from kit.db import Base

NAME_LENGTH = 200
GROUP_NAME_LENGTH = 64


class Principal(Base):
    """A service or a person. What it may is its own ``scopes`` and those of its groups, unless it is disabled."""

    __tablename__ = "principal"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    scopes: Mapped[str] = mapped_column(String(1000))
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]


class Group(Base):
    """A group of principals and of other groups. The scopes of a built-in group stand in ``governance.groups``, not here."""

    __tablename__ = "principal_group"

    name: Mapped[str] = mapped_column(String(GROUP_NAME_LENGTH), primary_key=True)
    comment: Mapped[str] = mapped_column(String(500))
    scopes: Mapped[str] = mapped_column(String(1000))
    created_at: Mapped[datetime]


class Membership(Base):
    """A principal in a group."""

    __tablename__ = "membership"
    __table_args__ = (Index("ix_membership__principal_id", "principal_id"),)

    group_name: Mapped[str] = mapped_column(ForeignKey("principal_group.name"), primary_key=True)
    principal_id: Mapped[str] = mapped_column(ForeignKey("principal.id"), primary_key=True)


class Nesting(Base):
    """A group in a group: what ``parent`` may, the members of ``child`` may too. Nestings never form a cycle."""

    __tablename__ = "group_nesting"
    __table_args__ = (Index("ix_group_nesting__child", "child"),)

    parent: Mapped[str] = mapped_column(ForeignKey("principal_group.name"), primary_key=True)
    child: Mapped[str] = mapped_column(ForeignKey("principal_group.name"), primary_key=True)


class ApiKey(Base):
    """An API key of a principal. The secret itself is stored nowhere: only its SHA-256, which is enough for 256 random bits.

    ``scopes`` narrow what the principal may; empty: they do not. A key is live while ``revoked_at`` is NULL and ``expires_at`` is
    NULL or in the future. ``replaced_by`` is the key that a rotation made; ``last_used_at`` is right to within some minutes.
    """

    __tablename__ = "api_key"
    __table_args__ = (Index("ix_api_key__principal_id_id", "principal_id", "id"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    principal_id: Mapped[str] = mapped_column(ForeignKey("principal.id"))
    prefix: Mapped[str] = mapped_column(String(16), unique=True)
    secret_hash: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    scopes: Mapped[str] = mapped_column(String(1000))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    replaced_by: Mapped[str | None] = mapped_column(String(40))
    last_used_at: Mapped[datetime | None]


class AccessGeneration(Base):
    """One row. Its number grows with every change of who may what, so that a process need not read all of it to see that nothing
    changed; its lock puts such changes in a row."""

    __tablename__ = "access_generation"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger)


class EndedRun(Base):
    """What the timeline of runs is to say of a run that has ended, told in the transaction that ended it (governance/timeline.py).

    ``position`` is the look of the export that found it; NULL until then.
    """

    __tablename__ = "ended_run"
    __table_args__ = (Index("ix_ended_run__position_run_id", "position", "run_id"),)

    run_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    pipeline: Mapped[str] = mapped_column(String(200))
    trigger: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20))
    error_class: Mapped[str | None] = mapped_column(String(20))
    error_code: Mapped[str | None] = mapped_column(String(100))
    parameters: Mapped[dict[str, str]] = mapped_column(JSON)
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime]
    position: Mapped[int | None] = mapped_column(BigInteger)
