"""States of a run, and the one table of legal transitions. Nothing else assigns a state."""

from __future__ import annotations

from enum import StrEnum

from kit.errors import Conflict
from workers.models import Run


class RunState(StrEnum):
    """Where a run is. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.CANCELLED}),
    RunState.RUNNING: frozenset(
        {RunState.RUNNING, RunState.QUEUED, RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}
    ),
    RunState.SUCCEEDED: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.CANCELLED: frozenset(),
}
"""From a state to those that may follow. ``running`` to ``running`` is a takeover from a worker that vanished."""


class IllegalTransition(Conflict):
    """The run cannot go from its state to the one asked for."""

    code = "run.illegal_transition"


def move(run: Run, state: RunState) -> None:
    """Change a run's state; raises IllegalTransition."""
    if state not in TRANSITIONS[RunState(run.state)]:
        raise IllegalTransition(f"run {run.id} is {run.state}; it cannot become {state.value}")
    run.state = state.value
