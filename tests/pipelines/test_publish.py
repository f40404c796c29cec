"""Publication by its effects: the online store ends at the table's version, by as few writes as that takes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from deltalake import DeltaTable

from cli.installation import Installation
from lakehouse.query import run_query
from pipelines.publish import PublishResult
from tests.flows.test_any_batching import land
from tests.platform import Platform

AS_OF = date(2026, 3, 1)
HEADER = "order_id,line_number,customer_id,order_ts,quantity,unit_price,currency,status\n"
CUSTOMERS = "".join(
    f'{{"customer_id": "c{n}", "loyalty_tier": "basic", "updated_at": "2026-01-01"}}\n' for n in range(5)
)
MTIME = 1_767_225_600_000_000_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five customers, one of them with an order, published."""
    home = tmp_path_factory.mktemp("published")
    with Platform(home) as opened:
        land(opened.landing, ("crm/customers/1.json", CUSTOMERS, MTIME))
        land(opened.landing, ("ecommerce/orders/1.csv", f"{HEADER}o1,1,c1,2026-02-15,1,2.50,GBP,paid\n", MTIME))
        assert counts(published(opened)) == (5, 0, 0)
    return home


@pytest.fixture
def platform(home: Path, tmp_path: Path) -> Iterator[Platform]:
    """A copy of that installation."""
    shutil.copytree(home, tmp_path / "home")
    with Platform(tmp_path / "home") as opened:
        yield opened


def published(platform: Platform, as_of: date = AS_OF) -> PublishResult:
    (result,) = platform.run(as_of).published
    assert_current(platform, as_of)
    return result


def counts(result: PublishResult) -> tuple[int, int, int]:
    return result.written, result.deleted, result.unchanged


def assert_current(platform: Platform, as_of: date) -> None:
    """The store says what gold says: the same customers, with the same orders, under the version they were read at."""
    with platform.installation.engine() as engine:
        header = platform.store.header("customers")
        assert header is not None
        assert (header.table, header.version) == ("gold.customer_360", engine.version("gold.customer_360"))
        catalog = platform.installation.catalog
        rows = run_query(engine, catalog, "SELECT * FROM gold.customer_360", as_of).rows.to_pylist()
    assert (header.as_of, header.count) == (as_of, len(rows))
    for row in rows:
        profile = platform.profile(row["customer_id"])
        assert (profile["loyalty_tier"], profile["orders_count"]) == (row["loyalty_tier"], row["orders_count"])


def test_nothing_new_writes_nothing(platform: Platform) -> None:
    before = platform.store.header("customers")
    assert counts(published(platform)) == (0, 0, 0)
    assert platform.store.header("customers") == before


def test_only_changed_profiles_are_written(platform: Platform) -> None:
    change = '{"customer_id": "c3", "loyalty_tier": "gold", "updated_at": "2026-01-02"}\n'
    land(platform.landing, ("crm/customers/2.json", change, MTIME + 10**9))
    assert counts(published(platform)) == (1, 0, 0)
    assert platform.profile("c3")["loyalty_tier"] == "gold"


def test_another_as_of_moves_the_header_and_what_its_windows_hold(platform: Platform) -> None:
    before = platform.store.header("customers")
    assert counts(published(platform, date(2026, 3, 2))) == (0, 0, 0)  # the order is within 30 days of either
    after = platform.store.header("customers")
    assert before is not None
    assert after is not None
    assert (after.version, after.as_of) == (before.version, date(2026, 3, 2))
    assert counts(published(platform, date(2026, 4, 1))) == (1, 0, 0)


def test_a_customer_gone_from_gold_is_gone_from_the_store(platform: Platform) -> None:
    """Nothing in these pipelines takes a customer out of bronze yet: the test does, as an erasure would."""
    DeltaTable(platform.home / "lake/bronze/crm_customers").delete("customer_id = 'c4'")
    assert counts(published(platform)) == (0, 1, 0)
    assert platform.store.get("customers", "c4") is None


def test_a_lake_built_anew_replaces_the_whole_view(platform: Platform) -> None:
    for n in range(2, 5):  # so that the old table's version is the higher one
        change = f'{{"customer_id": "c{n}", "loyalty_tier": "gold", "updated_at": "2026-01-0{n}"}}\n'
        land(platform.landing, (f"crm/customers/{n}.json", change, MTIME + n * 10**9))
        published(platform)
    for place in ("lake", "landing", "control.db"):
        path = platform.home / place
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    platform.installation.database.close()
    land(platform.landing, ("crm/customers/1.json", CUSTOMERS.splitlines(keepends=True)[0], MTIME))
    platform.installation = Installation(platform.installation.settings)
    assert counts(published(platform)) == (0, 4, 1)
    assert platform.store.get("customers", "c1") is None


def test_a_crash_between_the_table_s_commit_and_the_store_s_heals_at_the_next_run(platform: Platform) -> None:
    change = '{"customer_id": "c3", "loyalty_tier": "gold", "updated_at": "2026-01-02"}\n'
    land(platform.landing, ("crm/customers/2.json", change, MTIME + 10**9))
    command = [sys.executable, "-m", "cli.main", "pipeline", "run", "daily", "--as-of", AS_OF.isoformat(), "--json"]
    environment = {**os.environ, "C360_HOME": str(platform.home), "C360_LEASE_SECONDS": "1", "C360_ONLINE_MAP_MB": "64"}
    killed = subprocess.run(
        command,
        env={**environment, "C360_CRASH_AT": "publish.before_write"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    with platform.installation.engine() as engine:
        header = platform.store.header("customers")
        assert header is not None
        assert header.version < (engine.version("gold.customer_360") or 0)
    assert platform.profile("c3")["loyalty_tier"] == "basic"
    assert counts(published(platform)) == (1, 0, 0)
    assert platform.profile("c3")["loyalty_tier"] == "gold"
