"""What a job is to the program that starts it: arguments in, JSON lines out, a signal to stop.

    {"progress": {"subject": "silver.orders", "step": "computing"}}     any number of times
    {"record": {…}}                                                     at last, exit code 0
    {"error": {"code": "…", "kind": "…", "message": "…"}}               or this, exit code 1

SIGTERM asks the job to stop between two commits; its error is then RunStopped. Whoever runs a job owns the run's row:
the job itself writes tables, never the row.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from traceback import print_tb
from typing import Any, BinaryIO

import orjson

from kit.errors import C360Error, Conflict, what_failed
from kit.leash import stay_on_leash


class RunStopped(Conflict):
    """The run was asked to stop, and did between two commits: what it has written is whole, and the next run goes on from
    there."""

    code = "pipeline.stopped"


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What a job is asked to do. ``home``: where the installation is, unless the environment says."""

    pipeline: str
    home: Path | None
    run_id: str
    attempt: int
    as_of: date
    full_refresh: bool
    engine: str
    parameters: Mapping[str, str]


class Carried:
    """A job being carried out: takes its progress, and says whether it was asked to stop."""

    def __init__(self, lines: BinaryIO) -> None:
        self._lines = lines
        self._stop = threading.Event()

    def stopping(self) -> bool:
        return self._stop.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for so long; True at once when asked to stop."""
        return self._stop.wait(seconds)

    def progress(self, subject: str, step: str) -> None:
        self._print({"progress": {"subject": subject, "step": step}})

    def ask_to_stop(self, _signal: int, _frame: object) -> None:
        self._stop.set()

    def end(self, work: Callable[[Carried], Mapping[str, Any]]) -> int:
        """Do the work, tell how it ended, and return the exit code."""
        try:
            record = work(self)
        except Exception as failure:  # noqa: BLE001 - whatever it is, whoever waits for the last line must get one
            if not isinstance(failure, C360Error):
                print_tb(failure.__traceback__, file=sys.stderr)
            self._print({"error": what_failed(failure)})
            return 1
        self._print({"record": record})
        return 0

    def _print(self, document: Mapping[str, Any]) -> None:
        self._lines.write(orjson.dumps(document, default=str, option=orjson.OPT_APPEND_NEWLINE))
        self._lines.flush()


def serve_job(arguments: Sequence[str], work: Callable[[JobRequest, Carried], Mapping[str, Any]]) -> int:
    """Carry out the job of a command line by ``work``; returns the exit code.

    What anything else prints on standard output goes to standard error: the lines are whole.
    """
    options = _parser().parse_args(arguments)
    os.umask(0o077)
    with os.fdopen(os.dup(1), "wb") as lines:
        os.dup2(2, 1)
        carried = Carried(lines)
        signal.signal(signal.SIGTERM, carried.ask_to_stop)
        if options.leash is not None:
            stay_on_leash(options.leash)
        request = JobRequest(
            pipeline=options.pipeline,
            home=options.home,
            run_id=options.run_id,
            attempt=options.attempt,
            as_of=options.as_of,
            full_refresh=options.full_refresh,
            engine=options.engine,
            parameters=dict(options.parameter),
        )
        return carried.end(lambda job: work(request, job))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines", description="Carries out one job of a run.")
    run = parser.add_subparsers(required=True).add_parser("run", help="run a pipeline; prints JSON lines")
    run.add_argument("pipeline", help="its name, for example daily")
    run.add_argument("--home", type=Path, help="directory of all state (default: C360_HOME or ./.c360)")
    run.add_argument("--run-id", required=True, help="the run this job belongs to")
    run.add_argument("--attempt", type=int, default=1, help="which attempt of the run it is")
    run.add_argument("--as-of", type=date.fromisoformat, required=True, help="date the windows end at")
    run.add_argument("--full-refresh", action="store_true", help="recompute silver and gold from bronze")
    run.add_argument("--engine", default="embedded", help="embedded or spark")
    run.add_argument("--parameter", type=_parameter, action="append", default=[], metavar="NAME=VALUE")
    run.add_argument("--leash", type=int, metavar="PID", help="live while this parent vouches on standard input")
    return parser


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError("write NAME=VALUE")
    return name, value
