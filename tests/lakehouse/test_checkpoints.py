"""The flows' progress: one planned batch at a time, numbers used once, each landing file taken once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from kit.db import Base, Database
from lakehouse.checkpoints import Batch, BatchUnfinished, Checkpoints, FilesTaken
from lakehouse.engine import StaleFence
from lakehouse.files.listing import LandingFile
from lakehouse.lease import Lease, Leases
from lakehouse.models import FlowBatchRow, LandingFileRow, LeaseRow

AS_OF = date(2026, 1, 31)
FLOW = "bronze.ecommerce_orders"
A, B, C = (LandingFile(f"ecommerce/orders/{name}.csv", 100, position) for position, name in enumerate("abc"))


@dataclass
class Flow:
    """One flow's checkpoints, under a lease."""

    database: Database
    lease: Lease
    checkpoints: Checkpoints = field(init=False)

    def __post_init__(self) -> None:
        self.checkpoints = Checkpoints(self.database)

    def plan(self, after: int = 0, **inputs: int) -> Batch:
        return self.checkpoints.plan(
            FLOW, inputs=inputs, as_of=AS_OF, definition="d1", after=after, run_id="run_1", lease=self.lease
        )

    def plan_files(self, *files: LandingFile, after: int = 0) -> Batch:
        return self.checkpoints.plan_files(
            FLOW, files, as_of=AS_OF, definition="files", after=after, run_id="run_1", lease=self.lease
        )

    def unseen(self, *files: LandingFile) -> list[LandingFile]:
        return self.checkpoints.unseen(FLOW, files)


@pytest.fixture
def flow(database: Database) -> Iterator[Flow]:
    with Leases(database, 600.0).acquire(FLOW, "test") as lease:
        yield Flow(database, lease)


def changed(file: LandingFile) -> LandingFile:
    return replace(file, size=file.size + 1, mtime_ns=file.mtime_ns + 1)


def take_over(flow: Flow) -> Flow:
    """Another writer, after the first has slept through its lease."""
    with flow.database.transaction() as session:
        session.execute(update(LeaseRow).values(expires_at=datetime(2000, 1, 1, tzinfo=UTC)))
    return Flow(flow.database, Leases(flow.database, 600.0).acquire(FLOW, "other"))


def test_a_batch_from_plan_to_mark(flow: Flow) -> None:
    checkpoints = flow.checkpoints
    assert (checkpoints.planned(FLOW), checkpoints.last(FLOW)) == (None, None)
    batch = flow.plan(a=3, b=-1)
    assert (batch.flow, batch.batch, batch.inputs, batch.as_of, batch.definition) == (
        FLOW,
        1,
        {"a": 3, "b": -1},
        AS_OF,
        "d1",
    )
    assert (checkpoints.planned(FLOW), checkpoints.last(FLOW)) == (batch, None)
    checkpoints.mark(batch, target_version=7)
    assert (checkpoints.planned(FLOW), checkpoints.last(FLOW)) == (None, replace(batch, target_version=7))
    checkpoints.mark(batch, target_version=9)
    assert checkpoints.last(FLOW) == replace(batch, target_version=7)


def test_no_second_batch_is_planned_beside_an_unfinished_one(flow: Flow) -> None:
    batch = flow.plan()
    for plan in (flow.plan, lambda: flow.plan_files(A)):
        with pytest.raises(BatchUnfinished, match="batch 1"):
            plan()
    assert flow.unseen(A) == [A]
    flow.checkpoints.mark(batch, target_version=0)
    assert flow.plan().batch == 2


def test_the_database_itself_refuses_a_second_planned_batch(flow: Flow) -> None:
    batch = flow.plan()
    with flow.database.transaction() as session:
        row = session.get_one(FlowBatchRow, (FLOW, batch.batch))
        columns = {column.key: getattr(row, column.key) for column in FlowBatchRow.__table__.columns}
        session.add(FlowBatchRow(**{**columns, "batch": 2}))
        with pytest.raises(IntegrityError):
            session.flush()
        session.rollback()


def test_numbers_go_on_after_the_table_s_own_when_the_database_is_lost(flow: Flow) -> None:
    assert flow.plan(after=7).batch == 8


def test_an_abandoned_batch_s_number_is_not_used_again_and_its_files_are_unseen(flow: Flow) -> None:
    first = flow.plan_files(A)
    flow.checkpoints.mark(first, target_version=1)
    second = flow.plan_files(B, after=1)
    flow.checkpoints.abandon(second, lease=flow.lease)
    assert flow.checkpoints.last(FLOW) == replace(first, target_version=1)
    assert flow.unseen(A, B) == [B]
    assert flow.plan_files(B, after=1).batch == 3


def test_a_committed_batch_cannot_be_abandoned(flow: Flow) -> None:
    batch = flow.plan_files(A)
    flow.checkpoints.mark(batch, target_version=1)
    flow.checkpoints.abandon(batch, lease=flow.lease)
    assert flow.checkpoints.last(FLOW) == replace(batch, target_version=1)
    assert flow.unseen(A) == []


def test_no_two_batches_of_a_flow_share_an_instant(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    instant = datetime(2026, 1, 1, tzinfo=UTC)
    monkeypatch.setattr("lakehouse.checkpoints.now", lambda: instant)
    instants = []
    for _ in range(3):
        batch = flow.plan()
        flow.checkpoints.mark(batch, target_version=0)
        instants.append(batch.planned_at)
    assert instants == sorted(set(instants))


def test_the_inputs_of_other_flows_do_not_matter(flow: Flow, database: Database) -> None:
    flow.plan_files(A)
    with Leases(database, 600.0).acquire("other", "test") as lease:
        plan = Checkpoints(database).plan_files(
            "other", [A], as_of=AS_OF, definition="files", after=0, run_id="r", lease=lease
        )
    assert plan.batch == 1


def test_a_file_is_taken_once(flow: Flow) -> None:
    batch = flow.plan_files(B, A)
    assert flow.checkpoints.files(batch) == [A, B]
    assert flow.unseen(A, B, C) == [C]
    flow.checkpoints.mark(batch, target_version=1)
    assert flow.unseen(A, B, C) == [C]
    with pytest.raises(FilesTaken):
        flow.plan_files(C, A)
    assert flow.checkpoints.planned(FLOW) is None, "nothing of the refused plan may stay"
    assert flow.unseen(A, B, C) == [C]


def test_an_unreadable_file_leaves_its_batch_and_is_tried_again_when_it_changes(flow: Flow) -> None:
    batch = flow.plan_files(A, B)
    flow.checkpoints.mark_unreadable(FLOW, A, "it is empty (0 bytes)")
    assert flow.checkpoints.files(batch) == [B], "a repeat after a crash reads what the first attempt committed"
    flow.checkpoints.mark(batch, target_version=1)
    assert flow.checkpoints.unreadable() == [(A.path, "it is empty (0 bytes)")]
    assert flow.unseen(A, B) == []
    assert flow.unseen(changed(A), B) == [changed(A)]
    again = flow.plan_files(changed(A))
    assert flow.checkpoints.files(again) == [changed(A)]
    flow.checkpoints.mark(again, target_version=2)
    assert flow.checkpoints.unreadable() == []
    assert flow.unseen(changed(A)) == []


def test_an_ingested_file_cannot_become_unreadable(flow: Flow) -> None:
    flow.checkpoints.mark(flow.plan_files(A), target_version=1)
    flow.checkpoints.mark_unreadable(FLOW, A, "said by a writer that slept")
    assert flow.checkpoints.unreadable() == []


def test_a_file_that_changes_after_it_was_ingested_is_not_read_again_but_told(flow: Flow) -> None:
    flow.checkpoints.mark(flow.plan_files(A, B), target_version=1)
    assert flow.checkpoints.changed() == []
    assert flow.unseen(changed(A), B) == []
    assert flow.checkpoints.changed() == [A.path]


def test_a_reset_flow_begins_anew_under_new_numbers(flow: Flow) -> None:
    flow.checkpoints.mark(flow.plan_files(A), target_version=1)
    flow.plan_files(B)
    flow.checkpoints.reset(FLOW, lease=flow.lease)
    assert (flow.checkpoints.planned(FLOW), flow.checkpoints.last(FLOW)) == (None, None)
    assert flow.unseen(A, B) == [A, B]
    assert flow.plan_files(A, B).batch == 3


def test_a_writer_that_slept_through_its_lease_plans_nothing(flow: Flow) -> None:
    batch = flow.plan_files(A)
    heir = take_over(flow)
    heir.checkpoints.mark(batch, target_version=1)
    for late in (
        flow.plan,
        lambda: flow.plan_files(B),
        lambda: flow.checkpoints.abandon(batch, lease=flow.lease),
        lambda: flow.checkpoints.reset(FLOW, lease=flow.lease),
    ):
        with pytest.raises(StaleFence):
            late()
    assert heir.checkpoints.planned(FLOW) is None
    assert heir.plan_files(B).batch == 2
    heir.lease.release()


def test_thousands_of_files(flow: Flow) -> None:
    listing = [LandingFile(f"x/{number:05}.csv", number, number) for number in range(5000)]
    batch = flow.plan_files(*listing)
    assert flow.checkpoints.files(batch) == listing
    flow.checkpoints.mark(batch, target_version=1)
    assert flow.unseen(*map(changed, listing), A) == [A]
    assert len(flow.checkpoints.changed()) == 5000


PLANNER = """
import sys
from datetime import date
from kit.db import Database
from lakehouse.checkpoints import Checkpoints
from lakehouse.files.listing import LandingFile
from lakehouse.lease import Leases
database = Database(sys.argv[1])
checkpoints, after = Checkpoints(database), 0
with Leases(database, 600.0).acquire("t", "planner") as lease:
    while True:
        files = [LandingFile(f"{after}/{number}", 1, 1) for number in range(50)]
        batch = checkpoints.plan_files("t", files, as_of=date(2026, 1, 1), definition="f", after=after, run_id="r", lease=lease)
        checkpoints.mark(batch, target_version=after)
        after = batch.batch
        print(after, flush=True)
"""


@pytest.mark.parametrize("batches", [1, 3, 7])
def test_whatever_a_killed_planner_leaves_is_whole(database: Database, batches: int) -> None:
    """Every batch has all of its files, at most one is planned, and it goes on from there."""
    command = [sys.executable, "-c", PLANNER, database.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": "."}) as planner:
        assert planner.stdout is not None
        for _ in range(batches):
            planner.stdout.readline()
        planner.send_signal(signal.SIGKILL)
    with database.transaction() as session:
        session.execute(update(LeaseRow).values(expires_at=datetime(2000, 1, 1, tzinfo=UTC)))
    checkpoints = Checkpoints(database)
    with Leases(database, 600.0).acquire("t", "heir") as lease:
        with database.reading() as session:
            sizes = Counter(session.scalars(select(LandingFileRow.batch)))
            states = {row.batch: row.state for row in session.scalars(select(FlowBatchRow))}
        assert len(states) >= batches
        assert sizes == dict.fromkeys(states, 50)
        assert all(state == "committed" for batch, state in states.items() if batch < max(states))
        if (left := checkpoints.planned("t")) is not None:
            checkpoints.mark(left, target_version=1)
        batch = checkpoints.plan("t", inputs={}, as_of=AS_OF, definition="f", after=0, run_id="r", lease=lease)
    assert batch.batch == max(states) + 1


class AnyOrder(RuleBasedStateMachine):
    """Files arrive, change, prove unreadable; batches are planned, marked, abandoned; a table keeps what was committed."""

    def __init__(self) -> None:
        super().__init__()
        self.database = Database("sqlite://")
        tables = [model.__table__ for model in (LeaseRow, FlowBatchRow, LandingFileRow)]
        Base.metadata.create_all(self.database.engine, tables=tables)  # type: ignore[arg-type]
        self.landing: dict[str, LandingFile] = {}
        self.ingested: list[str] = []
        self.committed: list[int] = []
        self.numbers: list[int] = []

    @initialize()
    def open_flow(self) -> None:
        self.flow = Flow(self.database, Leases(self.database, 600.0).acquire(FLOW, "test"))

    def teardown(self) -> None:
        self.flow.lease.release()
        self.database.close()

    @rule(name=st.sampled_from("abcdefgh"), size=st.integers(1, 3))
    def land(self, name: str, size: int) -> None:
        self.landing[name] = LandingFile(name, size, size)

    @rule()
    def plan(self) -> None:
        unseen = self.flow.unseen(*self.landing.values())
        if self.flow.checkpoints.planned(FLOW) is None and unseen:
            self.numbers.append(self.flow.plan_files(*unseen, after=max(self.committed, default=0)).batch)

    @precondition(lambda self: self.flow.checkpoints.planned(FLOW) is not None)
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        batch = self.flow.checkpoints.planned(FLOW)
        assert batch is not None
        files = self.flow.checkpoints.files(batch)
        for file in [file for file in files if data.draw(st.booleans(), label=f"{file.path} unreadable")]:
            self.flow.checkpoints.mark_unreadable(FLOW, file, "because")
        if batch.batch not in self.committed:
            self.committed.append(batch.batch)
            self.ingested += [file.path for file in self.flow.checkpoints.files(batch)]
        self.flow.checkpoints.mark(batch, target_version=len(self.committed))

    @precondition(lambda self: self.flow.checkpoints.planned(FLOW) is not None)
    @rule()
    def abandon(self) -> None:
        batch = self.flow.checkpoints.planned(FLOW)
        assert batch is not None
        self.flow.checkpoints.abandon(batch, lease=self.flow.lease)

    @invariant()
    def each_file_once_and_numbers_grow(self) -> None:
        assert len(self.ingested) == len(set(self.ingested))
        assert self.numbers == sorted(set(self.numbers))
        last = self.flow.checkpoints.last(FLOW)
        assert (last.batch if last else 0) == max(self.committed, default=0)

    @invariant()
    def every_file_is_somewhere(self) -> None:
        planned = self.flow.checkpoints.planned(FLOW)
        places = {
            *self.ingested,
            *(file.path for file in self.flow.unseen(*self.landing.values())),
            *(path for path, _ in self.flow.checkpoints.unreadable()),
            *(file.path for file in (self.flow.checkpoints.files(planned) if planned else ())),
        }
        assert places == set(self.landing)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
