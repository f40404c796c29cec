"""Which code is running, so that a run can be traced to it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from functools import lru_cache
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

_PACKAGE = "customer360"
_DIGITS = 12


@lru_cache(maxsize=1)
def code_version() -> str:
    """The package's version, and what tells this code from all other of that version, in at most 64 characters.

    ``0.1.0+g3f2a…`` is a git revision (``.dirty``: with changes that are in none), ``0.1.0+r9c41…`` the hash of an installed wheel's
    RECORD, which lists the hash of every file. A bare version is a source tree that says neither.
    """
    try:
        package = Distribution.from_name(_PACKAGE)
    except PackageNotFoundError:
        package = None
    number = "0" if package is None else package.version
    source = Path(__file__).resolve()
    told = _revision(source.parents[1]) or (_record(package, source) if package is not None else None)
    return f"{number}+{told}" if told else number


def _revision(folder: Path) -> str | None:
    """The revision of a checkout whose top this folder is; None for any other, or where there is no git to ask."""
    git = shutil.which("git")
    if git is None or not (folder / ".git").exists():
        return None
    command = [git, "--no-optional-locks", "-C", str(folder), "describe", "--always", "--dirty=.dirty", "--exclude=*"]
    asked = subprocess.run(  # noqa: S603 - a fixed command
        [*command, f"--abbrev={_DIGITS}"], capture_output=True, text=True, check=False
    )
    return f"g{asked.stdout.strip()}" if asked.returncode == 0 else None


def _record(package: Distribution, source: Path) -> str | None:
    """The hash of the RECORD of the installed wheel that this module came with; None where it did not come with one."""
    files = package.files or ()
    record = package.read_text("RECORD")
    if record is None or not any(Path(str(package.locate_file(file))).resolve() == source for file in files):
        return None
    return "r" + hashlib.sha256(record.encode()).hexdigest()[:_DIGITS]
