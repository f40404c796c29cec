"""Jobs that do what their pipeline's name says, speaking the protocol of all jobs (pipelines.job) and importing little else: they
start in a moment."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from kit.errors import Invalid, Unavailable
from pipelines.job import Carried, JobRequest, RunStopped, serve_job

PROGRAM = (sys.executable, "-m", "tests.workers.odd_job")


class NotToday(Unavailable):
    code = "test.not_today"


class NeverAtAll(Invalid):
    code = "test.never"


def wait(request: JobRequest, job: Carried) -> dict[str, Any]:
    """Go on until the file ``go`` is there; stop when asked."""
    assert request.home is not None
    job.progress(str(os.getpid()), "waiting")
    (request.home / "at_work").touch()
    while not (request.home / "go").exists():
        if job.stopping():
            raise RunStopped("as was wished")
        time.sleep(0.01)
    return {"attempt": request.attempt, "buckets": request.parameters.get("buckets")}


def ignore(request: JobRequest, job: Carried) -> dict[str, Any]:
    assert request.home is not None
    job.progress(str(os.getpid()), "ignoring")
    (request.home / "at_work").touch()
    while True:
        time.sleep(0.01)


def give_up(request: JobRequest, job: Carried) -> dict[str, Any]:
    raise NeverAtAll("this cannot be done")


def excuse(request: JobRequest, job: Carried) -> dict[str, Any]:
    raise NotToday("try again")


def vanish(request: JobRequest, job: Carried) -> dict[str, Any]:
    os._exit(3)


def chatter(request: JobRequest, job: Carried) -> dict[str, Any]:
    print('{"record": {"forged": true}}')  # a library that prints: not on the lines of the protocol
    for number in range(5000):  # more than a pipe holds
        job.progress(f"step {number}", "done")
    return {"steps": 5000}


JOBS: Mapping[str, Callable[[JobRequest, Carried], dict[str, Any]]] = {
    "waiting": wait,
    "ignoring": ignore,
    "failing": give_up,
    "excusing": excuse,
    "vanishing": vanish,
    "chattering": chatter,
}


def carry_out(request: JobRequest, job: Carried) -> dict[str, Any]:
    return JOBS[request.pipeline.partition("-")[0]](request, job)


if __name__ == "__main__":
    sys.exit(serve_job(sys.argv[1:], carry_out))
