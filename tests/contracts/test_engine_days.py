"""What every engine promises of a merge that is told on which days its rows stand: the same rows as without."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from deltalake.exceptions import DeltaError

from lakehouse.dataset import ByKey, Column, Dataset, NoSubject
from lakehouse.days import Days
from lakehouse.engine import Engine
from tests.fixtures.engines import AS_OF, Lease, commit

VISITS = Dataset(
    name="silver.visits",
    comment="Visits",
    columns=(
        Column("visit_id", "STRING", "Id", nullable=False),
        Column("at", "TIMESTAMP", "When", nullable=False),
        Column("pages", "INT", "How many"),
    ),
    flow=ByKey(("visit_id",)),
    subject=NoSubject("made up"),
    keys=("visit_id",),
    cluster_by=("at",),
)
BY_DATE = replace(VISITS, columns=(VISITS.columns[0], Column("at", "DATE", "When", nullable=False), VISITS.columns[2]))


def rows(target: Dataset, *some: tuple[str, int, int, str]) -> str:
    """A merge source of (visit, day of May, pages, change)."""
    kind = "DATE" if target is BY_DATE else "TIMESTAMP"
    time = "" if target is BY_DATE else " 23:59:59.999999"
    return " UNION ALL ".join(
        f"SELECT '{visit}' AS visit_id, {kind} '2026-05-{day:02}{time}' AS at, {pages} AS pages, '{change}' AS _change"
        for visit, day, pages, change in some
    )


def landed(engine: Engine, target: Dataset) -> None:
    """A file for each of three days."""
    with engine.session(AS_OF) as session:
        for batch, day in enumerate((1, 10, 20), start=1):
            sql = f"SELECT visit_id, at, pages FROM ({rows(target, (f'v{day}', day, 1, 'insert'))})"
            session.append(target, sql, commit(batch))


def stored(engine: Engine) -> dict[str, tuple[Any, int]]:
    """Day of the month and pages by visit."""
    version = engine.version(VISITS.name)
    assert version is not None
    with engine.session(AS_OF) as session:
        session.bind("visits", VISITS.name, version)
        found = session.fetch("SELECT * FROM visits").to_pylist()
    assert len(found) == len({row["visit_id"] for row in found})
    return {row["visit_id"]: (row["at"].day, row["pages"]) for row in found}


def may(first: int, last: int) -> Days:
    """Days of May."""
    return Days(date(2026, 5, first), date(2026, 5, last))


@pytest.mark.parametrize("target", [VISITS, BY_DATE], ids=["instant", "date"])
def test_rows_change_move_and_go_on_the_days_on_which_they_stood(engine: Engine, target: Dataset) -> None:
    landed(engine, target)
    changes = rows(
        target, ("v1", 20, 2, "upsert"), ("v10", 10, 1, "delete"), ("v5", 5, 3, "insert"), ("v20", 20, 4, "upsert")
    )
    with engine.session(AS_OF) as session:
        session.merge(target, changes, commit(4), [may(1, 1), may(8, 12), may(20, 20)])
    assert stored(engine) == {"v1": (20, 2), "v5": (5, 3), "v20": (20, 4)}


def test_a_row_of_the_last_day_of_all_is_found(engine: Engine) -> None:
    last = "SELECT 'v' AS visit_id, TIMESTAMP '9999-12-31 23:59:59.999999' AS at, {} AS pages"
    with engine.session(AS_OF) as session:
        session.append(VISITS, last.format(1), commit(1))
        changed = f"SELECT *, 'upsert' AS _change FROM ({last.format(2)})"
        session.merge(VISITS, changed, commit(2), [Days(date(1, 1, 1), date(1, 1, 1)), Days(date.max, date.max)])
    with engine.session(AS_OF) as session:
        session.bind("visits", VISITS.name, engine.version(VISITS.name) or 0)
        assert session.fetch("SELECT pages FROM visits").column("pages").to_pylist() == [2]


def test_no_days_given_means_all(engine: Engine) -> None:
    landed(engine, VISITS)
    with engine.session(AS_OF) as session:
        session.merge(VISITS, rows(VISITS, ("v1", 2, 2, "upsert"), ("v20", 20, 1, "delete")), commit(4))
    assert stored(engine) == {"v1": (2, 2), "v10": (10, 1)}


def test_the_log_names_days_and_no_row(engine: Engine, lake: Path) -> None:
    landed(engine, VISITS)
    with engine.session(AS_OF) as session:
        session.merge(VISITS, rows(VISITS, ("v10", 10, 5, "upsert")), commit(4), [may(10, 10)])
    newest = max((lake / "silver" / "visits" / "_delta_log").glob("*.json"))
    information = next(line for line in newest.read_text().splitlines() if '"commitInfo"' in line)
    assert "v10" not in information
    assert "23:59:59" not in information


@pytest.mark.parametrize("engine", ["embedded"], indirect=True)
def test_files_of_other_days_are_not_read(engine: Engine, lake: Path) -> None:
    landed(engine, VISITS)
    files = sorted((lake / "silver" / "visits").glob("*.parquet"), key=lambda file: file.stat().st_mtime_ns)
    files[0].unlink()
    files[2].unlink()
    with engine.session(AS_OF) as session:
        with pytest.raises(DeltaError, match="Failed to fetch metadata"):
            session.merge(VISITS, rows(VISITS, ("v10", 10, 5, "upsert")), commit(4))
        session.merge(VISITS, rows(VISITS, ("v10", 10, 5, "upsert")), commit(4), [may(10, 10)])
    assert engine.batch(VISITS.name, "flow") == 4


def test_files_are_smaller_where_merges_find_them_by_days(engine: Engine, lake: Path) -> None:
    engine.create(VISITS, Lease())
    engine.create(replace(VISITS, name="silver.others", cluster_by=()), Lease())
    sizes = [
        next(
            line
            for line in (lake / "silver" / noun / "_delta_log" / f"{0:020}.json").read_text().splitlines()
            if "metaData" in line
        )
        for noun in ("visits", "others")
    ]
    assert f'"delta.targetFileSize":"{16 << 20}"' in sizes[0]
    assert f'"delta.targetFileSize":"{128 << 20}"' in sizes[1]
