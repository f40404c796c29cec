"""A vacuum of the embedded engine, over files that look old."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from lakehouse.embedded.engine import EmbeddedEngine
from lakehouse.paths import table_path
from tests.fixtures.engines import AS_OF, CUSTOMERS, Lease, commit, customer_sql

MONTH = 30 * 86_400


def test_old_files_go_and_the_newest_version_stays(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    engine = EmbeddedEngine(lake, scratch=tmp_path / "scratch")
    with engine.session(AS_OF) as session:
        session.append(CUSTOMERS, customer_sql("c1", 1), commit(1))
        session.merge(CUSTOMERS, f"SELECT *, 'upsert' AS _change FROM ({customer_sql('c1', 2)})", commit(2))
    table = table_path(lake, CUSTOMERS.name)
    _age(table)
    assert [file.name for file in table.rglob("*.parquet") if file.parent.name == "_change_data"]
    removed = engine.vacuum(CUSTOMERS.name, Lease(), 168)
    assert removed == 2, "the replaced file and the change data"
    assert len(list(table.rglob("*.parquet"))) == 1
    version = engine.version(CUSTOMERS.name)
    assert version is not None
    with engine.session(AS_OF) as session:
        session.bind("now", CUSTOMERS.name, version)
        assert session.fetch("SELECT customer_id, orders FROM now").to_pylist() == [{"customer_id": "c1", "orders": 2}]
    assert engine.vacuum(CUSTOMERS.name, Lease(), 168) == 0
    assert engine.version(CUSTOMERS.name) == version, "nothing to remove, no commit"


def _age(table: Path) -> None:
    """Make all of a table look a month old."""
    then = time.time() - MONTH
    for log in (table / "_delta_log").glob("*.json"):
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        for line in lines:
            if "remove" in line:
                line["remove"]["deletionTimestamp"] = int(then * 1000)
        log.write_text("\n".join(map(json.dumps, lines)) + "\n")
    for file in table.rglob("*.parquet"):
        os.utime(file, (then, then))
