"""What a source hands over, and when: the rows of all its files, in the order of their delivery."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.sample.draws import Draws, Ints, Mask
from pipelines.sample.text import Text, concat, digits

OTHER_SPELLING = 0.1  # the share of instants written in the format a source does not usually have


@dataclass(frozen=True, slots=True)
class FileForm:
    """How one file is written, whatever its rows."""

    newline: str = "\n"
    byte_order_mark: bool = False
    header_case: str = "lower"
    extended: bool = False  # with the column that the source has added one day
    text_instants: bool = False  # of Parquet: instants are strings


@dataclass(frozen=True, slots=True)
class Rendered:
    """Lines with their ends, one a record, or the rows of a Parquet file; and the dirt in them by name."""

    lines: Text
    injected: Counter[str]


class Rhythm(IntEnum):
    """How many days a file of the recent past covers. AT_ONCE: one file for all days landed together."""

    AT_ONCE = 0
    DAILY = 1
    WEEKLY = 7


class Source(Protocol):
    """One source. ``due`` is the day, counted from the first, on which each delivery is handed over (ascending)."""

    folder: str
    suffix: str
    rhythm: Rhythm
    is_dirty: bool
    due: NDArray[np.int32]

    def header(self, form: FileForm) -> str: ...

    def render(self, positions: Ints, form: FileForm) -> Rendered: ...


def customer_ids(customers: NDArray[np.integer[Any]]) -> Text:
    """The sample's customer ids by customer number: ``C0000001`` is the first."""
    return concat("C", digits(customers + 1, 7))


def late_days(draws: Draws, purpose: str, share: float, most: int, *keys: NDArray[np.integer[Any]]) -> Ints:
    """By how many days each delivery is late: 0 for all but ``share``."""
    is_late = draws.uniform(purpose, *keys) < share
    return np.where(is_late, 1 + draws.pick(f"{purpose}.days", most, *keys), 0)


def with_copies(positions: Ints, *again: Mask) -> tuple[Ints, Ints]:
    """Each position, and behind it one more for every mask it is marked in; and which copy of its position each is."""
    times = np.ones(len(positions), dtype=np.int64)
    for mask in again:
        times += mask
    firsts = np.cumsum(times) - times
    return np.repeat(positions, times), np.arange(times.sum()) - np.repeat(firsts, times)
