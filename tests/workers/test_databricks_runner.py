"""The Databricks runner with the real SDK against a workspace on loopback (a fake: tests/databricks_workspace.py)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from databricks.sdk.service.jobs import Run, TerminationCodeCode

from tests.databricks_workspace import DEPLOYED_JOB, TOKEN, Workspace, client_of, terminated
from workers.runners.base import Job, JobState
from workers.runners.databricks import (
    DatabricksRunner,
    DatabricksTarget,
    WorkspaceRefused,
    WorkspaceUnavailable,
    connect,
)
from workers.runners.databricks_states import FULL, status_of

JOB = Job(run_id="run_01test", attempt=1, pipeline="daily", as_of=date(2026, 6, 1), engine="spark")
WHEEL = DatabricksTarget(wheel="/Volumes/main/c360/wheels/customer360.whl")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace(tmp_path) as workspace:
        workspace.scripts = [{"status": {"state": "RUNNING"}} for _ in range(3)]
        yield workspace


def runner_on(workspace: Workspace, target: DatabricksTarget = WHEEL, token: str = TOKEN) -> DatabricksRunner:
    return DatabricksRunner(target, lambda: client_of(workspace.url, token=token))


class TestSubmit:
    def test_a_wheel_is_submitted_as_one_task_with_the_arguments_of_the_job(self, workspace: Workspace) -> None:
        handle = runner_on(workspace).submit(JOB)
        (body,) = workspace.submits
        assert body["idempotency_token"] == "run_01test:1"
        (task,) = body["tasks"]
        assert task["python_wheel_task"] == {
            "package_name": "customer360",
            "entry_point": "c360-job",
            "parameters": [
                *("run", "daily", "--run-id", "run_01test", "--attempt", "1"),
                *("--as-of", "2026-06-01", "--engine", "spark"),
            ],
        }
        assert body["environments"][0]["spec"]["dependencies"] == [WHEEL.wheel]
        assert int(handle) in workspace.runs

    def test_a_deployed_job_is_run_with_the_same_arguments(self, workspace: Workspace) -> None:
        runner_on(workspace, DatabricksTarget(job_id=DEPLOYED_JOB)).submit(replace(JOB, full_refresh=True))
        (body,) = workspace.submits
        assert (body["job_id"], body["python_params"][-1]) == (DEPLOYED_JOB, "--full-refresh")

    def test_a_second_submit_of_an_attempt_finds_the_first(self, workspace: Workspace) -> None:
        first = runner_on(workspace).submit(JOB)
        assert runner_on(workspace).submit(JOB) == first
        assert runner_on(workspace).submit(replace(JOB, attempt=2)) != first

    @pytest.mark.parametrize("fault", [429, 503])
    def test_a_busy_workspace_is_asked_again_and_runs_it_once(self, workspace: Workspace, fault: int) -> None:
        workspace.faults = [fault, fault]
        runner_on(workspace).submit(JOB)
        assert (len(workspace.submits), len(workspace.runs)) == (3, 1)

    def test_a_lost_answer_makes_no_second_run(self, workspace: Workspace) -> None:
        workspace.faults = ["drop"]
        handle = runner_on(workspace).submit(JOB)
        assert len(workspace.submits) == 2
        assert list(workspace.runs) == [int(handle)]

    def test_a_workspace_that_fails_is_unavailable(self, workspace: Workspace) -> None:
        workspace.faults = [500]
        with pytest.raises(WorkspaceUnavailable):
            runner_on(workspace).submit(JOB)

    def test_a_dead_host_is_unavailable_within_the_budget(self) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(WorkspaceUnavailable):
            DatabricksRunner(WHEEL, lambda: client_of(address, budget=1)).submit(JOB)

    def test_nothing_is_asked_before_the_first_job(self, workspace: Workspace) -> None:
        runner_on(workspace)
        assert workspace.requests == []


class TestRefusals:
    def test_wrong_credentials_are_refused_without_the_workspace_s_text(self, workspace: Workspace) -> None:
        with pytest.raises(WorkspaceRefused) as refused:
            runner_on(workspace, token="dapi-wrong").submit(JOB)
        assert "UNAUTHENTICATED" in refused.value.message
        assert "secret" not in refused.value.message

    def test_a_job_that_is_not_deployed_is_refused(self, workspace: Workspace) -> None:
        with pytest.raises(WorkspaceRefused):
            runner_on(workspace, DatabricksTarget(job_id=1)).submit(JOB)

    def test_a_target_without_job_and_wheel_is_refused(self) -> None:
        with pytest.raises(WorkspaceRefused, match="C360_DATABRICKS_WHEEL"):
            DatabricksRunner(DatabricksTarget())

    def test_missing_credentials_say_what_to_set(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN", "DATABRICKS_CONFIG_FILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        with pytest.raises(WorkspaceRefused, match="DATABRICKS_HOST"):
            DatabricksRunner(WHEEL, connect).submit(JOB)


def ended(code: str, kind: str) -> Run:
    return Run.from_dict({"run_id": 1, **terminated(code, kind)})


class TestStates:
    @pytest.mark.parametrize("code", [code.value for code in TerminationCodeCode])
    def test_every_end_the_sdk_knows_is_final(self, code: str) -> None:
        status = status_of(ended(code, "CLIENT_ERROR"))
        assert status.state.is_final
        assert status.retryable is (TerminationCodeCode(code) in FULL)

    @pytest.mark.parametrize(
        ("kind", "retryable"), [("CLIENT_ERROR", False), ("CLOUD_FAILURE", True), ("INTERNAL_ERROR", True)]
    )
    def test_the_kind_of_an_end_decides_whether_to_try_again(self, kind: str, retryable: bool) -> None:
        status = status_of(ended("CLUSTER_ERROR", kind))
        assert (status.state, status.code, status.retryable) == (JobState.FAILED, "databricks.cluster_error", retryable)

    @pytest.mark.parametrize("state", ["BLOCKED", "PENDING", "QUEUED", "WAITING"])
    def test_what_waits_is_pending(self, state: str) -> None:
        assert status_of(Run.from_dict({"status": {"state": state}})).state is JobState.PENDING

    @pytest.mark.parametrize("state", ["RUNNING", "TERMINATING", "A_STATE_OF_TOMORROW"])
    def test_what_may_still_write_is_running(self, state: str) -> None:
        assert status_of(Run.from_dict({"status": {"state": state}})).state is JobState.RUNNING

    def test_an_end_of_tomorrow_is_a_failure_for_a_person(self) -> None:
        status = status_of(ended("A_CODE_OF_TOMORROW", "A_TYPE_OF_TOMORROW"))
        assert (status.state, status.code, status.retryable) == (JobState.FAILED, "databricks.unknown", False)

    @pytest.mark.parametrize(
        ("life", "result", "state", "retryable"),
        [
            ("QUEUED", None, JobState.PENDING, False),
            ("RUNNING", None, JobState.RUNNING, False),
            ("TERMINATED", "SUCCESS", JobState.SUCCEEDED, False),
            ("TERMINATED", "FAILED", JobState.FAILED, False),
            ("TERMINATED", "CANCELED", JobState.CANCELLED, False),
            ("TERMINATED", "MAXIMUM_CONCURRENT_RUNS_REACHED", JobState.FAILED, True),
            ("INTERNAL_ERROR", "FAILED", JobState.FAILED, True),
        ],
    )
    def test_the_older_form_of_a_state_is_read_too(
        self, life: str, result: str | None, state: JobState, retryable: bool
    ) -> None:
        document = {"life_cycle_state": life} | ({"result_state": result} if result else {})
        status = status_of(Run.from_dict({"run_id": 1, "state": document}))
        assert (status.state, status.retryable) == (state, retryable)


class TestPoll:
    def test_cancelled_from_outside(self, workspace: Workspace) -> None:
        runner = runner_on(workspace)
        handle = runner.submit(JOB)
        assert runner.poll(handle).state is JobState.RUNNING
        workspace.cancel({"run_id": int(handle)})
        assert runner.poll(handle).state is JobState.CANCELLED

    def test_a_run_that_the_workspace_has_forgotten_has_failed(self, workspace: Workspace) -> None:
        status = runner_on(workspace).poll("1")
        assert (status.state, status.code, status.retryable) == (JobState.FAILED, "databricks.run_gone", False)

    def test_a_look_that_fails_says_nothing_about_the_job(self, workspace: Workspace) -> None:
        runner = runner_on(workspace)
        handle = runner.submit(JOB)
        workspace.faults = [500]
        with pytest.raises(WorkspaceUnavailable):
            runner.poll(handle)
        assert runner.poll(handle).state is JobState.RUNNING

    def test_a_failure_s_message_is_not_the_workspace_s(self, workspace: Workspace) -> None:
        workspace.scripts = [terminated("RUN_EXECUTION_ERROR", "CLIENT_ERROR")]
        runner = runner_on(workspace)
        status = runner.poll(runner.submit(JOB))
        assert (status.state, status.code) == (JobState.FAILED, "databricks.run_execution_error")
        assert status.message is not None
        assert "secret" not in status.message

    def test_cancelling_what_is_gone_or_ended_is_harmless(self, workspace: Workspace) -> None:
        runner = runner_on(workspace)
        handle = runner.submit(JOB)
        for _ in range(2):
            runner.cancel(handle)
        runner.cancel("1")
        assert runner.poll(handle).state is JobState.CANCELLED
