"""Web events to sessions: real clickstreams with known sessions, and any arrival of the same events."""

from __future__ import annotations

import hashlib
import os
import random
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from lakehouse.checkpoints import Checkpoints
from pipelines.catalog import load_catalog
from pipelines.flows.derive import run_derived
from pipelines.flows.ingest import run_auto_loader
from tests.clickstreams import Event, Truth, land_events, read_ecom, read_music
from tests.fixtures.landing import damaged_late
from tests.fixtures.parts import require, shared_data
from tests.platform import Platform

AS_OF = date(2026, 3, 1)
START = datetime(2026, 1, 1, tzinfo=UTC)
PAUSE = timedelta(minutes=30)


def run_web(platform: Platform, *, buckets: int = 1) -> dict[str, Any]:
    """Bring the web datasets up to the landing zone."""
    with platform.installation.engine("embedded") as engine:
        context = platform.context(engine, AS_OF, buckets=buckets)
        catalog = load_catalog()
        results = [run_auto_loader(context, catalog.get("bronze.web_events"))]
        results += [run_derived(context, catalog.get(name)) for name in ("silver.web_events", "silver.web_sessions")]
    return {result.dataset: result for result in results}


def rows_of(platform: Platform, table: str) -> list[dict[str, Any]]:
    return DeltaTable(platform.home / "lake" / table.replace(".", "/")).to_pyarrow_table().to_pylist()


def sessions_of(platform: Platform) -> dict[str, dict[str, Any]]:
    rows = rows_of(platform, "silver.web_sessions")
    by_id = {row["session_id"]: row for row in rows}
    assert len(by_id) == len(rows)
    return by_id


@pytest.mark.parametrize(
    ("folder", "read", "found", "share_exact"),
    [("clickstream-ecom", read_ecom, 3605, 1.0), ("clickstream-music", read_music, 911, 0.955)],
)
def test_known_sessions_are_found(
    folder: str, read: Callable[[Path], tuple[list[Event], Truth]], found: int, share_exact: float, tmp_path: Path
) -> None:
    """Shuffled, in three runs, with one file in five sent twice: what matters is when events happened."""
    require((shared_data() / folder).is_dir(), f"the data set is not beside the project (../shared/data/{folder})")
    events, truth = read(shared_data() / folder)
    shuffled = random.Random(7).sample(events, len(events))
    files = [shuffled[start::10] for start in range(10)]
    with Platform(tmp_path) as platform:
        landing = platform.landing / "web/events"
        for upto in (4, 9, 12):
            land_events(landing, [*files, *files[:2]][:upto])
            run_web(platform, buckets=3)
        sessions = sessions_of(platform)
        assert len(sessions) == found
        assert sum(row["events_count"] for row in sessions.values()) == len(events)
        ours = assigned(events, sessions)
    exact = sum(ids in ours for ids in truth.values()) / len(truth)
    assert round(exact, 3) == share_exact


def assigned(events: list[Event], sessions: dict[str, dict[str, Any]]) -> set[frozenset[str]]:
    """The events of each session, by customer and time."""
    of_customer = defaultdict(list)
    for row in sessions.values():
        of_customer[row["customer_id"]].append(row)
    ids = defaultdict(set)
    for event in events:
        (session,) = (
            row["session_id"]
            for row in of_customer[event["customer_id"]]
            if row["started_at"] <= event["event_ts"] <= row["ended_at"]
        )
        ids[session].add(event["event_id"])
    return {frozenset(found) for found in ids.values()}


def generate(draw: random.Random) -> list[list[Event]]:
    """Files of the events of a few visitors: around the limit of the pause, equal instants, no ids, copies, and events that are
    sent again as another visitor's or at another time."""
    events: list[Event] = []
    for visitor in range(draw.randint(10, 40)):
        instant = START
        for _ in range(draw.randint(1, 8)):
            instant += draw.choice(
                (timedelta(), timedelta(seconds=1), PAUSE, PAUSE + timedelta(microseconds=1), PAUSE / 2, PAUSE * 3)
            )
            events.append(
                {
                    "event_id": draw.choice((f"e{len(events)}", f" e{len(events)} ", f"e{draw.randint(0, 150)}", None if draw.random() < 0.1 else f"e{len(events)}")),
                    "customer_id": draw.choice((f"c{visitor}", f" c{visitor}", "", None)),
                    "device_id": draw.choice((f"d{visitor}", "d0", None)),
                    "event_ts": draw.choice((instant, instant, instant, None)),
                    "event_type": draw.choice(("page_view", "Purchase", "search", "add_to_cart", "click", "scroll", None)),
                    "page_url": draw.choice((f"/p{len(events)}", None)),
                    "referrer": draw.choice(("https://example.org/", None)),
                    "device_type": draw.choice(("Mobile", "desktop", None)),
                    "browser": draw.choice(("Firefox", None)),
                }
            )  # fmt: skip
    events += [dict(draw.choice(events)) for _ in range(draw.randint(0, 9))]
    draw.shuffle(events)
    count = draw.randint(1, 6)
    return [found for start in range(count) if (found := events[start::count])]


def expected(files: list[list[Event]]) -> dict[str, dict[str, Any]]:
    """The sessions of the files, oldest first, as the rules read: in plain Python, from all events at once."""
    newest: dict[str, Event] = {}
    for event in (event for events in files for event in events):
        if event_id := (event["event_id"] or "").strip():
            newest[event_id] = event
    visitors = defaultdict(list)
    for event_id, event in newest.items():
        customer, device = (event["customer_id"] or "").strip(), event["device_id"]
        if event["event_ts"] is not None and (customer or device):
            key = hashlib.sha256((f"customer:{customer}" if customer else f"device:{device}").encode()).hexdigest()
            visitors[key].append((event["event_ts"], event_id, customer or None, event))
    sessions = {}
    for key, found in visitors.items():
        visit: list[Any] = []
        for event in sorted(found, key=lambda one: one[:2]):
            if visit and event[0] - visit[-1][0] > PAUSE:
                sessions.update(session(key, visit))
                visit = []
            visit.append(event)
        sessions.update(session(key, visit))
    return sessions


def session(key: str, visit: list[Any]) -> dict[str, dict[str, Any]]:
    micros = (visit[0][0] - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    session_id = hashlib.sha256(f"{key}|{micros}|{visit[0][1]}".encode()).hexdigest()[:32]
    events = [event for _, _, _, event in visit]
    kinds = [(event["event_type"] or "").lower() for event in events]

    def first(name: str, found: list[Event]) -> Any:
        return next((event[name] for event in found if event[name] is not None), None)

    return {
        session_id: {
            "session_id": session_id,
            "visitor_key": key,
            "customer_id": visit[0][2],
            "device_id": first("device_id", events),
            "started_at": visit[0][0],
            "ended_at": visit[-1][0],
            "duration_seconds": (visit[-1][0] - visit[0][0]) // timedelta(seconds=1),
            "events_count": len(visit),
            "page_views_count": kinds.count("page_view"),
            "clicks_count": kinds.count("click"),
            "searches_count": kinds.count("search"),
            "add_to_carts_count": kinds.count("add_to_cart"),
            "purchases_count": kinds.count("purchase"),
            "has_purchase": "purchase" in kinds,
            "entry_page_url": first("page_url", events),
            "exit_page_url": first("page_url", events[::-1]),
            "referrer": events[0]["referrer"],
            "device_type": (first("device_type", events) or "").lower() or None,
            "browser": first("browser", events),
        }
    }


@settings(
    max_examples=int(os.environ.get("C360_EXAMPLES", "6")),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # an example is several runs: shrinking would take hours
)
@given(seed=st.integers(0, 2**32))
def test_any_arrival_of_the_same_files_yields_the_same_sessions(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    draw = random.Random(seed)
    files = generate(draw)
    with Platform(tmp_path_factory.mktemp("web")) as platform:
        arriving = list(range(len(files)))
        draw.shuffle(arriving)
        for position, number in enumerate(arriving):
            land_file(platform.landing / f"web/events/{number}.parquet", files[number], number)
            if draw.random() < 0.4 or position == len(arriving) - 1:
                run_web(platform, buckets=draw.choice((1, 1, 4)))
        assert sessions_of(platform) == expected(files)
        assert len(rows_of(platform, "bronze.web_events")) == sum(map(len, files))


def land_file(path: Path, events: list[Event], age: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema(
        [pa.field(name, pa.timestamp("us", "UTC") if name == "event_ts" else pa.string()) for name in events[0]]
    )
    pq.write_table(pa.Table.from_pylist(events, schema), path)
    os.utime(path, (1_767_225_600 + age, 1_767_225_600 + age))


def at(minutes: float, event_id: str, **more: Any) -> Event:
    return {"event_id": event_id, "customer_id": "c1", "event_ts": START + timedelta(minutes=minutes), **more}


def test_a_late_event_joins_two_sessions_and_the_later_id_goes(tmp_path: Path) -> None:
    with Platform(tmp_path) as platform:
        folder = platform.landing / "web/events"
        land_events(folder, [[at(0, "a"), at(50, "c")]])
        run_web(platform)
        first, later = sorted(sessions_of(platform).values(), key=lambda row: row["started_at"])
        land_events(folder, [[at(0, "a"), at(50, "c")], [at(25, "b")]])
        merged = run_web(platform)["silver.web_sessions"]
        assert list(sessions_of(platform)) == [first["session_id"]]
        assert (merged.rows_written, merged.rows_deleted) == (1, 1)
        assert later["session_id"] not in sessions_of(platform)


def test_an_event_sent_again_as_a_customer_s_leaves_the_device_s_session(tmp_path: Path) -> None:
    anonymous = {**at(0, "a"), "customer_id": None, "device_id": "d1"}
    with Platform(tmp_path) as platform:
        land_file(platform.landing / "web/events/1.parquet", [anonymous], 1)
        run_web(platform)
        assert [row["customer_id"] for row in sessions_of(platform).values()] == [None]
        land_file(platform.landing / "web/events/2.parquet", [{**anonymous, "customer_id": "c1"}], 2)
        run_web(platform)
        assert [row["customer_id"] for row in sessions_of(platform).values()] == ["c1"]


def test_what_cannot_be_placed_is_held_back_and_counted(tmp_path: Path) -> None:
    nobody, never = {**at(0, "a"), "customer_id": " "}, {**at(0, "b"), "event_ts": None}
    with Platform(tmp_path) as platform:
        land_file(
            platform.landing / "web/events/1.parquet", [nobody, never, {**at(0, "c"), "event_id": None}, at(0, "d")], 1
        )
        result = run_web(platform)["silver.web_events"]
        assert (result.rows_out, result.quarantined) == (1, 3)
        assert len(rows_of(platform, "quality.quarantine")) == 3


def test_a_file_damaged_half_way_is_recorded_and_read_when_it_is_repaired(tmp_path: Path) -> None:
    with Platform(tmp_path) as platform:
        damaged = platform.landing / "web/events/1.parquet"
        damaged.parent.mkdir(parents=True)
        damaged.write_bytes(damaged_late("event_id", 280_000))
        land_file(platform.landing / "web/events/2.parquet", [at(0, "a")], 2)
        assert run_web(platform)["bronze.web_events"].unreadable_files == 1
        assert [row["event_id"] for row in rows_of(platform, "bronze.web_events")] == ["a"]
        ((path, reason),) = Checkpoints(platform.installation.database).unreadable()
        assert path == "web/events/1.parquet"
        assert "damaged" in reason
        land_file(damaged, [at(1, "b")], 3)
        run_web(platform)
        assert sorted(row["event_id"] for row in rows_of(platform, "bronze.web_events")) == ["a", "b"]
