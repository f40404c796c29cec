"""The wheel holds all that is needed: queries, migrations, the files of the documentation page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.parts import PROJECT

CUSTOMERS = 20


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel was unpacked."""
    built = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(built)]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    (wheel,) = built.glob("*.whl")
    folder = built / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_files_become_profiles_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    def c360(*arguments: str) -> dict[str, Any]:
        program = "import cli.main, sys; assert cli.__file__.startswith(sys.argv.pop(1)), cli.__file__; cli.main.main()"
        command = [sys.executable, "-c", program, str(installed), *arguments, "--json"]
        environment = {**os.environ, "PYTHONPATH": str(installed), "C360_HOME": str(tmp_path / "home")}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    assert c360("init")["api_key"].startswith("c360_")
    c360("land", "sample", "--customers", str(CUSTOMERS))
    record = c360("pipeline", "run", "daily")
    assert record["state"] == "succeeded"
    assert c360("sql", "SELECT count(*) FROM gold.customer_360")["rows"] == [[record["online"]["customers"]["written"]]]
    assert record["online"]["customers"]["written"] >= CUSTOMERS
    assert c360("check")["healthy"] is True


def test_only_rooms_lie_at_the_top(installed: Path) -> None:
    """Another name would collide with somebody else's package in the same environment."""
    rooms = {"kit", "lakehouse", "governance", "pipelines", "workers", "api", "cli"}
    assert {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")} == rooms
