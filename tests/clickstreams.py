"""Public clickstreams with known sessions, as Parquet landing files of web events."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

Event = dict[str, Any]
Truth = dict[str, frozenset[str]]
"""Event ids by session id."""


def read_ecom(path: Path) -> tuple[list[Event], Truth]:
    """Every event of the e-commerce clickstream, and its sessions."""
    with gzip.open(path / "ecom.csv.gz") as file:
        rows = pa.csv.read_csv(file).to_pylist()
    events = [
        _event(number, row["user_id"], row["timestamp"].replace(tzinfo=UTC), row["event"], row["platform"])
        for number, row in enumerate(rows)
    ]
    return events, _truth(zip(events, (row["session_id"] for row in rows), strict=True))


def read_music(path: Path) -> tuple[list[Event], Truth]:
    """The music events of users who were logged in, and their sessions."""
    with gzip.open(path / "events.ndjson.gz") as file:
        rows = [row for row in map(json.loads, file) if row["userId"]]
    events = [
        _event(number, row["userId"], datetime.fromtimestamp(row["ts"] / 1000, UTC), row["page"], None)
        for number, row in enumerate(rows)
    ]
    return events, _truth(zip(events, (f"{row['userId']} {row['sessionId']}" for row in rows), strict=True))


def land_events(folder: Path, files: Iterable[list[Event]]) -> None:
    """Write each list as one file."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, events in enumerate(files):
        pq.write_table(pa.Table.from_pylist(events), folder / f"{number:03}.parquet")


def _event(number: int, customer: str, instant: datetime, kind: str, device_type: str | None) -> Event:
    return {
        "event_id": f"e{number:06}",
        "customer_id": customer,
        "event_ts": instant,
        "event_type": kind,
        "device_type": device_type,
    }


def _truth(events: Iterable[tuple[Event, str]]) -> Truth:
    sessions = defaultdict(set)
    for event, session in events:
        sessions[session].add(event["event_id"])
    return {session: frozenset(ids) for session, ids in sessions.items()}
