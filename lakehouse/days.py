"""Days on which a table's rows stand, by its leading clustering column: what lets a merge leave most files alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from lakehouse.dataset import Dataset

_MOST = 8
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Days:
    """From ``first`` to ``last``, in UTC, both included."""

    first: date
    last: date


def few_spans(days: Iterable[date], most: int = _MOST) -> tuple[Days, ...]:
    """At most so many spans that hold all days, with the widest gaps between them: late news lie far from each other."""
    known = sorted(set(days))
    if not known:
        return ()
    gaps = [(after - before, before, after) for before, after in pairwise(known) if after - before > _DAY]
    kept = sorted((before, after) for _, before, after in sorted(gaps, reverse=True)[: most - 1])
    firsts = [known[0], *(after for _, after in kept)]
    lasts = [*(before for before, _ in kept), known[-1]]
    return tuple(map(Days, firsts, lasts))


def within_sql(target: Dataset, days: Sequence[Days], quote: str) -> str | None:
    """SQL of both engines: whether the row ``t`` of the target stands in these days; None where any may. It ends up in the
    commit's info: days on which something changed, and nobody's name."""
    column = target.day_column
    if column is None or not days:
        return None
    name = f"t.{quote}{column.name}{quote}"
    midnight = "" if column.data_type.sql == "DATE" else "T00:00:00Z"
    spans = []
    for span in days:
        condition = f"{name} >= '{span.first}{midnight}'"
        if span.last < date.max:  # a source may say 9999-12-31, which no day comes after
            condition += f" AND {name} < '{span.last + _DAY}{midnight}'"
        spans.append(f"({condition})")
    return f"({' OR '.join(spans)})"
