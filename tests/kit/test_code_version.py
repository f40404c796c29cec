"""Which code is running: a git revision in a checkout, the hash of RECORD where a wheel is installed."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from kit.code_version import code_version
from tests.fixtures.parts import require

ROOT = Path(__file__).parents[2]
SAY = "import kit.code_version as here; print(here.code_version())"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A source tree with this module and nothing else."""
    (tmp_path / "kit").mkdir()
    (tmp_path / "kit" / "__init__.py").touch()
    shutil.copy(ROOT / "kit" / "code_version.py", tmp_path / "kit")
    return tmp_path


def said_in(folder: Path, python: str = sys.executable) -> str:
    asked = subprocess.run(
        [python, "-c", SAY], cwd=folder, env={"PATH": "/usr/bin:/bin"}, check=True, capture_output=True
    )
    return asked.stdout.decode().strip()


def git(folder: Path, *arguments: str) -> str:
    names = ["-c", "user.name=x", "-c", "user.email=x@localhost"]
    done = subprocess.run(["git", "-C", str(folder), *names, *arguments], check=True, capture_output=True)
    return done.stdout.decode().strip()


def test_it_fits_its_column() -> None:
    assert re.fullmatch(r"[0-9a-z.+]{1,64}", code_version())


def test_a_checkout_says_its_revision_and_whether_it_was_changed(copy: Path) -> None:
    require(shutil.which("git") is not None, "git is not installed")
    git(copy, "init", "-q")
    git(copy, "add", "kit/__init__.py", "kit/code_version.py")
    git(copy, "commit", "-qm", "first")
    revision = git(copy, "rev-parse", "--short=12", "HEAD")
    assert said_in(copy).partition("+")[2] == f"g{revision}"
    (copy / "kit" / "__init__.py").write_text("changed = True\n")
    assert said_in(copy).partition("+")[2] == f"g{revision}.dirty"


def test_a_folder_within_another_checkout_says_nothing_of_that(copy: Path) -> None:
    require(shutil.which("git") is not None, "git is not installed")
    outer = copy / "outer"
    outer.mkdir()
    shutil.move(copy / "kit", outer / "kit")
    git(copy, "init", "-q")
    git(copy, "commit", "-qm", "first", "--allow-empty")
    assert "+" not in said_in(outer)


@pytest.fixture
def installed(copy: Path) -> Path:
    """An environment with a wheel of this name, as an installer leaves it."""
    home = copy / "environment"
    venv.create(home, with_pip=False)
    (packages,) = home.glob("lib/python3.*/site-packages")
    shutil.move(copy / "kit", packages / "kit")
    info = packages / "customer360-7.8.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: customer360\nVersion: 7.8.9\n")
    (info / "RECORD").write_text("kit/__init__.py,sha256=x,0\nkit/code_version.py,sha256=y,1\n")
    return packages


def test_an_installed_wheel_says_the_hash_of_its_record(installed: Path, tmp_path: Path) -> None:
    python = str(installed.parents[2] / "bin" / "python")
    record = installed / "customer360-7.8.9.dist-info" / "RECORD"
    assert said_in(tmp_path, python) == "7.8.9+r" + hashlib.sha256(record.read_bytes()).hexdigest()[:12]
    record.write_text("something_else.py,sha256=x,0\n")
    assert said_in(tmp_path, python) == "7.8.9"
