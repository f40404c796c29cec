"""Zombies: a writer stopped anywhere in the commit protocol, beyond its lease, and woken when others have gone on.

Three writers (the zombie and two that take over after it) share one table. Whatever happens: tokens never fall along the
table's history, no (flow, batch) is committed twice, and every row is there once.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP

import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from sqlalchemy import update

from kit.db import Database
from lakehouse.engine import FENCE_APP_ID, CommitConflict
from lakehouse.models import LeaseRow
from lakehouse.properties import FENCE_PROPERTY
from tests.contracts import fence_writer
from tests.fixtures.engines import CUSTOMERS, Lease
from tests.lake_state import actions, batch_commits

ROOT = Path(__file__).parents[2]
BOUNDARIES = (
    "flow.batch_planned",
    "flow.computed",
    "commit.fence_checked",
    "commit.written",
    "flow.target_committed",
    "flow.batch_marked",
)
LONG = 600.0


def table_path(lake: Path) -> Path:
    return lake / "silver" / "customers"


def start(
    database: Database, lake: Path, name: str, seconds: float, mode: str, last: int, **environment: str
) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "tests.contracts.fence_writer",
        database.url,
        str(lake),
        name,
        str(seconds),
        mode,
        str(last),
    ]
    with (lake.parent / f"{name}.log").open("a") as log:
        return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stdout=log, text=True)


def wait_until_stopped(process: subprocess.Popen[str]) -> None:
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), f"the writer ended with {status} and was never stopped"


def expire(database: Database) -> None:
    """The lease ends while its holder sleeps. (Its heartbeat is too slow to be asleep in the middle of a transaction.)"""
    with database.transaction() as session:
        session.execute(update(LeaseRow).values(expires_at=datetime(2000, 1, 1, tzinfo=UTC)))


def assert_fenced(path: Path) -> None:
    """Along the versions of a table the tokens never fall, and no (flow, batch) comes twice."""
    highest, stale, tokens = 0, [], Counter[int]()
    for version, action in actions(path):
        token = None
        if "txn" in action and action["txn"]["appId"] == FENCE_APP_ID:
            token = int(action["txn"]["version"])
            tokens[version] += 1
        elif "metaData" in action and FENCE_PROPERTY in action["metaData"]["configuration"]:
            token = int(action["metaData"]["configuration"][FENCE_PROPERTY])
        if token is not None:
            if token < highest:
                stale.append((version, token, highest))
            highest = max(highest, token)
    assert stale == [], "commits of writers that had lost their lease"
    assert list(tokens) == list(range(DeltaTable(path).version() + 1)), "a commit without a fence"
    assert [batch for batch, count in batch_commits(path).items() if count > 1] == []


def assert_rows_once(path: Path, mode: str, last: int) -> None:
    expected = [last] if mode == "replace" else range(1, last + 1)
    rows = Counter(DeltaTable(path).to_pyarrow_table(columns=["orders"]).column("orders").to_pylist())
    assert rows == Counter(expected)
    assert batch_commits(path) == Counter((fence_writer.FLOW, str(batch)) for batch in range(1, last + 1))


def zombie_case(database: Database, lake: Path, boundary: str, passage: int, mode: str) -> None:
    """The zombie sleeps in batch ``passage``; two others take over one after the other; it wakes up and goes on."""
    zombie = start(database, lake, "zombie", LONG, mode, last=6, C360_PAUSE_AT=f"{boundary}:{passage}")
    try:
        wait_until_stopped(zombie)
        for heir, more in (("heir", 1), ("second", 2)):
            expire(database)
            context = fence_writer.open_context(database, lake, heir, LONG)
            while context.engine.batch(fence_writer.TABLE, fence_writer.FLOW) < passage + more:
                assert fence_writer.write_one_batch(context, mode, passage + more)
        zombie.send_signal(SIGCONT)
        assert zombie.wait() == 0
    finally:
        zombie.kill()
        zombie.wait()
    assert_fenced(table_path(lake))
    assert_rows_once(table_path(lake), mode, 6)


def zombie_between_claim_and_commit(database: Database, lake: Path, boundary: str, mode: str) -> None:
    """The heir has claimed the table and committed nothing: the zombie's batch would still be new to the table."""
    zombie = start(database, lake, "zombie", LONG, mode, last=4, C360_PAUSE_AT=f"{boundary}:2")
    log = lake.parent / "zombie.log"
    try:
        wait_until_stopped(zombie)
        expire(database)
        context = fence_writer.open_context(database, lake, "heir", LONG)
        with context.writing(fence_writer.TABLE) as lease:
            assert lease.taken_over
            before = log.read_text()
            zombie.send_signal(SIGCONT)
            while log.read_text() == before:
                assert zombie.poll() is None
                time.sleep(0.05)
            assert log.read_text().removeprefix(before) == "StaleFence\n"
        assert zombie.wait() == 0
    finally:
        zombie.kill()
        zombie.wait()
    assert_fenced(table_path(lake))
    assert_rows_once(table_path(lake), mode, 4)


@pytest.mark.parametrize("boundary", ["flow.batch_planned", "commit.fence_checked", "flow.target_committed"])
def test_a_zombie_at_a_boundary_writes_nothing_stale(database: Database, lake: Path, boundary: str) -> None:
    zombie_case(database, lake, boundary, passage=2, mode="append")


@pytest.mark.parametrize("mode", ["append", "merge", "replace"])
def test_a_zombie_that_had_checked_its_fence_does_not_come_through_a_claim(
    database: Database, lake: Path, mode: str
) -> None:
    zombie_between_claim_and_commit(database, lake, "commit.fence_checked", mode)


@pytest.mark.parametrize("boundary", ["flow.batch_planned", "flow.computed"])
def test_a_zombie_that_had_not_checked_its_fence_does_not_come_through_a_claim(
    database: Database, lake: Path, boundary: str
) -> None:
    zombie_between_claim_and_commit(database, lake, boundary, "append")


@pytest.mark.long
@pytest.mark.parametrize("mode", ["append", "merge", "replace"])
@pytest.mark.parametrize("passage", [1, 2, 3])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_zombie_at_every_boundary(database: Database, lake: Path, boundary: str, passage: int, mode: str) -> None:
    zombie_case(database, lake, boundary, passage, mode)


class Chaos:
    """Writers that are stopped, woken and killed at random until all batches are written."""

    def __init__(self, database: Database, lake: Path, mode: str, last: int, seed: int) -> None:
        self.chance = random.Random(seed)
        self.database = database
        self.start: Callable[[str], subprocess.Popen[str]] = lambda name: start(database, lake, name, 1.0, mode, last)
        self.names = ("one", "two", "three")
        self.done = lambda: fence_writer.open_context(database, lake, "looker", LONG).engine.batch(
            fence_writer.TABLE, fence_writer.FLOW
        ) >= last  # fmt: skip
        self.happened: Counter[str] = Counter()
        self.lake = lake

    def holder(self) -> str:
        """Who has, or last had, the lease: the one worth stopping."""
        with self.database.reading() as session:
            row = session.get(LeaseRow, fence_writer.TABLE)
        return row.owner if row is not None and row.owner in self.names else self.names[0]

    def run(self) -> Counter[str]:
        writers = {name: self.start(name) for name in self.names}
        try:
            while not self.done():
                time.sleep(self.chance.uniform(0.0, 0.2))
                name = self.holder() if self.chance.random() < 0.8 else self.chance.choice(self.names)
                if (ended := writers[name].poll()) is not None:
                    assert ended == 0
                    continue
                if self.chance.random() < 0.25:
                    writers[name].send_signal(SIGKILL)
                    writers[name].wait()
                    writers[name] = self.start(name)
                    self.happened["killed"] += 1
                else:
                    writers[name].send_signal(SIGSTOP)
                    time.sleep(self.chance.uniform(0.5, 2.5))
                    writers[name].send_signal(SIGCONT)
                    self.happened["stopped"] += 1
            assert {writer.wait() for writer in writers.values()} == {0}
        finally:
            for writer in writers.values():
                writer.kill()
                writer.wait()
        for name in self.names:
            lines = (self.lake.parent / f"{name}.log").read_text().splitlines()
            self.happened.update("batch" if line.startswith("batch") else line for line in lines)
        return self.happened


@pytest.mark.long
@pytest.mark.parametrize("mode", ["append", "merge", "replace"])
@pytest.mark.parametrize("seed", range(3))
def test_three_writers_stopped_and_killed_at_random(database: Database, lake: Path, mode: str, seed: int) -> None:
    last = 60
    happened = Chaos(database, lake, mode, last, seed).run()
    print(json.dumps({"commits": DeltaTable(table_path(lake)).version() + 1, **happened}))
    assert_fenced(table_path(lake))
    assert_rows_once(table_path(lake), mode, last)
    assert happened["taken over"]


def test_maintenance_does_not_come_through_a_claim(database: Database, lake: Path) -> None:
    context = fence_writer.open_context(database, lake, "writer", LONG)
    for _ in range(3):
        fence_writer.write_one_batch(context, "append", last=3)
    newest = int(time.time() * 1000) + 10**6
    claimed = Lease(newest - 1, before_check=lambda _: context.engine.claim(fence_writer.TABLE, Lease(newest)))
    with pytest.raises(CommitConflict):
        context.engine.maintain(CUSTOMERS, claimed)
    assert not any("remove" in action for _, action in actions(table_path(lake)))
    context.engine.maintain(CUSTOMERS, Lease(newest))
    assert any("remove" in action for _, action in actions(table_path(lake)))
    assert_rows_once(table_path(lake), "append", 3)


def test_a_commit_of_another_tool_in_between_is_a_conflict(database: Database, lake: Path) -> None:
    """It carries no fence that delta-rs could find in conflict with ours: that it is not retried makes it one."""
    context = fence_writer.open_context(database, lake, "writer", LONG)
    fence_writer.write_one_batch(context, "append", last=1)
    rows = DeltaTable(table_path(lake)).to_pyarrow_table()
    token = int(time.time() * 1000) + 10**6
    overtaken = Lease(token, before_check=lambda _: write_deltalake(table_path(lake), rows, mode="append"))
    with context.engine.session(fence_writer.AS_OF) as session, pytest.raises(CommitConflict):
        session.append(CUSTOMERS, fence_writer.customer_sql("late", 9), context.commit(fence_writer.FLOW, 2, overtaken))
    assert context.engine.batch(fence_writer.TABLE, fence_writer.FLOW) == 1


def test_the_check_finds_a_stale_commit(database: Database, lake: Path) -> None:
    """What a writer without a fence would have done is seen by the assertions above."""
    context = fence_writer.open_context(database, lake, "writer", LONG)
    for _ in range(2):
        fence_writer.write_one_batch(context, "append", last=2)
    path = table_path(lake)
    assert_fenced(path)
    rows = DeltaTable(path).to_pyarrow_table().slice(0, 1)
    stale = CommitProperties(app_transactions=[Transaction(FENCE_APP_ID, 1)])
    write_deltalake(path, rows, mode="append", commit_properties=stale)
    with pytest.raises(AssertionError, match="lost their lease"):
        assert_fenced(path)
    with pytest.raises(AssertionError):
        assert_rows_once(path, "append", 2)
