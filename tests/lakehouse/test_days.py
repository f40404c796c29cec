"""Days that a merge looks at: none is lost, and few spans leave out as much as they can."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.dataset import ByKey, Column, Dataset, NoSubject
from lakehouse.days import Days, few_spans, within_sql

VISITS = Dataset(
    "silver.visits",
    "Visits",
    (Column("visit_id", "STRING", "Id", nullable=False), Column("day", "DATE", "Its day", nullable=False)),
    ByKey(("visit_id",)),
    NoSubject("made up"),
    keys=("visit_id",),
    cluster_by=("day",),
)


@given(st.lists(st.dates(date(2020, 1, 1), date(2020, 12, 31)), max_size=60), st.integers(1, 8))
def test_every_day_is_in_one_span_and_the_widest_gaps_are_left_out(days: list[date], most: int) -> None:
    spans = few_spans(days, most)
    assert len(spans) <= most
    assert all(sum(span.first <= day <= span.last for span in spans) == 1 for day in days)
    assert all({span.first, span.last} <= set(days) for span in spans)
    left_out = [after.first - before.last for before, after in pairwise(spans)]
    inside = [
        later - earlier
        for earlier, later in pairwise(sorted(set(days)))
        if any(span.first <= earlier and later <= span.last for span in spans)
    ]
    assert all(gap > timedelta(days=1) for gap in left_out)
    assert len(spans) < most or not inside or not left_out or max(inside) <= min(left_out)
    assert len(spans) == most or all(gap <= timedelta(days=1) for gap in inside)


def test_a_span_ends_with_its_last_day() -> None:
    spans = [Days(date(2026, 5, 1), date(2026, 5, 3)), Days(date(2026, 6, 9), date(2026, 6, 9))]
    assert within_sql(VISITS, spans, '"') == (
        "((t.\"day\" >= '2026-05-01' AND t.\"day\" < '2026-05-04') OR (t.\"day\" >= '2026-06-09' AND t.\"day\" < '2026-06-10'))"
    )


def test_the_last_day_of_all_has_no_end() -> None:
    assert within_sql(VISITS, few_spans([date.max]), '"') == "((t.\"day\" >= '9999-12-31'))"


@pytest.mark.parametrize(
    "column",
    [
        Column("day", "DATE", "may be missing"),
        Column("day", "STRING", "no day", nullable=False),
        Column("day", "DATE", "someone's", "subject_key", nullable=False),
    ],
)
def test_days_that_rows_may_lack_or_that_name_someone_are_not_used(column: Column) -> None:
    target = replace(VISITS, columns=(VISITS.columns[0], column))
    assert target.day_column is None
    assert within_sql(target, [Days(date(2026, 5, 1), date(2026, 5, 3))], '"') is None
