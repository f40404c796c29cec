"""A run killed at any point, and run again, ends in the tables an undisturbed run makes: each batch committed once."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest

from kit.faults import BOUNDARIES
from pipelines.sample import land_sample
from tests.lake_state import batch_commits, contents, tables

AS_OF = "2026-06-01"


def environment(home: Path, **extra: str) -> dict[str, str]:
    return {**os.environ, "C360_HOME": str(home), "C360_LEASE_SECONDS": "1", "C360_BATCH_MAX_MB": "1", **extra}


def run(home: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli.main", "pipeline", "run", "daily", "--as-of", AS_OF, "--json"]
    return subprocess.run(command, env=environment(home, **extra), capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("landed")
    land_sample(home / "landing", customers=60, seed=11, until=date(2026, 5, 31))
    return home


@pytest.fixture(scope="module")
def undisturbed(landed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    shutil.copytree(landed, home)
    finished = run(home)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return home


def assert_same(home: Path, undisturbed: Path) -> None:
    assert contents(home / "lake") == contents(undisturbed / "lake")
    for name, path in tables(home / "lake").items():
        doubled = {batch: count for batch, count in batch_commits(path).items() if count > 1}
        assert not doubled, f"{name}: {doubled}"


def killed_and_run_again(boundary: str, passage: int, landed: Path, undisturbed: Path, home: Path) -> None:
    shutil.copytree(landed, home)
    killed = run(home, C360_CRASH_AT=f"{boundary}:{passage}")
    assert killed.returncode == -signal.SIGKILL, (
        f"{boundary} was not passed {passage} times: {killed.stdout}{killed.stderr}"
    )
    again = run(home)
    assert again.returncode == 0, again.stdout + again.stderr
    assert_same(home, undisturbed)


def test_killed_at_one_boundary_after_the_other(landed: Path, undisturbed: Path, tmp_path: Path) -> None:
    """Each run goes on with what the one before it has left, and dies at the next boundary."""
    home = tmp_path / "home"
    shutil.copytree(landed, home)
    for boundary in BOUNDARIES:
        killed = run(home, C360_CRASH_AT=boundary)
        assert killed.returncode == -signal.SIGKILL, f"{boundary} was not passed: {killed.stdout}{killed.stderr}"
    again = run(home)
    assert again.returncode == 0, again.stdout + again.stderr
    assert_same(home, undisturbed)


@pytest.mark.long
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_killed_at_a_boundary(boundary: str, landed: Path, undisturbed: Path, tmp_path: Path) -> None:
    killed_and_run_again(boundary, 1, landed, undisturbed, tmp_path / "home")


@pytest.mark.long
@pytest.mark.parametrize("passage", [2, 3, 5])
@pytest.mark.parametrize(
    "boundary", [name for name in BOUNDARIES if name.startswith(("commit.", "flow.target", "flow.batch"))]
)
def test_killed_at_a_later_passage(
    boundary: str, passage: int, landed: Path, undisturbed: Path, tmp_path: Path
) -> None:
    killed_and_run_again(boundary, passage, landed, undisturbed, tmp_path / "home")


@pytest.mark.long
def test_killed_at_random(landed: Path, undisturbed: Path, tmp_path: Path) -> None:
    """40 kills over whole runs, most of them a moment after a commit chosen by chance; at least three quarters must fall
    between a run's first and last commit."""
    chance = random.Random(360)
    whole = len(log_files(undisturbed))
    fell = []
    for attempt in range(40):
        home = tmp_path / f"home{attempt}"
        shutil.copytree(landed, home)
        command = [sys.executable, "-m", "cli.main", "pipeline", "run", "daily", "--as-of", AS_OF, "--json"]
        with subprocess.Popen(
            command, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            wait_for_commits(home, chance.randrange(whole) if attempt % 10 else 0, process)
            time.sleep(chance.uniform(0, 0.15))
            process.kill()
        fell.append(len(log_files(home)))
        again = run(home)
        assert again.returncode == 0, again.stdout + again.stderr
        assert_same(home, undisturbed)
        shutil.rmtree(home)
    between = sum(0 < count < whole for count in fell)
    print(json.dumps({"kills": len(fell), "commits_of_a_run": whole, "between": between, "fell_after": sorted(fell)}))
    assert between >= 30


def log_files(home: Path) -> list[Path]:
    return list((home / "lake").glob("*/*/_delta_log/*.json"))


def wait_for_commits(home: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    while len(log_files(home)) < count and process.poll() is None:
        time.sleep(0.005)
