"""Tables of the control database that the API owns."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from kit.db import Base


class IdempotentRequest(Base):
    """A request that came with an ``Idempotency-Key``, and the answer it was given.

    Key and request are kept as keyed hashes only, the answer only where it can hold nothing personal and no secret (``body`` is NULL
    otherwise). The row is made in the transaction of what the request creates: there is never one without the other.
    """

    __tablename__ = "idempotent_request"
    __table_args__ = (Index("ix_idempotent_request__created_at", "created_at"),)

    principal: Mapped[str] = mapped_column(String(200), primary_key=True)
    key_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    status: Mapped[int | None]
    headers: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
