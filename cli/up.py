"""``c360 up``: everything on sample data, in one command: land, have a worker run the pipeline, serve."""

from __future__ import annotations

import signal
import sys
import time
from datetime import timedelta
from typing import NoReturn

from cli import serving
from cli.installation import Installation
from cli.output import Steps
from cli.recording import changing
from cli.working import WorkerProcess
from kit.clock import today
from kit.errors import Conflict
from pipelines.sample import land_sample
from workers import queue
from workers.events import PROGRESS
from workers.states import FINAL, RunState

_GRACE_SECONDS = 3.0
"""How long a run may go on after Ctrl-C before it is asked to stop: somebody is waiting at the terminal."""

_LOOK_AGAIN = 0.1


class FirstRunFailed(Conflict):
    """The run that fills the tables has ended otherwise than well; the message says how."""

    code = "cli.first_run_failed"


def up(installation: Installation, customers: int, steps: Steps, announce: serving.Announce) -> None:
    """Until a signal: serve, with a worker beside. A stop while the tables are filled leaves them whole; the next start goes on."""
    signal.signal(signal.SIGTERM, _leave)
    with WorkerProcess(installation, grace_seconds=_GRACE_SECONDS):
        with steps:
            if not any(installation.settings.landing.glob("*/*")):
                last = today() - timedelta(days=1)
                land_sample(installation.settings.landing, customers=customers, until=last, progress=steps.counted)
            _follow(installation, _first_run(installation), steps)
        serving.serve(installation, None, None, announce=announce)


def _first_run(installation: Installation) -> str:
    """A run of the whole pipeline; the one that an interrupted start has left behind, where there is one."""
    with changing(installation) as session:
        run = queue.enqueue(
            session, pipeline="daily", as_of=today(), trigger="up", requested_by="up", dedup_key="up", priority=0
        )
        return run.id


def _follow(installation: Installation, run_id: str, steps: Steps) -> None:
    """Show what happens to a run, until its end; raises FirstRunFailed unless it is a good one."""
    seen = 0
    while True:
        with installation.database.reading() as session:
            run = queue.get_run(session, run_id)
            happened = queue.events(session, run_id, seen)
        for event in happened:
            seen = event.seq
            if event.kind == PROGRESS:
                steps(event.data["subject"], event.data["step"])
        if run.state == RunState.SUCCEEDED:
            return
        if run.state in FINAL:
            raise FirstRunFailed(f"the first run has {run.state}: {run.error_message or 'it was stopped'}")
        time.sleep(_LOOK_AGAIN)


def _leave(_signal: int, _frame: object) -> NoReturn:
    """Leave by way of every ``with``: the worker is stopped in good order."""
    sys.exit(128 + signal.SIGTERM)
