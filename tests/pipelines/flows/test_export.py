"""Rows that are kept elsewhere come into their table once each: in any portions, over any crash, after a loss."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.catalog import Catalog
from lakehouse.dataset import Action, Expectation, InvalidDeclaration
from lakehouse.query import run_query
from pipelines.flows.export import MissingExport
from tests.lake_state import batch_commits, versions
from tests.pipelines.flows.exported_numbers import AS_OF, NUMBERS, Numbers, export, exported
from tests.platform import Platform


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with Platform(tmp_path / "home") as opened:
        yield opened


@settings(max_examples=6, deadline=None)
@given(gains=st.lists(st.integers(0, 7), min_size=1, max_size=5), size=st.integers(1, 4))
def test_whatever_the_portions_each_row_comes_once(gains: list[int], size: int) -> None:
    with tempfile.TemporaryDirectory() as home, Platform(Path(home)) as platform:
        count = 0
        for gain in gains:
            count += gain
            written = export(platform, Numbers(count, size)).datasets[0].rows_written
            assert written == gain
            assert exported(platform.home) == list(range(1, count + 1))


def test_nothing_new_commits_nothing(platform: Platform) -> None:
    export(platform, Numbers(3))
    before = versions(platform.home / "lake")
    result = export(platform, Numbers(3)).datasets[0]
    assert (result.batches, versions(platform.home / "lake")) == (0, before)


def test_positions_without_a_row_are_passed_once(platform: Platform) -> None:
    everything_skipped = Numbers(4, skip=1)
    assert export(platform, everything_skipped).datasets[0].rows_written == 0
    assert export(platform, everything_skipped).datasets[0].batches == 0
    assert export(platform, Numbers(7, skip=2)).datasets[0].rows_written == 2
    assert exported(platform.home) == [5, 7]


@pytest.mark.parametrize(
    "boundary", ["flow.batch_planned", "commit.fence_checked", "commit.written", "flow.target_committed"]
)
def test_killed_anywhere_and_run_again_with_more_rows(boundary: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    arguments = [sys.executable, "-m", "tests.pipelines.flows.exported_numbers", str(home)]
    crash = {**os.environ, "C360_CRASH_AT": boundary}
    killed = subprocess.run([*arguments, "5", "2"], env=crash, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with Platform(home, lease_seconds=1) as platform:
        export(platform, Numbers(9, 2))
        assert exported(home) == list(range(1, 10))
        commits = batch_commits(home / "lake" / "system" / "tests" / "numbers")
        assert set(commits.values()) == {1}, commits
        assert export(platform, Numbers(9, 2)).datasets[0].batches == 0


def test_a_vanished_table_is_built_anew(platform: Platform) -> None:
    export(platform, Numbers(5))
    shutil.rmtree(platform.home / "lake" / "system")
    export(platform, Numbers(6))
    assert exported(platform.home) == list(range(1, 7))


@pytest.mark.parametrize("column", ["number", "numbers.number", "NUMBERS.number"])
def test_three_part_names_are_asked_in_sql(column: str, platform: Platform) -> None:
    export(platform, Numbers(4))
    question = f"SELECT max({column}) AS largest FROM system.tests.NUMBERS"
    with platform.installation.engine() as engine:
        assert run_query(engine, Catalog([NUMBERS]), question, AS_OF).rows.to_pylist() == [{"largest": 4}]


def test_a_run_without_the_keeper_says_which_is_missing(platform: Platform) -> None:
    with pytest.raises(MissingExport, match=r"system\.tests\.numbers is exported from numbers; .*handed are: none"):
        export(platform, None)


def test_an_exported_table_judges_nothing() -> None:
    judged = replace(NUMBERS, expectations=(Expectation("small", "number < 9", Action.WARN),))
    with pytest.raises(InvalidDeclaration, match=r"system\.tests\.numbers holds what was recorded"):
        Catalog([judged])


def test_no_table_lies_within_another() -> None:
    with pytest.raises(InvalidDeclaration, match=r"system\.tests is a table, so no other can lie within it"):
        Catalog([NUMBERS, replace(NUMBERS, name="system.tests")])
