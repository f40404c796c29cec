"""Which files a source hands over: what days each covers, how it is called, dated and written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

from pipelines.sample.behaviour import HISTORY_DAYS
from pipelines.sample.deliveries import FileForm, Rhythm, Source

RECENT_DAYS = 30  # before the end; what is older is handed over by the month
EXTENDED_FROM = HISTORY_DAYS - 200  # the day from which new files have an additional column
EMPTY_FILE_DAY = HISTORY_DAYS - 9
TORN_FILE_DAY = HISTORY_DAYS - 6


@dataclass(frozen=True, slots=True)
class FilePlan:
    """One file: the deliveries it holds (positions from ``first`` up to ``after``), and its form.

    ``modified`` is the midnight that ends its last day, so that files are as old as their path says. A torn file ends in the
    middle.
    """

    path: str
    modified: datetime
    first: int
    after: int
    form: FileForm
    is_torn: bool = False

    @property
    def is_empty(self) -> bool:
        return self.first == self.after


def plan_files(source: Source, first_day: date, start: int, after: int) -> Iterator[FilePlan]:
    """The files of the days from ``start`` up to ``after``, oldest first; days without a delivery have none."""
    noun = source.folder.rpartition("/")[2]
    for begin, end in _spans(source.rhythm, first_day, start, after):
        last = first_day + timedelta(days=end - 1)
        first_position, after_position = np.searchsorted(source.due, (begin, end)).tolist()
        path = f"{source.folder}/{noun}-{last.isoformat()}"
        modified = datetime.combine(last + timedelta(days=1), datetime.min.time(), UTC)
        if first_position < after_position:
            form = _form(last, source.suffix, extended=begin >= EXTENDED_FROM) if source.is_dirty else FileForm()
            yield FilePlan(path + source.suffix, modified, first_position, after_position, form)
        if source.is_dirty and source.suffix == ".parquet" and begin <= TORN_FILE_DAY < end:
            yield FilePlan(
                f"{path}-retry{source.suffix}", modified, first_position, after_position, FileForm(), is_torn=True
            )
        if source.is_dirty and source.suffix != ".json" and begin <= EMPTY_FILE_DAY < end:
            yield FilePlan(f"{path}-retry{source.suffix}", modified, after_position, after_position, FileForm())


def _spans(rhythm: Rhythm, first_day: date, start: int, after: int) -> Iterator[tuple[int, int]]:
    """Consecutive half-open spans of days, one a file."""
    if rhythm is Rhythm.AT_ONCE:
        yield start, after
        return
    recent = max(start, after - RECENT_DAYS)
    while start < after:
        next_month = ((first_day + timedelta(days=start)).replace(day=28) + timedelta(days=4)).replace(day=1)
        end = min((next_month - first_day).days, recent) if start < recent else min(start + rhythm.value, after)
        if rhythm is Rhythm.WEEKLY and start == 0:
            end = 1  # the export of what there was before
        yield start, end
        start = end


def _form(last: date, suffix: str, *, extended: bool) -> FileForm:
    """The form of a file by its last day alone, such that the daily files of a month show every form."""
    day = last.toordinal()
    newline = "\r\n" if (day + 4) % 7 == 0 else "\n"
    if suffix == ".json":
        return FileForm(newline, extended=extended)
    header_case = {5: "upper", 8: "title"}.get(day % 11, "lower")
    if suffix == ".parquet":
        return FileForm(header_case=header_case, extended=extended, text_instants=(day + 2) % 9 == 0)
    return FileForm(newline, byte_order_mark=(day + 5) % 9 == 0, header_case=header_case, extended=extended)
