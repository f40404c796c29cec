"""``python -m pipelines run``: JSON lines while it works, the record or the error at last, a stop between two commits."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import date
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest

from kit.db import Database
from kit.settings import Settings
from pipelines.sample import land_sample
from tests.lake_state import batch_commits, tables, versions
from workers.migrate import upgrade

ARGUMENTS = ("--run-id", "run_test", "--as-of", "2026-06-01")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Twenty customers, landed; a migrated control database."""
    home = tmp_path / "home"
    land_sample(home / "landing", customers=20, seed=3, until=date(2026, 5, 31))
    database = Database(Settings(home=home, database_url="").control_database_url)
    upgrade(database)
    database.close()
    return home


def start(home: Path, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pipelines", "run", *arguments, "--home", str(home)]
    return subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.PIPE,
    )


def finish(job: subprocess.Popen[bytes]) -> tuple[int, list[dict[str, Any]]]:
    printed, _ = job.communicate()
    return job.returncode, [json.loads(line) for line in printed.splitlines()]


def test_a_job_tells_its_steps_and_at_last_its_record(home: Path) -> None:
    code, (*steps, last) = finish(start(home, "daily", *ARGUMENTS))
    assert code == 0
    assert {"subject": "gold.customer_360", "step": "done"} in [line["progress"] for line in steps]
    assert last["record"]["datasets"]["gold.customer_360"]["rows_out"] > 0
    assert last["record"]["commits"] > 0
    assert last["record"]["online"]["customers"]["written"] > 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("nightly",), "pipeline.unknown"),
        (("daily", "--parameter", "colour=red"), "pipeline.unknown_parameter"),
    ],
)
def test_an_error_is_the_last_line(home: Path, arguments: tuple[str, ...], code: str) -> None:
    ended, lines = finish(start(home, *arguments, *ARGUMENTS))
    assert ended == 1
    assert [line["error"]["code"] for line in lines] == [code]
    assert set(lines[0]["error"]) == {"code", "kind", "message"}


def test_a_defect_is_told_by_its_place_and_never_by_its_text(home: Path) -> None:
    (home / "control.db").write_bytes(b"ada@example.org is no database" * 40)
    job = start(home, "daily", *ARGUMENTS)
    printed, errors = job.communicate()
    assert json.loads(printed.splitlines()[-1])["error"]["code"] == "fault"
    assert b"ada@" not in printed + errors


def test_a_job_that_is_asked_to_stop_leaves_whole_tables_and_the_next_goes_on(home: Path) -> None:
    job = start(home, "daily", *ARGUMENTS, C360_PAUSE_AT="commit.fence_checked")
    _, status = os.waitpid(job.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    job.send_signal(SIGTERM)
    job.send_signal(subprocess.signal.SIGCONT)
    code, lines = finish(job)
    assert code == 1
    assert lines[-1]["error"]["code"] == "pipeline.stopped"
    built = versions(home / "lake")
    assert built
    assert "gold.customer_360" not in built
    with closing(sqlite3.connect(home / "control.db")) as control:
        assert control.execute("SELECT count(*) FROM lease WHERE NOT clean OR expires_at IS NOT NULL").fetchone() == (
            0,
        )
    code, lines = finish(start(home, "daily", *ARGUMENTS))
    assert code == 0
    assert "gold.customer_360" in versions(home / "lake")
    for name, path in tables(home / "lake").items():
        assert set(batch_commits(path).values()) <= {1}, name
