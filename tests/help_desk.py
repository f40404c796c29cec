"""The help desk: a Delta table with change data feed in a landing zone, written as its owner would write it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

INSTANT = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        pa.field("ticket_id", pa.string()),
        pa.field("customer_id", pa.string()),
        pa.field("subject", pa.string()),
        pa.field("body", pa.string()),
        pa.field("category", pa.string()),
        pa.field("priority", pa.string()),
        pa.field("status", pa.string()),
        pa.field("created_at", INSTANT),
        pa.field("updated_at", INSTANT),
        pa.field("resolved_at", INSTANT),
        pa.field("agent_id", pa.string()),
        pa.field("satisfaction_score", pa.int32()),
    ]
)
OPENED = datetime(2026, 1, 5, 9, tzinfo=UTC)


def ticket(ticket_id: str | None, **values: Any) -> dict[str, Any]:
    """A ticket as the help desk keeps it: open and ordinary unless said otherwise."""
    ordinary = {"customer_id": "c1", "priority": "low", "status": "open", "created_at": OPENED, "updated_at": OPENED}
    return {"ticket_id": ticket_id, **ordinary, **values}


class HelpDesk:
    """Every method is one commit."""

    def __init__(self, landing: Path, path: str = "support/tickets") -> None:
        self.folder = landing / path

    def create(self, rows: Iterable[Mapping[str, Any]] = (), *, feed: bool = True, **options: Any) -> None:
        write_deltalake(
            self.folder,
            _table(rows),
            configuration={"delta.enableChangeDataFeed": str(feed).lower(), **options.pop("configuration", {})},
            **options,
        )

    def insert(self, *rows: Mapping[str, Any]) -> None:
        write_deltalake(self.folder, _table(rows), mode="append")

    def upsert(self, *rows: Mapping[str, Any]) -> None:
        merger = self.table.merge(_table(rows), "t.ticket_id = s.ticket_id", source_alias="s", target_alias="t")
        merger.when_matched_update_all().when_not_matched_insert_all().execute()

    def delete(self, *ticket_ids: str) -> None:
        listed = ", ".join(f"'{ticket_id}'" for ticket_id in ticket_ids)
        self.table.delete(f"ticket_id IN ({listed})")

    def overwrite(self, *rows: Mapping[str, Any]) -> None:
        write_deltalake(self.folder, _table(rows), mode="overwrite")

    def recreate(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Another table in its place: its versions begin at 0."""
        shutil.rmtree(self.folder)
        self.create(rows)

    def forget_version(self, version: int) -> None:
        """What log cleaning leaves: a checkpoint of the newest version, and an older version's commit gone."""
        self.table.create_checkpoint()
        (self.folder / f"_delta_log/{version:020}.json").unlink()

    @property
    def table(self) -> DeltaTable:
        return DeltaTable(self.folder)

    def rows(self) -> list[dict[str, Any]]:
        return self.table.to_pyarrow_table().to_pylist()


def _table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    listed = list(rows)
    extra = {name for row in listed for name in row} - set(SCHEMA.names)
    schema = SCHEMA
    for name in sorted(extra):
        schema = schema.append(pa.field(name, pa.string()))
    return pa.Table.from_pylist(listed, schema=schema)
