"""What came of a run, told from its record: the versions it read and left, and a few sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Sums over all datasets of a run. ``failed`` counts the rows that did not meet an expectation, by ``<dataset>.<expectation>``."""

    rows_in: int = 0
    rows_out: int = 0
    rows_written: int = 0
    rows_deleted: int = 0
    dropped: int = 0
    quarantined: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)


_SUMMED = tuple(each.name for each in fields(Outcome) if each.name != "failed")


def outcome_of(record: Record) -> Outcome:
    """The sums of a record."""
    flows = _datasets(record)
    failed = {
        f"{name}.{expectation}": count
        for name, flow in flows.items()
        for expectation, count in flow.get("expectations", {}).items()
        if count
    }
    sums = {name: sum(flow.get(name, 0) for flow in flows.values()) for name in _SUMMED}
    return Outcome(**sums, failed=failed)


def versions_in(record: Record) -> dict[str, int]:
    """The newest version of each table that the run's datasets were computed from, or that it maintained."""
    found = {name: table["version_before"] for name, table in record.get("tables", {}).items()}
    for flow in _datasets(record).values():
        for name, version in flow.get("inputs", {}).items():
            found[name] = max(version, found.get(name, version))
    return found


def versions_out(record: Record) -> dict[str, int]:
    """The version of each table as the run left it."""
    written = {**record.get("tables", {}), **_datasets(record)}
    return {name: item["version_after"] for name, item in written.items() if item.get("version_after") is not None}


def _datasets(record: Record) -> Mapping[str, Mapping[str, Any]]:
    datasets: Mapping[str, Mapping[str, Any]] = record.get("datasets", {})
    return datasets
