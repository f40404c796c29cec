"""Scratch space: ``<scratch>/<process id>/…``, so that what a killed process left behind can be told and removed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def own_scratch(scratch: Path) -> Path:
    """This process's part of the scratch folder, created at need."""
    own = scratch.absolute() / str(os.getpid())
    own.mkdir(parents=True, exist_ok=True)
    return own


def remove_leftovers(scratch: Path) -> None:
    """Spilled rows of processes that are gone: they may hold personal data and are of no use."""
    for folder in scratch.glob("[0-9]*"):
        if not Path(f"/proc/{folder.name}").exists():
            shutil.rmtree(folder, ignore_errors=True)
