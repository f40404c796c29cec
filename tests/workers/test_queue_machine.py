"""Any interleaving of everything that can happen to a queue, on both databases, against a model of a few lines of Python."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, select

from kit.clock import now
from kit.db import Database, database_time
from tests.fixtures.runs import LONG, Runs
from workers import claims, queue
from workers.events import RunLost, append
from workers.models import Run, RunEvent, RunKey
from workers.queue import RunActive, RunDuplicated, RunEnded
from workers.retries import ErrorClass
from workers.states import FINAL, TRANSITIONS, RunState

SETTINGS = settings(
    max_examples=int(os.environ.get("C360_EXAMPLES", "10")),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
KEYS = st.sets(st.sampled_from(["a", "b", "c"]), max_size=2)
NUMBER = st.integers(0, 10**6)


@dataclass
class Known:
    """What the model knows of a run."""

    keys: frozenset[str]
    priority: int
    max_attempts: int
    is_remote: bool
    dedup_key: str | None
    state: RunState = RunState.QUEUED
    token: int = 0
    attempt: int = 0
    failures: int = 0
    handle: str | None = None
    has_worker: bool = False
    is_expired: bool = False
    is_cancel_wished: bool = False
    not_before: Any = None
    claims: list[Run] = field(default_factory=list)

    def leave(self, state: RunState) -> None:
        self.state = state
        self.is_expired = False
        if state is RunState.QUEUED:
            self.handle, self.has_worker = None, False


class QueueMachine(RuleBasedStateMachine):
    """``known`` is the model, in the order in which runs were asked for."""

    database: Database

    @initialize()
    def empty(self) -> None:
        self.runs = Runs(self.database)
        self.known: dict[str, Known] = {}
        with self.database.transaction() as session:
            for table in (Run, RunKey, RunEvent):
                session.execute(delete(table))

    def run_of(self, number: int) -> tuple[str, Known]:
        return list(self.known.items())[number % len(self.known)]

    @rule(
        keys=KEYS,
        priority=st.integers(0, 1),
        max_attempts=st.integers(1, 3),
        delayed=st.booleans(),
        is_remote=st.booleans(),
        dedup_key=st.sampled_from([None, None, "d"]),
    )
    def enqueue(
        self, keys: set[str], priority: int, max_attempts: int, delayed: bool, is_remote: bool, dedup_key: str | None
    ) -> None:
        run = self.runs.enqueue(
            keys=keys,
            priority=priority,
            max_attempts=max_attempts,
            delay=timedelta(hours=1 if delayed else 0),
            engine="databricks" if is_remote else "embedded",
            dedup_key=dedup_key,
        )
        if (same := self.active(dedup_key)) is not None:
            assert run.id == same
        else:
            assert run.id not in self.known
            self.known[run.id] = Known(
                frozenset(keys), priority, max_attempts, is_remote, dedup_key, not_before=run.not_before
            )

    def active(self, dedup_key: str | None) -> str | None:
        alike = (
            run_id
            for run_id, known in self.known.items()
            if known.dedup_key == dedup_key is not None and known.state not in FINAL
        )
        return next(alike, None)

    def line(self, chosen: Callable[[Known], bool]) -> list[tuple[str, Known]]:
        return sorted(
            ((run_id, known) for run_id, known in self.known.items() if chosen(known)),
            key=lambda item: (item[1].priority, item[1].not_before, item[0]),
        )

    @rule()
    def claim(self) -> None:
        expected = self.take_vanished() or self.first_in_line()
        claimed = self.runs.claim()
        assert (claimed.id if claimed else None) == expected
        if claimed is not None:
            self.hand_out(claimed)

    def hand_out(self, claimed: Run) -> None:
        known = self.known[claimed.id]
        known.attempt += known.state is RunState.QUEUED
        known.state, known.token, known.has_worker, known.is_expired = RunState.RUNNING, known.token + 1, True, False
        known.claims.append(claimed)
        assert (claimed.lease_token, claimed.attempt, claimed.handle) == (known.token, known.attempt, known.handle)
        assert (claimed.cancel_requested_at is not None) == known.is_cancel_wished

    def take_vanished(self) -> str | None:
        for run_id, known in self.line(lambda known: known.is_expired):
            if known.has_worker:
                known.failures += 1
                if known.failures >= known.max_attempts:
                    if not known.is_remote:
                        known.leave(RunState.CANCELLED if known.is_cancel_wished else RunState.FAILED)
                        continue
                    known.is_cancel_wished = True
            return run_id
        return None

    def first_in_line(self) -> str | None:
        held = {key for known in self.known.values() if known.state is RunState.RUNNING for key in known.keys}
        for run_id, known in self.line(lambda known: known.state is RunState.QUEUED and known.not_before <= now()):
            if not known.keys & held:
                return run_id
            held |= known.keys  # nobody passes it
        return None

    @rule(number=NUMBER)
    @precondition(lambda self: self.known)
    def claim_by_name(self, number: int) -> None:
        run_id, known = self.run_of(number)
        free = known.state is RunState.QUEUED and not any(
            other.state is RunState.RUNNING and other.keys & known.keys for other in self.known.values()
        )
        if known.is_expired:
            return  # as in claim
        claimed = self.runs.claim(run_id=run_id)
        assert (claimed is not None) == free
        if claimed is not None:
            self.hand_out(claimed)

    @rule(
        number=NUMBER,
        stale=st.booleans(),
        way=st.sampled_from(["finish", "fail", "fail for good", "confirm_cancel", "release"]),
    )
    @precondition(lambda self: any(known.claims for known in self.known.values()))
    def leave(self, number: int, stale: bool, way: str) -> None:
        known, claim = self.claim_of(number, stale)
        ways: dict[str, Callable[[], Any]] = {
            "finish": lambda: self.runs.do(claims.finish, claim, {}),
            "fail": lambda: self.runs.do(claims.fail, claim, code="x", message="x", error_class=ErrorClass.EXHAUSTED),
            "fail for good": lambda: self.runs.do(claims.fail, claim, code="x", message="x"),
            "confirm_cancel": lambda: self.runs.do(claims.confirm_cancel, claim),
            "release": lambda: self.runs.do(claims.release, claim),
        }
        if not self.holds(known, claim):
            with pytest.raises(RunLost):
                ways[way]()
            return
        left = ways[way]()
        known.failures += way.startswith("fail")
        goes_on = way == "release" or (way == "fail" and known.failures < known.max_attempts)
        if way == "finish":
            known.leave(RunState.SUCCEEDED)
        elif way == "confirm_cancel" or known.is_cancel_wished:
            known.leave(RunState.CANCELLED)
        else:
            known.leave(RunState.QUEUED if goes_on else RunState.FAILED)
            if way == "fail" and goes_on:
                assert left.not_before > now()
            known.not_before = left.not_before

    @rule(number=NUMBER, stale=st.booleans(), what=st.sampled_from(["heartbeat", "append", "submitted", "hand_over"]))
    @precondition(lambda self: any(known.claims for known in self.known.values()))
    def keep(self, number: int, stale: bool, what: str) -> None:
        known, claim = self.claim_of(number, stale)
        ways: dict[str, Callable[[], Any]] = {
            "heartbeat": lambda: self.runs.do(claims.heartbeat, claim, seconds=LONG),
            "append": lambda: self.runs.do(append, claim, [("progress", {"n": number})] * 2),
            "submitted": lambda: self.runs.do(
                claims.submitted, claim, runner="databricks" if known.is_remote else "embedded", handle=f"h{number}"
            ),
            "hand_over": lambda: self.runs.do(claims.hand_over, claim),
        }
        if not self.holds(known, claim):
            with pytest.raises(RunLost):
                ways[what]()
            return
        answer = ways[what]()
        if what == "heartbeat":
            assert answer == known.is_cancel_wished
            known.is_expired = False
        elif what == "submitted":
            known.handle = f"h{number}"
        elif what == "hand_over":
            known.has_worker, known.is_expired = False, True

    def claim_of(self, number: int, stale: bool) -> tuple[Known, Run]:
        claimed = [known for known in self.known.values() if known.claims]
        known = claimed[number % len(claimed)]
        return known, known.claims[0 if stale else -1]

    def holds(self, known: Known, claim: Run) -> bool:
        return known.state is RunState.RUNNING and known.token == claim.lease_token

    @rule(number=NUMBER)
    @precondition(lambda self: self.known)
    def cancel(self, number: int) -> None:
        run_id, known = self.run_of(number)
        if known.state in (RunState.SUCCEEDED, RunState.FAILED):
            with pytest.raises(RunEnded):
                self.runs.do(queue.cancel, run_id)
            return
        self.runs.do(queue.cancel, run_id)
        if known.state is RunState.QUEUED:
            known.leave(RunState.CANCELLED)
        known.is_cancel_wished = known.is_cancel_wished or known.state is RunState.RUNNING

    @rule(number=NUMBER)
    @precondition(lambda self: self.known)
    def retry(self, number: int) -> None:
        run_id, known = self.run_of(number)
        if known.state is RunState.RUNNING:
            with pytest.raises(RunActive):
                self.runs.do(queue.retry, run_id, requested_by="x")
        elif known.state is RunState.QUEUED:
            known.not_before = self.runs.do(queue.retry, run_id, requested_by="x").not_before
        elif self.active(known.dedup_key) is not None:
            with pytest.raises(RunDuplicated):
                self.runs.do(queue.retry, run_id, requested_by="x")
        else:
            again = self.runs.do(queue.retry, run_id, requested_by="x")
            self.known[again.id] = Known(
                known.keys,
                known.priority,
                known.max_attempts,
                known.is_remote,
                known.dedup_key,
                not_before=again.not_before,
            )

    @rule(number=NUMBER)
    @precondition(lambda self: any(known.state is RunState.RUNNING for known in self.known.values()))
    def time_ends_a_lease(self, number: int) -> None:
        running = [item for item in self.known.items() if item[1].state is RunState.RUNNING]
        run_id, known = running[number % len(running)]
        self.runs.expire(Run(id=run_id))
        known.is_expired = True

    @rule()
    def time_ends_all_waits(self) -> None:
        queued = {run_id: known for run_id, known in self.known.items() if known.state is RunState.QUEUED}
        line = sorted(queued, key=lambda run_id: (queued[run_id].not_before, run_id))
        self.runs.ripen()
        with self.database.reading() as session:
            ripe = {run.id: run.not_before for run in session.scalars(select(Run).where(Run.id.in_(line)))}
            assert all(instant <= database_time(session) for instant in ripe.values())
        assert sorted(ripe, key=lambda run_id: (ripe[run_id], run_id)) == line
        for run_id, known in queued.items():
            known.not_before = ripe[run_id]

    @invariant()
    def the_database_agrees(self) -> None:
        with self.database.reading() as session:
            stored = {run.id: run for run in session.scalars(select(Run))}
            held = session.execute(select(RunKey.key, RunKey.run_id).where(RunKey.held_since.is_not(None))).all()
        assert stored.keys() == self.known.keys()
        for run_id, known in self.known.items():
            run = stored[run_id]
            assert (run.state, run.lease_token, run.attempt, run.failures, run.not_before, run.handle) == (
                known.state, known.token, known.attempt, known.failures, known.not_before,
                run.handle if known.state in FINAL else known.handle,
            ), run_id  # fmt: skip
            assert (run.finished_at is not None) == (known.state in FINAL)
            assert (run.lease_expires_at is not None) == (known.state is RunState.RUNNING)
        running = sorted(
            (key, run_id)
            for run_id, known in self.known.items()
            for key in known.keys
            if known.state is RunState.RUNNING
        )
        assert sorted(map(tuple, held)) == running
        assert len({key for key, _ in running}) == len(running), "two writers of one key"

    def teardown(self) -> None:
        """Every run's events are a walk through the table of transitions, numbered without gaps, to its state."""
        if not hasattr(self, "known"):
            return
        with self.database.reading() as session:
            told = list(session.scalars(select(RunEvent).order_by(RunEvent.run_id, RunEvent.seq)))
            newest = dict(session.execute(select(Run.id, Run.last_event)).all())
        for run_id, known in self.known.items():
            events = [event for event in told if event.run_id == run_id]
            assert [event.seq for event in events] == list(range(1, newest[run_id] + 1))
            state: RunState | None = None
            for event in events:
                if event.kind == "state":
                    following = RunState(event.data["state"])
                    assert following in TRANSITIONS[state] or following == state
                    state = following
            assert state == known.state


def test_any_interleaving(database: Database) -> None:
    machine = type("Machine", (QueueMachine,), {"database": database})
    run_state_machine_as_test(machine, settings=SETTINGS)
