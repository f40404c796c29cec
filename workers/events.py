"""What happens to a run, in the order in which it happens: changes of state, progress, whatever its worker tells.

Events of a run are numbered from 1 without gaps. A change of state is told in the very transaction that makes it, so that who
has read all events of a run knows its state. Data holds nothing personal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from kit.db import database_time
from kit.errors import Conflict
from workers.models import Run, RunEvent
from workers.states import RunState

STATE = "state"
PROGRESS = "progress"
"""Kinds of event. A worker may tell others; a reader ignores those that it does not know."""


class RunLost(Conflict):
    """The run has passed to another worker; this one must stop."""

    code = "run.lost"


def append(session: Session, run: Run, happened: Sequence[tuple[str, Mapping[str, Any]]]) -> int:
    """Tell events of a claimed run, each (kind, data); the number of the newest. Raises RunLost."""
    newest = session.execute(
        update(Run)
        .where(Run.id == run.id, Run.lease_token == run.lease_token, Run.state == RunState.RUNNING)
        .values(last_event=Run.last_event + len(happened))
        .returning(Run.last_event)
        .execution_options(synchronize_session=False)
    ).scalar_one_or_none()
    if newest is None:
        raise RunLost(f"run {run.id} is no longer this worker's")
    if happened:
        at, first = database_time(session), newest - len(happened) + 1
        rows = [
            {"run_id": run.id, "seq": seq, "at": at, "kind": kind, "data": dict(data)}
            for seq, (kind, data) in enumerate(happened, first)
        ]
        session.execute(insert(RunEvent), rows)
    return newest


def note(session: Session, run: Run, kind: str, data: Mapping[str, Any]) -> None:
    """Tell an event of a run whose row the caller has locked or just made."""
    run.last_event = (run.last_event or 0) + 1
    session.add(RunEvent(run_id=run.id, seq=run.last_event, at=database_time(session), kind=kind, data=dict(data)))


def events(session: Session, run_id: str, after_seq: int = 0, *, limit: int = 1000) -> list[RunEvent]:
    """Events of a run after that number, in order."""
    page = select(RunEvent).where(RunEvent.run_id == run_id, RunEvent.seq > after_seq)
    return list(session.scalars(page.order_by(RunEvent.seq).limit(limit)))
