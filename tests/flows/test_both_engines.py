"""Every dataset, on DuckDB and on Spark, row by row: over the sample, over real sales, and over a lake that both engines wrote
in turns."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lakehouse.spark.engine import SparkEngine
from pipelines.runner import run_pipeline
from pipelines.sample import land_sample
from tests.lake_state import batch_commits, contents, tables
from tests.online_retail import OnlineRetail
from tests.platform import Platform

UNTIL = date(2026, 5, 30)
AS_OF = date(2026, 6, 1)

pytestmark = pytest.mark.xdist_group("spark")


def run_on_spark(platform: Platform, spark: Any) -> Any:
    engine = SparkEngine(platform.installation.settings.lake, spark, platform.installation.settings.scratch)
    return run_pipeline("daily", platform.context(engine, AS_OF), platform.store)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Platform(tmp_path_factory.mktemp("embedded")) as platform:
        land_sample(platform.landing, customers=40, seed=5, until=UNTIL)
        platform.run(AS_OF)
        yield platform


def assert_equal_lakes(one: Platform, other: Platform) -> None:
    left, right = contents(one.home / "lake"), contents(other.home / "lake")
    assert left.keys() == right.keys()
    for name in left:
        assert left[name] == right[name], (
            f"{name}: only one engine has {(left[name] - right[name]) + (right[name] - left[name])}"
        )


def land_the_same(landed: Platform, other: Platform) -> None:
    """The very files: a Delta table written again has other file names and commit times."""
    shutil.rmtree(other.landing, ignore_errors=True)
    shutil.copytree(landed.landing, other.landing)


def test_both_engines_build_the_same_datasets(embedded: Platform, spark: Any, tmp_path: Path) -> None:
    with Platform(tmp_path) as platform:
        land_the_same(embedded, platform)
        run_on_spark(platform, spark)
        assert_equal_lakes(embedded, platform)
        again = run_on_spark(platform, spark)
        assert again.commits == 0


@pytest.mark.long
def test_spark_continues_a_lake(spark: Any, tmp_path: Path) -> None:
    in_turns(spark, tmp_path, customers=15, days=(date(2026, 5, 29), UNTIL))


@pytest.mark.long
def test_each_engine_continues_the_other_s_lake(spark: Any, tmp_path: Path) -> None:
    in_turns(spark, tmp_path, customers=40, days=(date(2026, 5, 27), date(2026, 5, 29), UNTIL))


def in_turns(spark: Any, tmp_path: Path, customers: int, days: tuple[date, ...]) -> None:
    """A lake that Spark continues on the second day, beside one that only the embedded engine writes; it finds nothing left to do."""
    with Platform(tmp_path / "turns") as turns, Platform(tmp_path / "embedded") as embedded:
        for step, until in enumerate(days):
            land_sample(turns.landing, customers=customers, seed=5, until=until)
            land_the_same(turns, embedded)
            embedded.run(AS_OF)
            if step == 1:
                run_on_spark(turns, spark)
            else:
                turns.run(AS_OF)
        assert_equal_lakes(embedded, turns)
        assert turns.run(AS_OF).commits == 0
        for path in tables(turns.home / "lake").values():
            assert all(count == 1 for count in batch_commits(path).values())


@pytest.mark.long
def test_online_retail_is_the_same_on_both(online_retail_landing: OnlineRetail, spark: Any, tmp_path: Path) -> None:
    with Platform(tmp_path / "spark") as on_spark, Platform(tmp_path / "embedded") as embedded:
        for platform in (on_spark, embedded):
            platform.landing.parent.mkdir(parents=True, exist_ok=True)
            platform.landing.symlink_to(online_retail_landing.landing)
        run_on_spark(on_spark, spark)
        embedded.run(AS_OF)
        assert_equal_lakes(embedded, on_spark)
