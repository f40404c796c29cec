"""What an error says about trying again, and how long to wait before that."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from kit.errors import C360Error


class ErrorClass(StrEnum):
    """Why an attempt failed, as far as the next one is concerned."""

    PERMANENT = "permanent"
    """The same request would fail again: it is not repeated."""
    CONTENTION = "contention"
    """Another writer was in the way."""
    UNAVAILABLE = "unavailable"
    """Something that is needed did not answer."""
    EXHAUSTED = "exhausted"
    """There was no room, quota or capacity."""


BACK_OFF = {
    ErrorClass.CONTENTION: (timedelta(seconds=1), timedelta(seconds=30)),
    ErrorClass.UNAVAILABLE: (timedelta(seconds=5), timedelta(minutes=5)),
    ErrorClass.EXHAUSTED: (timedelta(seconds=30), timedelta(minutes=15)),
}
"""Per retryable class: the wait after the first failure, and the longest. It doubles in between."""

_OF_KIND = {"conflict": ErrorClass.CONTENTION, "unavailable": ErrorClass.UNAVAILABLE}


def error_class_of(error: Exception) -> ErrorClass:
    """The class of an error of ours by its kind; anything else is a defect, and permanent."""
    return _OF_KIND.get(error.kind, ErrorClass.PERMANENT) if isinstance(error, C360Error) else ErrorClass.PERMANENT


def back_off(error_class: ErrorClass, failures: int) -> timedelta:
    """How long to wait after that many failures (at least one) of a retryable class."""
    first, longest = BACK_OFF[error_class]
    doublings = min(failures - 1, 16)
    return min(first * (1 << doublings), longest)
