"""The log of a real help desk (21,348 events of 4,580 tickets), replayed: every ticket ends as the log says.

Twice, since there are two ways in which such a log reaches us. As a table that its owner keeps current: the commits are the
sequence, their size and the moments at which we look are left to chance. And as events appended in any order: the sequence is
what the events say of themselves.
"""

from __future__ import annotations

import itertools
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable

from lakehouse.catalog import Catalog
from lakehouse.dataset import Action, AutoCdc, Column, Dataset, Expectation, Subject
from pipelines.bronze.support_tickets import dataset as bronze
from pipelines.catalog import load_catalog
from pipelines.runner import run_pipeline
from tests.fixtures.parts import require, shared_data
from tests.help_desk import HelpDesk, ticket
from tests.platform import Platform

AS_OF = date(2014, 2, 1)
STATUS = {
    "Insert ticket": "new",
    "Assign seriousness": "open",
    "Take in charge ticket": "in progress",
    "Wait": "waiting",
    "Require upgrade": "on hold",
    "Create SW anomaly": "on hold",
    "Schedule intervention": "on hold",
    "Resolve SW anomaly": "in progress",
    "Resolve ticket": "resolved",
    "RESOLVED": "resolved",
    "VERIFIED": "resolved",
    "INVALID": "resolved",
    "DUPLICATE": "resolved",
    "Closed": "closed",
}
SILVER_STATUS = {"in progress": "open", "waiting": "pending", "on hold": "on_hold"}
BY_EVENT_TIME = Dataset(
    name="silver.ticket_states",
    comment="Tickets by the time of their events.",
    columns=(
        Column("ticket_id", "STRING", "Ticket.", nullable=False),
        Column("customer_id", "STRING", "Customer.", "subject_key"),
        Column("status", "STRING", "Status."),
        Column("__START_AT", "TIMESTAMP", "From.", nullable=False),
        Column("__END_AT", "TIMESTAMP", "Until."),
    ),
    keys=("ticket_id", "__START_AT"),
    flow=AutoCdc(keys=("ticket_id",), sequence_by=("updated_at", "position"), stored_as_scd_type=2),
    subject=Subject("customer_id"),
    expectations=(Expectation("sequence_present", "updated_at IS NOT NULL", Action.QUARANTINE),),
    query="SELECT ticket_id, customer_id, status, updated_at, agent_id AS position FROM bronze.support_tickets",
)


@dataclass(frozen=True)
class Event:
    ticket_id: str
    at: datetime
    position: int
    """Place in the log, which orders the events of one instant."""
    activity: str

    @property
    def row(self) -> dict[str, Any]:
        customer = f"c{zlib.crc32(self.ticket_id.encode()) % 2000}"
        return ticket(
            self.ticket_id,
            customer_id=customer,
            priority="normal",
            status=STATUS[self.activity],
            updated_at=self.at,
            agent_id=f"{self.position:06}",
        )


@pytest.fixture(scope="module")
def log() -> list[Event]:
    """The events in the order in which they happened."""
    parquet = shared_data() / "tickets-helpdesk" / "helpdesk_events.parquet"
    require(parquet.is_file(), "the help desk log is not beside the project (../shared/data/tickets-helpdesk)")
    rows = duckdb.sql(f"SELECT case_id, activity, timestamp FROM read_parquet('{parquet}')").fetchall()
    assert len(rows) == 21_348
    events = (
        Event(case, datetime.fromisoformat(at).astimezone(UTC), position, activity)
        for position, (case, activity, at) in enumerate(rows)
    )
    return sorted(events, key=lambda event: (event.at, event.position))


def final(log: list[Event]) -> dict[str, str]:
    """The status that each ticket's last event leaves."""
    last = {event.ticket_id: STATUS[event.activity] for event in log}
    assert (len(last), list(last.values()).count("closed")) == (4_580, 4_557)
    return last


def pieces(items: list[Event], count: int, chance: random.Random) -> Iterator[list[Event]]:
    cuts = sorted(chance.sample(range(1, len(items)), count - 1))
    for start, after in zip([0, *cuts], [*cuts, len(items)], strict=True):
        yield items[start:after]


def states(home: Path, table: str) -> list[dict[str, Any]]:
    return DeltaTable(home / "lake" / table.replace(".", "/")).to_pyarrow_table().to_pylist()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_table_kept_current_in_commits_of_any_size(seed: int, log: list[Event], tmp_path: Path) -> None:
    chance = random.Random(seed)
    with Platform(tmp_path) as platform, platform.installation.engine() as engine:
        desk = HelpDesk(platform.landing)
        desk.create()
        names = ("bronze.support_tickets", "silver.support_tickets", "quality.expectations", "quality.quarantine")
        catalog = Catalog(map(load_catalog().get, names))
        for number, commit in enumerate(pieces(log, 10, chance)):
            newest = {event.ticket_id: event for event in commit}
            rows = [event.row for event in newest.values()]
            chance.shuffle(rows)
            desk.upsert(*rows)
            if number == 9 or chance.random() < 0.3:
                context = replace(
                    platform.context(engine, AS_OF), catalog=catalog, batch_max_bytes=chance.choice([1, 1 << 30])
                )
                run_pipeline("daily", context, platform.store)
        expected = {ticket_id: SILVER_STATUS.get(status, status) for ticket_id, status in final(log).items()}
        found = states(tmp_path, "silver.support_tickets")
        assert {row["ticket_id"]: row["status"] for row in found} == expected
        assert sum(row["is_open"] for row in found) == sum(
            status not in ("resolved", "closed") for status in expected.values()
        )


@pytest.mark.parametrize("seed", [3])
def test_events_appended_in_any_order_and_any_batches(seed: int, log: list[Event], tmp_path: Path) -> None:
    chance = random.Random(seed)
    shuffled = log[:]
    chance.shuffle(shuffled)
    quality = map(load_catalog().get, ("quality.expectations", "quality.quarantine"))
    catalog = Catalog([bronze, BY_EVENT_TIME, *quality])
    with Platform(tmp_path) as platform, platform.installation.engine() as engine:
        desk = HelpDesk(platform.landing)
        desk.create()
        for buckets, batch in enumerate(pieces(shuffled, 4, chance), start=1):
            desk.insert(*(event.row for event in batch))
            context = replace(platform.context(engine, AS_OF, buckets=buckets), catalog=catalog)
            run_pipeline("daily", context, platform.store)
        found = states(tmp_path, BY_EVENT_TIME.name)
        assert {row["ticket_id"]: row["status"] for row in found if row["__END_AT"] is None} == final(log)
        assert len([row for row in found if row["__END_AT"] is None]) == 4_580
        assert len(found) == history_length(log)


def history_length(log: list[Event]) -> int:
    """How many states the tickets have had: changes of status from one instant to the next."""
    at_instant: dict[str, dict[datetime, str]] = {}
    for event in log:
        at_instant.setdefault(event.ticket_id, {})[event.at] = STATUS[event.activity]
    lives = (list(states.values()) for states in at_instant.values())
    return sum(1 + sum(a != b for a, b in itertools.pairwise(life)) for life in lives)
