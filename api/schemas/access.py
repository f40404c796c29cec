"""Principals, groups and keys as the API takes and gives them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar

from fastapi import Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.cursors import Page
from governance.access import Scope
from governance.api_keys import DEFAULT_GRACE, MAX_GRACE
from governance.models import GROUP_NAME_LENGTH, NAME_LENGTH
from governance.principals import PrincipalKind

GROUP_NAME = rf"^[a-z][a-z0-9_-]{{0,{GROUP_NAME_LENGTH - 1}}}$"

PrincipalId = Annotated[
    str,
    Path(
        pattern="^prn_[0-9a-z]{1,36}$", description="Id of the principal.", examples=["prn_01kaxw3v9c5h8m2t7r4q6y0zbn"]
    ),
]
KeyId = Annotated[
    str, Path(pattern="^key_[0-9a-z]{1,36}$", description="Id of the key.", examples=["key_01kaxw3v9c5h8m2t7r4q6y0zbn"])
]
InGroup = Annotated[str, Path(pattern=GROUP_NAME, description="Name of the group.", examples=["team_a"])]
Force = Annotated[bool, Query(description="Do it even if nobody is left who can change who may what.")]
Name = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH, description="Tells people who or what it is.")]
GroupName = Annotated[str, Field(pattern=GROUP_NAME)]


class _Sent(BaseModel):
    """A body that is sent: what it does not know is refused, not overlooked."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


class NewPrincipal(_Sent):
    """A principal to be made."""

    name: Name
    kind: PrincipalKind = Field(default=PrincipalKind.SERVICE, description="What it is.")
    groups: list[GroupName] = Field(default_factory=list, max_length=50, description="Groups to put it into.")
    scopes: list[Scope] = Field(default_factory=list, max_length=50, description="What it may beside its groups.")


class NewKey(_Sent):
    """A key to be issued."""

    name: Name | None = Field(default=None, description="Tells people what it is for; left out: the principal's name.")
    scopes: list[Scope] = Field(
        default_factory=list, max_length=50, description="Narrow what the principal may; none: they do not."
    )
    expires_at: AwareDatetime | None = Field(default=None, description="When it ends; left out: never.")


class Rotation(_Sent):
    """How to rotate a key."""

    grace_seconds: int = Field(
        default=int(DEFAULT_GRACE.total_seconds()),
        ge=0,
        le=int(MAX_GRACE.total_seconds()),
        description="How long the old key goes on working.",
    )


class NewGroup(_Sent):
    """A group to be made."""

    name: GroupName = Field(description="How it is called in addresses and commands.")
    comment: str = Field(default="", max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$", description="What it is for.")
    scopes: list[Scope] = Field(default_factory=list, max_length=50, description="What its members may.")


class GroupScopes(_Sent):
    """What a group gives."""

    scopes: list[Scope] = Field(max_length=50, description="What its members may.")


class PrincipalView(BaseModel):
    """A service or a person that calls."""

    id: str
    kind: PrincipalKind
    name: str
    groups: list[str] = Field(description="The groups it is directly in.")
    own_scopes: list[Scope] = Field(description="What it may beside its groups.")
    scopes: list[Scope] = Field(description="All that it may while it is enabled, through its groups too.")
    created_at: datetime
    disabled_at: datetime | None = Field(description="Since when it is let in no more; `null`: it is enabled.")


class KeyView(BaseModel):
    """An API key, without its secret."""

    id: str
    principal_id: str
    prefix: str = Field(description="Second part of the key: names it in lists and logs.")
    name: str
    scopes: list[Scope] = Field(description="Narrow what the principal may; empty: they do not.")
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    replaced_by: str | None = Field(description="The key that a rotation made.")
    last_used_at: datetime | None = Field(description="Right to within some minutes.")


class IssuedKeyView(BaseModel):
    """A new API key. Its secret is shown this once."""

    id: str
    principal_id: str
    prefix: str
    name: str
    scopes: list[Scope]
    expires_at: datetime | None
    secret: str = Field(description="The whole key, as it is sent. It cannot be had again.")


class GroupView(BaseModel):
    """A group and what it gives."""

    name: str
    comment: str
    built_in: bool = Field(description="Built-in groups can be filled, not changed.")
    own_scopes: list[Scope] = Field(description="What it gives itself.")
    scopes: list[Scope] = Field(description="All that it gives, through the groups it is in too.")
    groups: list[str] = Field(description="The groups that are directly in it.")


class PrincipalPage(Page[PrincipalView]):
    """Principals, oldest first."""


class KeyPage(Page[KeyView]):
    """Keys, oldest first."""


class GroupPage(Page[GroupView]):
    """Groups by name."""
