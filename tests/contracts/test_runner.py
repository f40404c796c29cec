"""What every runner promises. Its jobs speak the protocol of all jobs; the odd ones of the tests do what their name says."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from signal import SIGKILL

import pytest

from tests.databricks_workspace import Workspace, client_of
from tests.workers.odd_job import PROGRAM
from workers.runners.base import JOB_LOST, Job, JobProgress, JobState, JobStatus, Runner
from workers.runners.databricks import DatabricksRunner, DatabricksTarget
from workers.runners.embedded import EmbeddedRunner

FOR_EVER = 1e12


@dataclass
class Place:
    """A runner, and the home of its jobs. ``vouched`` holds until when each run is the worker's, ``process_of`` finds the process
    of a handle where the job does not tell it before its end."""

    home: Path
    runner: Runner
    vouched: dict[str, float] = field(default_factory=dict)
    process_of: Callable[[str], int] | None = None

    def until_end(self, handle: str) -> JobStatus:
        """The final status, with all steps of the job."""
        steps: list[JobProgress] = []
        while True:
            status = self.runner.poll(handle)
            steps += status.progress
            if status.state.is_final:
                return JobStatus(status.state, status.code, status.message, status.retryable, status.record, steps)
            time.sleep(0.01)

    def until_at_work(self, handle: str) -> int:
        """The process id that a waiting job tells as its first step."""
        while True:
            status = self.runner.poll(handle)
            assert not status.state.is_final, status
            if self.process_of is not None:
                wait_until((self.home / "at_work").exists)  # it would not know yet what to do with a signal
                (self.home / "at_work").unlink()
                return self.process_of(handle)
            if status.progress:
                return int(status.progress[0].subject)
            time.sleep(0.01)


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Place]:
    vouched: dict[str, float] = {}
    runner = EmbeddedRunner(
        lambda run_id: vouched.get(run_id, FOR_EVER), options=("--home", str(tmp_path)), program=PROGRAM, grace=0.5
    )
    yield Place(tmp_path, runner, vouched)
    for child in runner._children.values():
        child._signal_group(SIGKILL)
        child._process.communicate()


@pytest.fixture
def databricks(tmp_path: Path) -> Iterator[Place]:
    """The real SDK against a workspace on loopback, which is a fake and really runs what it is given."""
    with Workspace(tmp_path, program=PROGRAM) as workspace:
        runner = DatabricksRunner(
            DatabricksTarget(wheel="/Volumes/c360/customer360.whl"), lambda: client_of(workspace.url)
        )
        yield Place(tmp_path, runner, process_of=workspace.process_of)


@pytest.fixture(params=["embedded", "databricks"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found


def job(pipeline: str, attempt: int = 1, **wishes: str) -> Job:
    return Job(f"run_{pipeline}", attempt, pipeline, date(2026, 1, 31), parameters=wishes)


def test_a_job_runs_to_its_record_and_tells_its_steps_once(place: Place) -> None:
    status = place.until_end(place.runner.submit(job("chattering")))
    assert (status.state, status.record) == (JobState.SUCCEEDED, {"steps": 5000})
    assert [step.subject for step in status.progress] == [f"step {number}" for number in range(5000)]


def test_a_job_is_told_what_was_asked_for(place: Place) -> None:
    (place.home / "go").touch()
    status = place.until_end(place.runner.submit(job("waiting", attempt=3, buckets="7")))
    assert status.record == {"attempt": 3, "buckets": "7"}


@pytest.mark.parametrize(
    ("pipeline", "code", "retryable"),
    [("failing", "test.never", False), ("excusing", "test.not_today", True)],
)
def test_a_job_that_fails_says_why_and_whether_to_try_again(
    place: Place, pipeline: str, code: str, retryable: bool
) -> None:
    status = place.until_end(place.runner.submit(job(pipeline)))
    assert (status.state, status.code, status.retryable) == (JobState.FAILED, code, retryable)
    assert status.message


def test_a_token_has_one_job(place: Place) -> None:
    first = place.runner.submit(job("waiting"))
    again = place.runner.submit(job("waiting"))
    process = place.until_at_work(first)
    assert again == first
    other = place.runner.submit(job("waiting", attempt=2))
    assert other != first
    assert place.until_at_work(other) != process
    (place.home / "go").touch()
    assert place.until_end(first).record == {"attempt": 1, "buckets": None}
    assert place.until_end(other).record == {"attempt": 2, "buckets": None}


@pytest.mark.parametrize("pipeline", ["waiting", "ignoring"])
def test_a_cancelled_job_is_gone_when_that_is_told(place: Place, pipeline: str) -> None:
    handle = place.runner.submit(job(pipeline))
    process = place.until_at_work(handle)
    place.runner.cancel(handle)
    place.runner.cancel(handle)
    assert place.until_end(handle).state is JobState.CANCELLED
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    place.runner.cancel(handle)  # harmless


class TestEmbedded:
    """What holds only where a job ends with its worker."""

    @pytest.fixture
    def place(self, embedded: Place) -> Place:
        return embedded

    def test_a_job_that_vanishes_is_lost(self, place: Place) -> None:
        status = place.until_end(place.runner.submit(job("vanishing")))
        assert (status.state, status.code, status.retryable) == (JobState.FAILED, JOB_LOST, True)

    def test_a_killed_job_is_lost(self, place: Place) -> None:
        handle = place.runner.submit(job("waiting"))
        os.kill(place.until_at_work(handle), SIGKILL)
        status = place.until_end(handle)
        assert (status.state, status.code, status.retryable) == (JobState.FAILED, JOB_LOST, True)

    def test_a_job_ends_when_nobody_looks_at_it(self, place: Place) -> None:
        handle = place.runner.submit(job("ignoring"))
        process = place.until_at_work(handle)
        place.vouched["run_ignoring"] = time.monotonic() + 0.5
        place.runner.poll(handle)
        wait_until(lambda: _is_zombie(process))  # ended, and not waited for yet
        assert place.until_end(handle).code == JOB_LOST

    def test_a_job_of_a_lost_run_ends_at_once(self, place: Place) -> None:
        handle = place.runner.submit(job("ignoring"))
        place.until_at_work(handle)
        place.vouched["run_ignoring"] = 0.0
        assert place.until_end(handle).code == JOB_LOST

    def test_the_job_of_an_earlier_worker_is_lost(self, place: Place) -> None:
        assert place.runner.poll("run_before:1").code == JOB_LOST


def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.01)


def _is_zombie(process: int) -> bool:
    with suppress(FileNotFoundError):
        return Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"
    return False
