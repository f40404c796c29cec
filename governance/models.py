"""Tables of the control database that governance owns."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from kit.db import Base

NAME_LENGTH = 200


class ApiKey(Base):
    """An API key. The secret itself is stored nowhere: only its SHA-256, which is enough for 256 random bits.

    ``scopes`` are separated by single spaces (the OAuth spelling). A key is live while ``revoked_at`` is NULL and
    ``expires_at`` is NULL or in the future.
    """

    __tablename__ = "api_key"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    prefix: Mapped[str] = mapped_column(String(16), unique=True)
    secret_hash: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    scopes: Mapped[str] = mapped_column(String(1000))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
