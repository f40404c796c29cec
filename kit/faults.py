"""Named boundaries: the points of a protocol where a process may die.

``boundary("ingest.before_commit")`` does nothing in production. A crash test names one in the environment
(``C360_CRASH_AT=name`` or ``name:3`` for the third passage) and the process kills itself there with SIGKILL, as a power cut
would; ``C360_PAUSE_AT`` stops it there (SIGSTOP) to make a zombie. ``C360_CRASH_LOG`` records what was passed. Of all processes
that share a file ``C360_CRASH_ONCE`` only the first dies; ``C360_CRASH_PARENT`` has a child process take its parent along.
Every boundary is listed here, so that a crash test can walk them all.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

BOUNDARIES = (
    "run.claimed",
    "lease.before_acquire",
    "lease.acquired",
    "ingest.files_seen",
    "ingest.batch_planned",
    "feed.position_read",
    "feed.batch_planned",
    "flow.batch_planned",
    "flow.computed",
    "flow.quarantine_committed",
    "flow.metrics_committed",
    "commit.fence_checked",
    "commit.written",
    "flow.target_committed",
    "flow.batch_marked",
    "publish.before_write",
    "publish.written",
    "run.before_finish",
)
"""Those of a run that a process carries out by itself, in tables and in the control database."""

WORKER_BOUNDARIES = (
    "work.before_claim",
    "work.claimed",
    "work.submitted",
    "work.before_change",
    "work.changed",
    "schedule.before_tick",
    "schedule.ticked",
)
"""Those of a worker, around each change of a run's state."""

API_BOUNDARIES = ("api.created", "change.recorded", "api.committed")
"""Those of a request that creates something: before its event is told, before its transaction commits, and between that and the answer."""

_passed: Counter[str] = Counter()


def boundary(name: str) -> None:
    """Mark a point where a crash must be survived. ``name`` must be one of those above."""
    if name not in (*BOUNDARIES, *WORKER_BOUNDARIES, *API_BOUNDARIES):
        raise ValueError(f"{name} is not a named boundary")
    if not (
        wanted := {
            key: os.environ[key] for key in ("C360_CRASH_AT", "C360_PAUSE_AT", "C360_CRASH_LOG") if key in os.environ
        }
    ):
        return
    _passed[name] += 1
    if log := wanted.get("C360_CRASH_LOG"):
        with Path(log).open("a", encoding="utf-8") as lines:
            lines.write(f"{name}\n")
    if _matches(wanted.get("C360_CRASH_AT"), name) and _is_first():
        if "C360_CRASH_PARENT" in os.environ and name in BOUNDARIES:
            os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    if _matches(wanted.get("C360_PAUSE_AT"), name):
        os.kill(os.getpid(), signal.SIGSTOP)


def _matches(wanted: str | None, name: str) -> bool:
    if wanted is None:
        return False
    where, _, passage = wanted.partition(":")
    return where == name and _passed[name] == int(passage or 1)


def _is_first() -> bool:
    if (once := os.environ.get("C360_CRASH_ONCE")) is None:
        return True
    try:
        Path(once).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
