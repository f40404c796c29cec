"""The runner port: a place where jobs run, as the worker sees it.

The worker claims a run and hands its job to a runner; it never waits inside one. ``submit`` starts, ``poll`` looks, ``cancel``
asks. Implementations: a child process of the worker (workers.runners.embedded), a cluster, a workspace; one contract suite in
tests/contracts. Every one of them starts the same program, ``python -m pipelines run …`` (pipelines.job), by ``job_arguments``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, Protocol

JOB_LOST = "job.lost"
"""Code of a job that ended without a result: killed, or gone with what it ran on."""


@dataclass(frozen=True, slots=True)
class Job:
    """Everything a runner needs to know; nothing personal."""

    run_id: str
    attempt: int
    pipeline: str
    as_of: date
    full_refresh: bool = False
    engine: str = "embedded"
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def token(self) -> str:
        """Tells this attempt from all others, in at most 64 characters: what a remote side takes for idempotency."""
        return f"{self.run_id}:{self.attempt}"


class JobState(StrEnum):
    """Where a job is. The last three are final."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True)
class JobProgress:
    """One step of a job: what it is about (a dataset), and what happens to it now."""

    subject: str
    step: str


@dataclass(frozen=True, slots=True)
class JobStatus:
    """What a look at a job found.

    A final state is told only when nothing of the job can write any more. ``code`` and ``message`` say why it failed and may
    be shown; ``retryable``: the same job may succeed later. ``record`` is there when it succeeded. ``progress`` holds the
    steps since the last look, each told once (a look after a crash of the worker may tell none of those before).
    """

    state: JobState
    code: str | None = None
    message: str | None = None
    retryable: bool = False
    record: Mapping[str, Any] | None = None
    progress: Sequence[JobProgress] = ()


class Runner(Protocol):
    """Where jobs run. One object serves all jobs of a worker; each job is one thread's, from submit to its end."""

    @property
    def name(self) -> str: ...

    @property
    def poll_seconds(self) -> float:
        """How often a look at a job is worth its cost."""

    @property
    def outlives_worker(self) -> bool:
        """Whether a job goes on when its worker dies. If so, the next worker polls it by its handle, or submits it again with
        the same token where the handle was lost; if not, the job is gone and the next worker starts a new attempt."""

    def submit(self, job: Job) -> str:
        """Start a job, or find what an earlier submit with this token has started; returns a handle of at most 200 characters,
        which is kept in the run row. Raises Unavailable where trying again later may help."""

    def poll(self, handle: str) -> JobStatus:
        """Look at a job; returns soon. Raises Unavailable when it cannot be known now: the job may be alive."""

    def cancel(self, handle: str) -> None:
        """Ask a job to stop; ``poll`` tells when it has. Harmless when repeated, and when the job has ended."""


def job_arguments(job: Job) -> list[str]:
    """The arguments of ``python -m pipelines`` that carry this job out."""
    arguments = ["run", job.pipeline, "--run-id", job.run_id, "--attempt", str(job.attempt)]
    arguments += ["--as-of", job.as_of.isoformat(), "--engine", job.engine]
    if job.full_refresh:
        arguments.append("--full-refresh")
    for name, value in sorted(job.parameters.items()):
        arguments += ["--parameter", f"{name}={value}"]
    return arguments
