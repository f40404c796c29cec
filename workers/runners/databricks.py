"""Jobs on Databricks: submitted to Lakeflow Jobs with the SDK, then polled.

A job runs where its worker does not, so it outlives him. ``submit`` carries the attempt's token (``idempotency_token``): a submit whose
answer was lost, and one that a second worker repeats after a crash, find the run that is there. The SDK's client is built
when it is first needed, with a short budget for each call: its constructor asks the workspace, and a dead one must not hold a
worker for minutes.

What runs is the same program as everywhere (pipelines.job); its lines are the task's log.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidParameterValue,
    InvalidState,
    NotFound,
    ResourceDoesNotExist,
    TemporarilyUnavailable,
    TooManyRequests,
)
from databricks.sdk.errors.base import DatabricksError
from databricks.sdk.service.compute import Environment
from databricks.sdk.service.jobs import JobEnvironment, PythonWheelTask, Run, SubmitTask
from requests import RequestException

from kit.errors import Invalid, Unavailable
from workers.runners.base import Job, JobState, JobStatus, job_arguments
from workers.runners.databricks_states import status_of
from workers.runners.report import JobReport

_log = logging.getLogger(__name__)

PACKAGE, ENTRY_POINT = "customer360", "c360-job"
"""Of the wheel: its name, and the console script that is ``python -m pipelines``."""

_PASSING = (
    TooManyRequests,
    TemporarilyUnavailable,
    DeadlineExceeded,
    InternalError,
    TimeoutError,
    ConnectionError,
    RequestException,
)
"""Failures of a call that say nothing about the job. The SDK has repeated 429, 503 and broken connections by itself until
the budget was spent; it raises the built-in TimeoutError then."""


class WorkspaceUnavailable(Unavailable):
    """The workspace does not answer, or asks to come back later."""

    code = "databricks.unavailable"


class WorkspaceRefused(Invalid):
    """The workspace will not take the call as it is: wrong credentials, no permission, no such job. Its own text is not repeated."""

    code = "databricks.refused"


@dataclass(frozen=True, slots=True)
class DatabricksTarget:
    """What to submit.

    ``job_id``: a job that the bundle has deployed, started with the arguments of ours; 0: a one-time run of the wheel at ``wheel``
    (a path in a Unity Catalog volume or the workspace) on serverless compute of ``environment_version``.
    """

    job_id: int = 0
    wheel: str = ""
    environment_version: str = "4"
    timeout_seconds: int = 6 * 3600


def connect(*, budget_seconds: int = 30, call_seconds: int = 15) -> WorkspaceClient:
    """A client with the SDK's own credentials (environment or profile). ``budget_seconds`` bounds a call with its repetitions,
    ``call_seconds`` a single one. Asks the workspace."""
    return WorkspaceClient(
        config=Config(
            retry_timeout_seconds=budget_seconds,
            http_timeout_seconds=call_seconds,
            product=PACKAGE,
        )
    )


class DatabricksRunner:
    """workers.runners.base.Runner over a workspace. ``client`` is called once, when the first job needs it."""

    name = "databricks"
    outlives_worker = True
    poll_seconds = 5.0

    def __init__(self, target: DatabricksTarget, client: Callable[[], WorkspaceClient] = connect) -> None:
        if not target.job_id and not target.wheel:
            raise WorkspaceRefused(
                "nothing to submit: name a deployed job (C360_DATABRICKS_JOB_ID) or a wheel (C360_DATABRICKS_WHEEL)"
            )
        self._target = target
        self._make_client = client
        self._client: WorkspaceClient | None = None
        self._connecting = threading.Lock()

    def submit(self, job: Job) -> str:
        with _said_plainly("submit the job"):
            run_id = self._started(job).response.run_id
        if run_id is None:
            raise WorkspaceUnavailable("the workspace named no run; it is asked again with the same token")
        return str(run_id)

    def poll(self, handle: str) -> JobStatus:
        with _said_plainly("look at the job"):
            try:
                run = self._workspace().jobs.get_run(int(handle))
            except (ResourceDoesNotExist, NotFound):
                return JobStatus(
                    JobState.FAILED,
                    code="databricks.run_gone",
                    message=f"the workspace has no run {handle} any more; look at the tables' versions, then run it again",
                )
            status = status_of(run)
            return self._with_report(run, status) if status.state.is_final else status

    def cancel(self, handle: str) -> None:
        with _said_plainly("cancel the job"):
            try:
                self._workspace().jobs.cancel_run(int(handle))
            except (InvalidState, InvalidParameterValue, ResourceDoesNotExist, NotFound):
                return  # it has ended, or is gone

    def _started(self, job: Job) -> Any:
        """The SDK's ``Wait``, whose response it leaves untyped."""
        jobs = self._workspace().jobs
        if self._target.job_id:
            return jobs.run_now(self._target.job_id, idempotency_token=job.token, python_params=_arguments(job))
        return jobs.submit(
            run_name=f"{PACKAGE} {job.pipeline} {job.token}",
            idempotency_token=job.token,
            timeout_seconds=self._target.timeout_seconds,
            environments=[self._environment()],
            tasks=[_task(job)],
        )

    def _workspace(self) -> WorkspaceClient:
        with self._connecting:
            if self._client is None:
                self._client = self._make_client()
            return self._client

    def _environment(self) -> JobEnvironment:
        spec = Environment(environment_version=self._target.environment_version, dependencies=[self._target.wheel])
        return JobEnvironment(environment_key=PACKAGE, spec=spec)

    def _with_report(self, run: Run, status: JobStatus) -> JobStatus:
        """The job's own last word, where its log has one: the record, or an error that says more than the workspace's code."""
        report = JobReport()
        for line in self._log_lines(run):
            report.feed([line.encode()])
        told = report.ended(status)
        if status.state is JobState.SUCCEEDED:
            return JobStatus(status.state, record=told.record or {"run_page": run.run_page_url}, progress=told.progress)
        if status.state is JobState.CANCELLED or told.state is not JobState.FAILED:
            return JobStatus(status.state, status.code, status.message, status.retryable, progress=told.progress)
        return told

    def _log_lines(self, run: Run) -> list[str]:
        """The task's log. A workspace that will not show it changes nothing about how the run ended."""
        task = next((task for task in run.tasks or () if task.run_id is not None), None)
        if task is None or task.run_id is None:
            return []
        try:
            return (self._workspace().jobs.get_run_output(task.run_id).logs or "").splitlines()
        except (DatabricksError, *_PASSING) as failure:
            _log.warning("the log of run %s cannot be read (%s)", run.run_id, type(failure).__name__)
            return []


def _arguments(job: Job) -> list[str]:
    """There, the engine is Spark."""
    return job_arguments(replace(job, engine="spark"))


def _task(job: Job) -> SubmitTask:
    """One task, never repeated by the workspace: attempts are the queue's."""
    return SubmitTask(
        task_key="run",
        python_wheel_task=PythonWheelTask(PACKAGE, ENTRY_POINT, parameters=_arguments(job)),
        environment_key=PACKAGE,
        max_retries=0,
    )


@contextmanager
def _said_plainly(what: str) -> Iterator[None]:
    """Turn what the SDK raises into errors of this project. Its texts may hold what was sent, so they are not repeated."""
    try:
        yield
    except _PASSING as failure:
        raise WorkspaceUnavailable(f"cannot {what} now ({type(failure).__name__}); trying again may help") from None
    except DatabricksError as failure:
        code = failure.error_code or type(failure).__name__
        raise WorkspaceRefused(
            f"the workspace refuses to {what}: {code}; check credentials, permissions and the job's id"
        ) from None
    except ValueError as failure:  # the SDK's own checks of a configuration
        raise WorkspaceRefused(
            f"cannot {what}: the workspace is not configured ({type(failure).__name__}); set DATABRICKS_HOST and credentials"
        ) from None
