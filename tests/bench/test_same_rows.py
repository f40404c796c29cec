"""What benchmarks compare before they time: builds that differ end them; the build by hand is ours; deltas lead where a full build does."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from bench.harness.deltas import land_changes, land_last_days
from bench.harness.lake import AS_OF, UNTIL, built_datasets, daily
from bench.harness.rows import compare
from bench.peers import build
from pipelines.sample import land_sample

CUSTOMERS = 100
ROWS = {"customer_id": ["c1", "c2", "c2"], "net": [1, 2, None]}


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"customer_id": ["c1", "c2", "c2"], "net": [1, 2, 3]}, "1 rows are in ours alone"),
        ({"customer_id": ["c1", "c2"], "net": [1, 2]}, "1 rows are in ours alone"),
        ({"customer_id": ["c1", "c2", "c2", "c1"], "net": [1, 2, None, 1]}, "1 rows are in the other alone"),
        ({"customer_id": ["c1", "c2", "c2"]}, "only one of the builds has net"),
    ],
)
def test_builds_that_differ_end_a_benchmark(tmp_path: Path, other: dict[str, list[object]], said: str) -> None:
    write_deltalake(tmp_path / "ours/gold/totals", pa.table(ROWS))
    write_deltalake(tmp_path / "other/gold/totals", pa.table(other))
    assert compare(tmp_path / "ours", tmp_path / "ours", ["gold.totals"]) == 3
    with pytest.raises(SystemExit, match=said):
        compare(tmp_path / "ours", tmp_path / "other", ["gold.totals"])


@pytest.mark.long
def test_the_build_by_hand_makes_the_rows_that_ours_makes(tmp_path: Path) -> None:
    land_sample(tmp_path / "landing", customers=CUSTOMERS, until=UNTIL)
    daily(tmp_path, publishing=False)
    build.main(tmp_path / "landing", tmp_path / "peer", AS_OF)
    assert compare(tmp_path / "lake", tmp_path / "peer", built_datasets()) > 100 * CUSTOMERS


@pytest.mark.long
def test_deltas_lead_where_a_full_build_does(tmp_path: Path) -> None:
    home, other = tmp_path / "steps", tmp_path / "whole"
    land_sample(home / "landing", customers=CUSTOMERS, until=UNTIL - timedelta(days=3))
    daily(home)
    assert daily(home).told["commits"] == 0
    assert land_last_days(home / "landing", customers=CUSTOMERS, until=UNTIL, share=0.05) == CUSTOMERS * 0.05
    assert 0 < daily(home).told["published"] <= CUSTOMERS * 0.3  # theirs, and those whose quintile moved
    assert min(land_changes(home / "landing", home / "lake", one_in=20).values()) > 0
    assert daily(home).told["commits"] > 0
    other.mkdir()
    (other / "landing").symlink_to(home / "landing")
    daily(other)
    compare(home / "lake", other / "lake", [name for name in built_datasets() if name != "bronze.support_tickets"])
