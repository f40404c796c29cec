"""What a lake holds, in a form two lakes can be compared by, and what its logs say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

VOLATILE = {"_ingested_at", "batch", "run_id", "recorded_at", "quarantined_at"}
"""Columns that tell when and by which batch a row came, not what it says."""


def tables(lake: Path) -> dict[str, Path]:
    """Every Delta table under a lake folder, by its name."""
    return {".".join(log.parent.relative_to(lake).parts): log.parent for log in sorted(lake.rglob("_delta_log"))}


def contents(lake: Path) -> dict[str, Counter[str]]:
    """The rows of every table as a multiset of their text, without volatile columns; what an installation records of itself
    differs from that of any other."""
    return {name: _rows(DeltaTable(path)) for name, path in tables(lake).items() if not name.startswith("system.")}


def _rows(table: DeltaTable) -> Counter[str]:
    kept = [field.name for field in table.schema().fields if field.name not in VOLATILE]
    return Counter(repr(row) for row in table.to_pyarrow_table(columns=kept).to_pylist())


def actions(table: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(version, action) of every JSON commit in a table's log."""
    for file in sorted((table / "_delta_log").glob("*.json")):
        for line in file.read_text(encoding="utf-8").splitlines():
            yield int(file.stem), json.loads(line)


def batch_commits(table: Path) -> Counter[tuple[str, str]]:
    """How many commits carry each (flow, batch)."""
    found: Counter[tuple[str, str]] = Counter()
    for _, action in actions(table):
        if (info := action.get("commitInfo")) and "batch" in info:
            found[info["flow"], info["batch"]] += 1
    return found


def versions(lake: Path) -> dict[str, int]:
    """The newest version of every table."""
    return {name: DeltaTable(path).version() for name, path in tables(lake).items()}
