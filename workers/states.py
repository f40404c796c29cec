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


TRANSITIONS: dict[RunState | None, frozenset[RunState]] = {
    None: frozenset({RunState.QUEUED}),
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.CANCELLED}),
    RunState.RUNNING: frozenset(
        {RunState.RUNNING, RunState.QUEUED, RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}
    ),
    RunState.SUCCEEDED: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.CANCELLED: frozenset(),
}
"""From a state (None: a run just made) to those that may follow. ``running`` to ``running`` is a takeover from a worker
that vanished, ``running`` to ``queued`` one that gave the run back."""


FINAL = frozenset(state for state, following in TRANSITIONS.items() if state is not None and not following)


class IllegalTransition(Conflict):
    """The run cannot go from its state to the one asked for."""

    code = "run.illegal_transition"


def move(run: Run, state: RunState) -> None:
    """Change the state of a run whose row the caller has locked; raises IllegalTransition."""
    current = None if run.state is None else RunState(run.state)
    if state not in TRANSITIONS[current]:
        raise IllegalTransition(f"run {run.id} is {current}; it cannot become {state}")
    run.state = state.value
