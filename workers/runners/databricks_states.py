"""How a Databricks run ended, in our terms. Jobs API 2.2: ``Run.status`` (v2), and ``Run.state`` where a workspace sends no more.

Values that the SDK does not know reach us as None; an unknown state is a run that is still alive, an unknown end is one that a
person has to look at.
"""

from __future__ import annotations

from databricks.sdk.service.jobs import (
    Run,
    RunLifeCycleState,
    RunLifecycleStateV2State,
    RunResultState,
    TerminationCodeCode,
    TerminationTypeType,
)

from workers.runners.base import JobState, JobStatus

_PENDING = {
    RunLifecycleStateV2State.BLOCKED,
    RunLifecycleStateV2State.PENDING,
    RunLifecycleStateV2State.QUEUED,
    RunLifecycleStateV2State.WAITING,
}
_PENDING_V1 = {
    RunLifeCycleState.BLOCKED,
    RunLifeCycleState.PENDING,
    RunLifeCycleState.QUEUED,
    RunLifeCycleState.WAITING_FOR_RETRY,
}
_ENDED_V1 = {RunLifeCycleState.TERMINATED, RunLifeCycleState.SKIPPED, RunLifeCycleState.INTERNAL_ERROR}

_CANCELLED = {TerminationCodeCode.CANCELED, TerminationCodeCode.USER_CANCELED}

FULL = {
    TerminationCodeCode.CLUSTER_REQUEST_LIMIT_EXCEEDED,
    TerminationCodeCode.MAX_CONCURRENT_RUNS_EXCEEDED,
    TerminationCodeCode.MAX_JOB_QUEUE_SIZE_EXCEEDED,
    TerminationCodeCode.MAX_SPARK_CONTEXTS_EXCEEDED,
    TerminationCodeCode.WORKSPACE_RUN_LIMIT_EXCEEDED,
}
"""Ends that the workspace lays to the client, and that pass when others have finished."""

_PASSING_TYPES = {TerminationTypeType.CLOUD_FAILURE, TerminationTypeType.INTERNAL_ERROR}
_PASSING_V1 = {RunResultState.MAXIMUM_CONCURRENT_RUNS_REACHED, RunResultState.UPSTREAM_FAILED}


def status_of(run: Run) -> JobStatus:
    """State, code and whether the same job may succeed later. Never repeats the workspace's message: it may quote the job's."""
    status = run.status
    if status is None or status.state is None:
        return _status_v1(run)
    if status.state in _PENDING:
        return JobStatus(JobState.PENDING)
    if status.state is not RunLifecycleStateV2State.TERMINATED:
        return JobStatus(JobState.RUNNING)
    end = status.termination_details
    code = end.code if end is not None else None
    if code in (TerminationCodeCode.SUCCESS, TerminationCodeCode.SUCCESS_WITH_FAILURES):
        return JobStatus(JobState.SUCCEEDED)
    if code in _CANCELLED:
        return _cancelled()
    retryable = code in FULL or (end is not None and end.type in _PASSING_TYPES)
    return _failed(run, code.value if code is not None else "UNKNOWN", retryable=retryable)


def _status_v1(run: Run) -> JobStatus:
    state = run.state
    life = state.life_cycle_state if state is not None else None
    if life in _PENDING_V1:
        return JobStatus(JobState.PENDING)
    if state is None or life not in _ENDED_V1:
        return JobStatus(JobState.RUNNING)
    result = state.result_state
    if result in (RunResultState.SUCCESS, RunResultState.SUCCESS_WITH_FAILURES):
        return JobStatus(JobState.SUCCEEDED)
    if result in (RunResultState.CANCELED, RunResultState.UPSTREAM_CANCELED):
        return _cancelled()
    retryable = life is RunLifeCycleState.INTERNAL_ERROR or result in _PASSING_V1
    told = result.value if result is not None else life.value if life is not None else "UNKNOWN"
    return _failed(run, told, retryable=retryable)


def _cancelled() -> JobStatus:
    return JobStatus(JobState.CANCELLED, code="databricks.cancelled", message="the run was cancelled in the workspace")


def _failed(run: Run, code: str, *, retryable: bool) -> JobStatus:
    return JobStatus(
        JobState.FAILED,
        code=f"databricks.{code.lower()}",
        message=f"the workspace ended run {run.run_id} with {code}; its page there says more",
        retryable=retryable,
    )
