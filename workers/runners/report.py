"""Reads what a job prints (pipelines.job): a JSON line per step, at last the record or the error."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from pipelines.job import RunStopped
from workers.runners.base import JobProgress, JobState, JobStatus

_RETRYABLE_KINDS = ("unavailable", "conflict")
"""Errors of these kinds may pass by themselves. The others come back as long as nobody changes something."""


class JobReport:
    """The lines of one job so far. What is no line of the protocol is passed over: a job's libraries may print, too."""

    def __init__(self) -> None:
        self._progress: list[JobProgress] = []
        self._last: JobStatus | None = None

    def feed(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            self._take(_document(line))

    def running(self) -> JobStatus:
        """The job is alive: the steps since the last call."""
        return JobStatus(JobState.RUNNING, progress=self._steps())

    def ended(self, otherwise: JobStatus) -> JobStatus:
        """The job has ended: what its last line said, or ``otherwise`` where it did not come to one."""
        last = self._last or otherwise
        return JobStatus(last.state, last.code, last.message, last.retryable, last.record, self._steps())

    def _take(self, document: dict[str, Any]) -> None:
        match document:
            case {"progress": {"subject": str(subject), "step": str(step)}}:
                self._progress.append(JobProgress(subject, step))
            case {"record": dict(record)}:
                self._last = JobStatus(JobState.SUCCEEDED, record=record)
            case {"error": {"code": str(code), "kind": str(kind), "message": str(message)}}:
                state = JobState.CANCELLED if code == RunStopped.code else JobState.FAILED
                self._last = JobStatus(state, code, message, retryable=kind in _RETRYABLE_KINDS)
            case _:
                pass

    def _steps(self) -> list[JobProgress]:
        steps, self._progress = self._progress, []
        return steps


def _document(line: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
