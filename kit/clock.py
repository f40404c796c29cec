"""Time: instants are aware datetimes in UTC with microseconds; ``as_of`` is a date."""

from __future__ import annotations

from datetime import UTC, date, datetime


def now() -> datetime:
    """The present instant, in UTC."""
    return datetime.now(UTC)


def today() -> date:
    """The present date, in UTC: the default ``as_of`` of a run."""
    return now().date()


def aware(instant: datetime | None) -> datetime | None:
    """An instant as somebody wrote it, in UTC; one without an offset is meant so."""
    if instant is None or instant.tzinfo is None:
        return instant and instant.replace(tzinfo=UTC)
    try:
        return instant.astimezone(UTC)
    except OverflowError:  # within a day of the ends of the calendar
        return instant.replace(tzinfo=UTC)
