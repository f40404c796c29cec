"""What is recorded: one thing that someone did, or tried to do."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import NamedTuple

OK = int(HTTPStatus.OK)
NOTHING: Mapping[str, str] = MappingProxyType({})


class Event(NamedTuple):
    """One event. Named tuples are made on the hot path: they cost a third of a frozen dataclass.

    ``service`` and ``action`` say what was done (an API operation's tag and id), ``principal`` who did it; None where nobody is
    known. ``customer`` and ``source`` (a network address) are given as they are and kept as keyed hashes only. ``params`` must
    hold nothing personal: names of things, classes, counts.
    """

    service: str
    action: str
    principal: str | None = None
    status: int = OK
    error: str | None = None
    request_id: str | None = None
    customer: str | None = None
    source: str | None = None
    params: Mapping[str, str] = NOTHING
