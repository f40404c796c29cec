"""Time: instants are aware datetimes in UTC with microseconds; ``as_of`` is a date."""

from __future__ import annotations

from datetime import UTC, date, datetime


def now() -> datetime:
    """The present instant, in UTC."""
    return datetime.now(UTC)


def today() -> date:
    """The present date, in UTC: the default ``as_of`` of a run."""
    return now().date()
