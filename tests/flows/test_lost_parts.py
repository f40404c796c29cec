"""Parts of an installation get lost: the control database, a table, the online store. The next run ends where it should."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from cli.checks import Finding, examine
from cli.installation import Installation
from pipelines.sample import land_sample
from tests.lake_state import contents
from tests.platform import Platform

AS_OF = date(2026, 6, 1)
COMPUTED = (
    "silver.orders",
    "silver.customers",
    "silver.customers_history",
    "silver.exchange_rates",
    "gold.customer_360",
)
BRONZE = ("bronze.crm_customers", "bronze.ecommerce_orders", "bronze.exchange_rates")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample, run once."""
    home = tmp_path_factory.mktemp("whole")
    with Platform(home) as platform:
        land_sample(platform.landing, customers=25, seed=3, until=date(2026, 5, 31))
        platform.run(AS_OF)
    return home


@pytest.fixture
def platform(whole: Path, tmp_path: Path) -> Iterator[Platform]:
    """A copy of it."""
    shutil.copytree(whole, tmp_path / "home")
    with Platform(tmp_path / "home") as opened:
        yield opened


def held(home: Path, *names: str) -> dict[str, Counter[str] | None]:
    found: dict[str, Any] = contents(home / "lake")
    return {name: found.get(name) for name in names}


def held_back(home: Path) -> set[tuple[str, str]]:
    """(dataset, record) in quarantine: a CRM record without a key is there as often as bronze has it."""
    rows = DeltaTable(home / "lake/quality/quarantine").to_pyarrow_table().to_pylist()
    return {(row["dataset"], row["record"]) for row in rows}


def findings(platform: Platform) -> dict[str, Finding]:
    platform.store.close()  # a process opens it once; it opens itself again
    return {finding.subject: finding for finding in examine(Installation(platform.installation.settings))}


def test_without_the_control_database_silver_and_gold_end_the_same(whole: Path, platform: Platform) -> None:
    platform.installation.database.close()
    (platform.home / "control.db").unlink()
    assert not findings(platform)["control database"].ok
    platform.installation = Installation(platform.installation.settings)
    platform.installation.database  # noqa: B018 - migrated, as c360 init does
    assert all(finding.ok for finding in findings(platform).values())

    record = platform.run(AS_OF)
    assert held(platform.home, *COMPUTED) == held(whole, *COMPUTED)
    assert held_back(platform.home) == held_back(whole)
    doubled = {
        name: Counter({row: 2 * n for row, n in (rows or {}).items()}) for name, rows in held(whole, *BRONZE).items()
    }
    assert held(platform.home, *BRONZE) == doubled
    assert [
        flow.dataset for flow in record.datasets if flow.rows_written and not flow.dataset.startswith("bronze.")
    ] == [
        "reference.reporting_currency",
        "reference.calling_codes",
    ]
    assert all(finding.ok for finding in findings(platform).values())
    assert platform.run(AS_OF).commits == 0


@pytest.mark.parametrize(
    "table",
    [
        pytest.param("bronze.crm_customers", marks=pytest.mark.long),
        "bronze.ecommerce_orders",
        "reference.calling_codes",
        "silver.customers_history",
        pytest.param("gold.customer_360", marks=pytest.mark.long),
    ],
)
def test_a_vanished_table_is_said_and_built_again(table: str, whole: Path, platform: Platform) -> None:
    shutil.rmtree(platform.home / "lake" / table.replace(".", "/"))
    said = findings(platform)[table]
    assert not said.ok
    assert "has vanished" in said.detail
    platform.run(AS_OF)
    every = (*COMPUTED, *BRONZE, "reference.calling_codes", "quality.quarantine")
    assert held(platform.home, *every) == held(whole, *every)
    assert all(finding.ok for finding in findings(platform).values())
    assert platform.run(AS_OF).commits == 0


def test_a_whole_lake_lost_is_built_again_from_the_landing_files(whole: Path, platform: Platform) -> None:
    shutil.rmtree(platform.home / "lake")
    platform.run(AS_OF)
    every = (*COMPUTED, *BRONZE, "reference.calling_codes", "quality.quarantine")
    assert held(platform.home, *every) == held(whole, *every)


def test_what_landed_meanwhile_is_not_missed_by_the_readers_of_a_vanished_table(platform: Platform) -> None:
    """The new table may end at the very version its readers have seen of the old one."""
    shutil.rmtree(platform.home / "lake/silver/customers_history")
    record = '{"customer_id": "new", "loyalty_tier": "gold", "updated_at": "2026-05-31T12:00:00Z"}\n'
    (platform.landing / "crm/customers/zz.json").write_text(record)
    platform.run(AS_OF)
    assert platform.profile("new")["loyalty_tier"] == "gold"


def test_profiles_of_a_lake_that_is_no_more_do_not_stay(platform: Platform) -> None:
    """As above, for the online store: the new gold table may have the version that the store was at."""
    for place in ("lake", "landing"):
        shutil.rmtree(platform.home / place)
    (platform.landing / "crm/customers").mkdir(parents=True)
    (platform.landing / "crm/customers/1.json").write_text('{"customer_id": "new", "updated_at": "2026-05-31"}\n')
    platform.run(AS_OF)
    header = platform.store.header("customers")
    assert header is not None
    assert header.count == 1
    assert platform.profile("new")["customer_id"] == "new"


def test_a_crash_after_gold_is_built_anew_leaves_no_profile_of_the_old_lake(platform: Platform) -> None:
    for place in ("lake", "landing"):
        shutil.rmtree(platform.home / place)
    (platform.landing / "crm/customers").mkdir(parents=True)
    (platform.landing / "crm/customers/1.json").write_text('{"customer_id": "new", "updated_at": "2026-05-31"}\n')
    platform.store.close()
    command = [sys.executable, "-m", "cli.main", "pipeline", "run", "daily", "--as-of", AS_OF.isoformat(), "--json"]
    crash = {"C360_CRASH_AT": "publish.before_write", "C360_LEASE_SECONDS": "1", "C360_HOME": str(platform.home)}
    killed = subprocess.run(command, env={**os.environ, **crash}, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    platform.run(AS_OF)
    header = platform.store.header("customers")
    assert header is not None
    assert header.count == 1


def test_a_lost_online_store_is_filled_again(platform: Platform) -> None:
    count = platform.store.header("customers").count  # type: ignore[union-attr]
    platform.store.close()
    shutil.rmtree(platform.home / "online")
    assert not findings(platform)["online store"].ok
    with Platform(platform.home) as again:
        (published,) = again.run(AS_OF).published
        assert published.written == count > 20
        assert findings(again)["online store"].ok
