"""When a cron expression is due, by the wall clock of a time zone.

Expressions have five fields (or six, seconds first) and are read as Debian's cron does: a fixed time that the clock skips in spring
comes right after the gap, one that the clock repeats in autumn comes once.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from kit.errors import Invalid

_SPANS = (timedelta(hours=1), timedelta(days=2), timedelta(days=62))
"""How far back the newest tick is looked for: near first, since a second's schedule has 31 million ticks a year."""


class InvalidSchedule(Invalid):
    """The name, the expression or the time zone cannot be read; the message says what is expected."""

    code = "schedule.invalid"


def check_cron(cron: str | None, time_zone: str) -> None:
    """Raises InvalidSchedule for what cannot be read; None has nothing but a time zone."""
    try:
        zone = ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidSchedule("there is no such time zone; write one as Europe/Berlin or UTC") from None
    if cron is None:
        return
    try:
        next(CronSim(cron, datetime.now(zone)), None)
    except CronSimError:
        raise InvalidSchedule(
            "the expression cannot be read; write minute, hour, day of month, month and day of week, as in '0 6 * * *'"
        ) from None


def next_tick(cron: str | None, time_zone: str, after: datetime) -> datetime | None:
    """The first tick after an instant; None where there is no expression, or none comes any more."""
    return None if cron is None else next(_ticks(cron, time_zone, after), None)


def following_ticks(cron: str, time_zone: str, first: datetime, count: int) -> list[datetime]:
    """So many ticks, beginning with one that is known."""
    return [first, *islice(_ticks(cron, time_zone, first), count - 1)]


def newest_tick(cron: str, time_zone: str, *, after: datetime, upto: datetime) -> datetime | None:
    """The last tick of (after, upto]; None where there is none."""
    for begin in (*(upto - span for span in _SPANS), after):
        newest = None
        for tick in _ticks(cron, time_zone, max(begin, after)):
            if tick > upto:
                break
            newest = tick
        if newest is not None or begin <= after:
            return newest
    return None


def _ticks(cron: str, time_zone: str, after: datetime) -> Iterator[datetime]:
    """All ticks after an instant, in order. The library goes by the wall clock, which may lie before it in a repeated hour."""
    zone = ZoneInfo(time_zone)
    last = after
    for tick in CronSim(cron, after.astimezone(zone)):
        instant = tick.astimezone(UTC)
        if instant > last:
            yield instant
            last = instant
