"""A Databricks workspace on loopback, as far as jobs go: the real SDK talks to it, and the jobs it takes really run.

It is a fake, and knows what the Jobs API 2.2 documents: tokens that find an earlier run, states, cancellation, a task's log.
Every body it takes must hold the parameters of the SDK's own method and survive its dataclasses unchanged, so that no field is made up. A task of our wheel runs as the
program it stands for, ``python -m pipelines``, in a process of its own; ``Behaviour`` scripts what no real run would do on call.
"""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.service.jobs import JobEnvironment, JobsAPI, SubmitTask

TOKEN = "dapi-fake"
DEPLOYED_JOB = 77
TASK_RUN = 1_000_000
"""A task's run id is its run's, plus this."""


@dataclass
class Ended:
    """How a run is said to have ended."""

    code: str
    kind: str
    result: str = "FAILED"


@dataclass
class RemoteRun:
    run_id: int
    arguments: list[str]
    process: subprocess.Popen[bytes] | None = None
    log: bytes = b""
    cancelled: bool = False
    scripted: dict[str, Any] | None = None


@dataclass
class Workspace:
    """``faults``: what becomes of the next calls instead of an answer: a status code, or ``drop`` (taken, then no answer)."""

    home: Path
    program: tuple[str, ...] = (sys.executable, "-m", "pipelines")
    grace: float = 0.5
    requests: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    faults: list[int | str] = field(default_factory=list)
    runs: dict[int, RemoteRun] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    collectors: list[threading.Thread] = field(default_factory=list)
    scripts: list[dict[str, Any]] = field(default_factory=list)
    """``status`` (and ``state``) documents that the next submitted runs have from the beginning, in place of a process."""

    def __enter__(self) -> Self:
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"workspace": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        for run in self.runs.values():
            if run.process is not None:
                run.process.kill()
        for collector in self.collectors:
            collector.join()

    @property
    def submits(self) -> list[dict[str, Any]]:
        return [body for _, path, body in self.requests if path.endswith(("/runs/submit", "/run-now"))]

    def next_fault(self) -> int | str | None:
        with self._lock:
            return self.faults.pop(0) if self.faults else None

    def submit(self, body: dict[str, Any]) -> dict[str, Any]:
        _check_body(JobsAPI.submit, body, tasks=SubmitTask, environments=JobEnvironment)
        (task,) = body["tasks"]
        assert task["environment_key"] in {environment["environment_key"] for environment in body["environments"]}
        return {"run_id": self._start(body["idempotency_token"], task["python_wheel_task"]["parameters"])}

    def run_now(self, body: dict[str, Any]) -> dict[str, Any]:
        _check_body(JobsAPI.run_now, body)
        if body["job_id"] != DEPLOYED_JOB:
            raise LookupError(f"Job {body['job_id']} does not exist.")
        run_id = self._start(body["idempotency_token"], body["python_params"])
        return {"run_id": run_id, "number_in_job": run_id}

    def _start(self, token: str, arguments: list[str]) -> int:
        assert len(token) <= 64
        with self._lock:
            if token in self.tokens:
                return self.tokens[token]
            run_id = 4000 + len(self.runs)
            run = RemoteRun(run_id, arguments)
            if self.scripts:
                run.scripted = self.scripts.pop(0)
            else:
                run.process = subprocess.Popen(
                    [*self.program, *arguments, "--home", str(self.home)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                )
                self.collectors.append(threading.Thread(target=_collect, args=(run,), daemon=True))
                self.collectors[-1].start()
            self.runs[run_id] = run
            self.tokens[token] = run_id
            return run_id

    def process_of(self, handle: str) -> int:
        """The process id of a run's task."""
        process = self.runs[int(handle)].process
        assert process is not None
        return process.pid

    def get_run(self, run_id: int) -> dict[str, Any]:
        run = self.runs.get(run_id)
        if run is None:
            raise LookupError(f"Run {run_id} does not exist.")
        document: dict[str, Any] = {
            "run_id": run_id,
            "run_page_url": f"{self.url}/run/{run_id}",
            "tasks": [{"run_id": TASK_RUN + run_id, "task_key": "run"}],
        }
        if run.scripted is not None:
            return document | run.scripted
        assert run.process is not None
        if run.process.poll() is None or not run.log:
            return document | {"status": {"state": "TERMINATING" if run.cancelled else "RUNNING"}}
        if run.process.returncode == 0:
            return document | terminated("SUCCESS", "SUCCESS")
        if run.cancelled:
            return document | terminated("USER_CANCELED", "CLIENT_ERROR")
        return document | terminated("RUN_EXECUTION_ERROR", "CLIENT_ERROR")

    def cancel(self, body: dict[str, Any]) -> dict[str, Any]:
        _check_body(JobsAPI.cancel_run, body)
        run = self.runs.get(body["run_id"])
        if run is None:
            raise LookupError(f"Run {body['run_id']} does not exist.")
        run.cancelled = True
        if run.process is not None:
            run.process.terminate()
            threading.Timer(self.grace, run.process.kill).start()
        else:
            run.scripted = terminated("USER_CANCELED", "CLIENT_ERROR")
        return {}

    def output(self, run_id: int) -> dict[str, Any]:
        run = self.runs[run_id - TASK_RUN]
        return {"logs": run.log.decode(), "logs_truncated": False, "metadata": {"run_id": run_id}}


def _check_body(method: Callable[..., Any], body: dict[str, Any], **parts: type[Any]) -> None:
    unknown = body.keys() - inspect.signature(method).parameters.keys()
    assert not unknown, f"the SDK knows no {unknown}"
    for name, part in parts.items():
        assert [part.from_dict(item).as_dict() for item in body[name]] == body[name]


def client_of(url: str, *, token: str = TOKEN, budget: int = 5) -> WorkspaceClient:
    """The SDK's client of a workspace, with short budgets."""
    config = Config(host=url, token=token, auth_type="pat", retry_timeout_seconds=budget, http_timeout_seconds=5)
    return WorkspaceClient(config=config)


def terminated(code: str, kind: str) -> dict[str, Any]:
    """The ``status`` of a run that has ended."""
    return {"status": {"state": "TERMINATED", "termination_details": {"code": code, "type": kind, "message": "secret"}}}


def _collect(run: RemoteRun) -> None:
    assert run.process is not None
    printed, _ = run.process.communicate()
    run.log = printed or b"\n"


class _Handler(BaseHTTPRequestHandler):
    workspace: Workspace
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        match parts.path:
            case "/.well-known/databricks-config":
                self._answer(404, {})
            case "/api/2.2/jobs/runs/get":
                self._call("GET", parts.path, query, lambda: self.workspace.get_run(int(query["run_id"])))
            case "/api/2.2/jobs/runs/get-output":
                self._call("GET", parts.path, query, lambda: self.workspace.output(int(query["run_id"])))
            case _:
                self._answer(404, {"error_code": "ENDPOINT_NOT_FOUND", "message": parts.path})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        routes: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "/api/2.2/jobs/runs/submit": self.workspace.submit,
            "/api/2.2/jobs/run-now": self.workspace.run_now,
            "/api/2.2/jobs/runs/cancel": self.workspace.cancel,
        }
        take = routes.get(self.path)
        if take is None:
            self._answer(404, {"error_code": "ENDPOINT_NOT_FOUND", "message": self.path})
        else:
            self._call("POST", self.path, body, lambda: take(body))

    def _call(self, verb: str, path: str, body: dict[str, Any], answer: Callable[[], dict[str, Any]]) -> None:
        self.workspace.requests.append((verb, path, body))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"error_code": "UNAUTHENTICATED", "message": "secret"})
            return
        fault = self.workspace.next_fault()
        if isinstance(fault, int):
            self._answer(fault, {"error_code": "SCRIPTED", "message": "secret"}, retry_after="0")
            return
        try:
            document = answer()
        except LookupError as missing:
            self._answer(400, {"error_code": "INVALID_PARAMETER_VALUE", "message": str(missing)})
            return
        if fault == "drop":  # taken, and the answer is lost
            self.close_connection = True
            self.connection.close()
            return
        self._answer(200, document)

    def _answer(self, status: int, document: dict[str, Any], retry_after: str | None = None) -> None:
        payload = json.dumps(document).encode()
        self.send_response(status)
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_arguments: object) -> None:
        pass


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Look until a condition holds; fails when it does not within the bound."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
