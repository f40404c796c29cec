"""Lands the sample's tickets as the help desk keeps them: a Delta table with change data feed, one commit a day.

The table begins with the state of some weeks before the last day; each day after that is one commit of what changed. Contents
depend on the parameters alone; file names, commit times and so on are what Delta makes them. Each commit carries its day as a
transaction, so that a landing that was killed goes on where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from pipelines.sample.tickets import DAY, SCHEMA, Changes, SupportTickets

DAYS_OF_COMMITS = 14
"""How many days before the first landing's last are commits of their own."""

_TRANSACTION = "c360.sample"
_GONE = "_gone"


def land_tickets(
    landing: Path, tickets: SupportTickets, days: range, first_after: int, progress: Callable[[int, int], None]
) -> tuple[int, Counter[str]]:
    """Bring the table, day by day, to the end of ``days``; ``first_after`` is where the first landing's days ended, on which
    the table's first commit depends. Returns how many rows changed on these days, and the dirt in them."""
    folder = landing / tickets.folder
    begun = max(1, first_after - DAYS_OF_COMMITS)
    rows, injected = 0, Counter[str]()
    landed = _landed_days(folder)
    ends = range(max(begun, days.start + 1), days.stop + 1)
    for position, end in enumerate(ends, start=1):
        start = -1 if end == begun else (end - 1) * DAY - 1
        changes = tickets.changes(start, end * DAY - 1)
        properties = CommitProperties(app_transactions=[Transaction(_TRANSACTION, end)], max_commit_retries=0)
        if end > landed:
            (_create if end == begun else _merge)(folder, changes, properties)
        rows += changes.upserts.num_rows + len(changes.deleted)
        injected.update(changes.injected)
        progress(position, len(ends))
    return rows, injected


def _landed_days(folder: Path) -> int:
    if not (folder / "_delta_log").is_dir():
        return 0
    return DeltaTable(folder).transaction_version(_TRANSACTION) or 0


def _create(folder: Path, changes: Changes, properties: CommitProperties) -> None:
    configuration = {"delta.enableChangeDataFeed": "true"}
    write_deltalake(folder, changes.upserts, name="tickets", configuration=configuration, commit_properties=properties)


def _merge(folder: Path, changes: Changes, properties: CommitProperties) -> None:
    empty = (pa.nulls(len(changes.deleted), field.type) for field in list(SCHEMA)[1:])
    rows = pa.concat_tables([changes.upserts, pa.Table.from_arrays([changes.deleted, *empty], schema=SCHEMA)])
    if not rows.num_rows:  # a quiet day is a commit too
        write_deltalake(folder, rows, mode="append", commit_properties=properties)
        return
    rows = rows.append_column(_GONE, pc.is_in(rows.column("ticket_id"), changes.deleted))
    written = {f'"{name}"': f's."{name}"' for name in SCHEMA.names}
    merger = DeltaTable(folder).merge(
        rows, "t.ticket_id = s.ticket_id", source_alias="s", target_alias="t", commit_properties=properties
    )
    merger.when_matched_delete(f"s.{_GONE}").when_matched_update(written).when_not_matched_insert(
        written, predicate=f"NOT s.{_GONE}"
    ).execute()
