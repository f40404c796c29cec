"""Jobs as child processes of the worker, on a leash: none outlives it, and none goes on when it cannot keep the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from kit.leash import Leash
from workers.runners.base import JOB_LOST, Job, JobState, JobStatus, job_arguments
from workers.runners.report import JobReport

PROGRAM = (sys.executable, "-m", "pipelines")
"""What carries a job out; its arguments follow."""

Vouch = Callable[[str], float]
"""Until when, by the monotonic clock, the worker is sure of a run, by its id."""


class EmbeddedRunner:
    """Starts ``program`` per job. ``options`` are added to its arguments (``--home``); the environment is the worker's.

    Each look at a job tells it how long the worker can vouch for its run; a job that nobody looks at ends by itself. One that
    is asked to stop and has not after ``grace`` seconds is killed.
    """

    name = "embedded"
    outlives_worker = False
    poll_seconds = 0.2

    def __init__(
        self, vouch: Vouch, *, options: Sequence[str] = (), grace: float = 10.0, program: Sequence[str] = PROGRAM
    ) -> None:
        self._vouch = vouch
        self._command = [*program]
        self._options = [*options]
        self._grace = grace
        self._children: dict[str, _Child] = {}

    def submit(self, job: Job) -> str:
        if job.token not in self._children:
            command = [*self._command, *job_arguments(job), *self._options, "--leash", str(os.getpid())]
            self._children[job.token] = _Child(command, job.run_id, self._vouch(job.run_id))
        return job.token

    def poll(self, handle: str) -> JobStatus:
        child = self._children.get(handle)
        if child is None:
            return JobStatus(JobState.FAILED, JOB_LOST, "its process ended with an earlier worker", retryable=True)
        status = child.look(self._vouch(child.run_id), self._grace)
        if status.state.is_final:
            del self._children[handle]
        return status

    def cancel(self, handle: str) -> None:
        if (child := self._children.get(handle)) is not None:
            child.ask_to_stop()


class _Child:
    """One job's process, the leader of a group of its own: a Ctrl-C at the worker's terminal is not meant for it, and what it has
    started ends with it."""

    def __init__(self, command: Sequence[str], run_id: str, until: float) -> None:
        self.run_id = run_id
        self._report = JobReport()
        self._rest = b""
        self._asked_at: float | None = None
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)  # noqa: S603 - our own program
        assert self._process.stdin is not None  # noqa: S101 - both are pipes
        assert self._process.stdout is not None  # noqa: S101
        self._output = self._process.stdout.fileno()
        os.set_blocking(self._output, False)
        self._leash = Leash(self._process.stdin.fileno())
        self._leash.extend(until)

    def look(self, until: float, grace: float) -> JobStatus:
        self._leash.extend(until)
        if self._asked_at is not None and time.monotonic() > self._asked_at + grace:
            self._signal_group(signal.SIGKILL)
        has_ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        self._read()
        if not has_ended:
            return self._report.running()
        self._signal_group(
            signal.SIGKILL
        )  # what it has left behind; before the wait, while the group's number is surely its own
        code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        if self._asked_at is not None:
            return self._report.ended(JobStatus(JobState.CANCELLED, "pipeline.stopped", "it was stopped"))
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return self._report.ended(
            JobStatus(JobState.FAILED, JOB_LOST, f"its process ended without a result ({how})", retryable=True)
        )

    def ask_to_stop(self) -> None:
        if self._asked_at is None:
            self._asked_at = time.monotonic()
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)

    def _signal_group(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _read(self) -> None:
        """All whole lines that are there."""
        while True:
            try:
                read = os.read(self._output, 1 << 16)
            except BlockingIOError:
                return
            if not read:
                return
            *lines, self._rest = (self._rest + read).split(b"\n")
            self._report.feed(lines)
