"""A run whose job is submitted to a standalone Spark master: a master and a worker of Spark's own, as processes on loopback."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from pipelines.sample import land_sample
from tests.fixtures.parts import require
from tests.fixtures.spark import JARS
from tests.platform import Platform
from workers.runners.base import Job, JobState, JobStatus
from workers.runners.embedded import EmbeddedRunner

UNTIL = date(2026, 5, 31)
AS_OF = UNTIL + timedelta(days=1)
COMPARED = ("silver/orders", "silver/web_sessions", "gold/customer_360")


@pytest.fixture
def master(tmp_path: Path) -> Iterator[str]:
    """The URL of a master with one worker."""
    require(importlib.util.find_spec("pyspark") is not None, "pyspark is not installed")
    from lakehouse.spark.launch import missing_parts

    lack = missing_parts(JARS)
    require(lack is None, lack or "")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"spark://127.0.0.1:{free.getsockname()[1]}"
    alone = ("--host", "127.0.0.1", "--webui-port", "0")
    with ExitStack() as stack:
        stack.enter_context(_daemon(tmp_path, "master.Master", *alone, "--port", url.rpartition(":")[2]))
        _until(tmp_path / "master.Master.log", "I have been elected leader")
        size = ("--cores", "2", "--memory", "2G", "--work-dir", str(tmp_path / "work"))
        stack.enter_context(_daemon(tmp_path, "worker.Worker", *alone, *size, url))
        _until(tmp_path / "worker.Worker.log", "Successfully registered with master")
        yield url


@contextmanager
def _daemon(folder: Path, name: str, *arguments: str) -> Iterator[None]:
    import pyspark

    home = Path(pyspark.__file__).parent
    command = [home / "bin" / "spark-class", f"org.apache.spark.deploy.{name}", *arguments]
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            command, env=os.environ | {"SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def _until(log: Path, words: str) -> None:
    for _ in range(600):
        if words in log.read_text():
            return
        time.sleep(0.1)
    raise AssertionError(f"no {words!r} in {log.read_text()[-2000:]}")


@pytest.mark.long
@pytest.mark.xdist_group("spark")
def test_a_job_on_a_standalone_master_builds_what_the_embedded_engine_builds(
    master: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_sample(tmp_path / "landing", customers=12, until=UNTIL)
    home, other = tmp_path / "home", tmp_path / "other"
    for each in (home, other):
        each.mkdir()
        (each / "landing").symlink_to(tmp_path / "landing")
    with Platform(other) as platform:
        platform.run(AS_OF)
    with Platform(home):  # its control database is there
        pass
    monkeypatch.setenv("C360_SPARK_MASTER", master)
    monkeypatch.setenv("C360_SPARK_JARS", str(JARS.absolute()))
    runner = EmbeddedRunner(lambda _run: 1e12, options=("--home", str(home)))
    job = Job(run_id="run_01standalone", attempt=1, pipeline="daily", as_of=AS_OF, engine="spark")
    status = _end_of(runner, runner.submit(job))
    assert (status.state, status.code) == (JobState.SUCCEEDED, None), status
    for table in COMPARED:
        ours, theirs = (DeltaTable(each / "lake" / table).to_pyarrow_table() for each in (home, other))
        assert _rows(ours) == _rows(theirs), table
    assert "Registered app customer360" in (tmp_path / "master.Master.log").read_text()


def _end_of(runner: EmbeddedRunner, handle: str) -> JobStatus:
    while not (status := runner.poll(handle)).state.is_final:
        time.sleep(0.2)
    return status


def _rows(table: object) -> list[str]:
    return sorted(map(repr, table.to_pylist()))  # type: ignore[attr-defined]
