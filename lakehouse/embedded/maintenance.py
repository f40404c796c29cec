"""Maintenance on delta-rs: fewer and larger files, a checkpoint, and removal of files that no kept version needs."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from lakehouse.dataset import Dataset
from lakehouse.embedded.commit import fenced, guard, load_table, writer_properties
from lakehouse.engine import CommitConflict, Fence, check_retention
from lakehouse.properties import file_bytes


def maintain_table(path: Path, target: Dataset, fence: Fence) -> None:
    """Bring small files together, by Z-order where the declaration clusters; then a checkpoint. Raises CommitConflict.

    delta-rs writes no transaction ids with this commit, which changes no row; a claim in between makes it fail all the same.
    """
    table = load_table(path)
    if table is None:
        return
    guard(table, fence)
    size = file_bytes(target)
    if _small_files(table, size) > 1:
        try:
            if target.cluster_by:
                table.optimize.z_order(target.cluster_by, target_size=size, writer_properties=writer_properties(target))
            else:
                table.optimize.compact(target_size=size, writer_properties=writer_properties(target))
        except CommitFailedError as conflict:
            fence.check()
            raise CommitConflict(f"{target.name}: another writer committed first; maintain it again") from conflict
    table.create_checkpoint()


def vacuum_table(path: Path, fence: Fence, retention_hours: int) -> int:
    """Remove files, change data among them, that no version of the last ``retention_hours`` needs; returns how many."""
    check_retention(retention_hours)
    table = load_table(path)
    if table is None:
        return 0
    guard(table, fence)
    stale = table.vacuum(retention_hours, dry_run=True, full=True)
    there = [name for name in stale if (path / name).exists()]  # tombstones name files that an earlier vacuum removed
    if there:
        table.vacuum(retention_hours, dry_run=False, full=True, commit_properties=fenced(fence))
    return len(there)


def _small_files(table: DeltaTable, whole: int) -> int:
    sizes = pa.table(table.get_add_actions()).column("size_bytes")
    return sum(size.as_py() < whole // 2 for size in sizes)
