"""Which files lie in the landing zone."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kit.errors import Invalid


class PatternOutsideLanding(Invalid):
    """The declared path leaves the landing zone; it has to be a relative glob without ``..``."""

    code = "files.pattern_outside_landing"


@dataclass(frozen=True, slots=True)
class LandingFile:
    """One file as it was found. ``path`` is POSIX and relative to the landing zone; the three together are its
    identity.
    """

    path: str
    size: int
    mtime_ns: int

    @property
    def mtime_us(self) -> int:
        return self.mtime_ns // 1000


def list_files(landing: Path, pattern: str) -> list[LandingFile]:
    """Files that match the glob, oldest first (modification time, then path).

    Names that begin with ``.`` or ``_`` or end in ``.tmp`` or ``.crc`` are still being written, or not data, and are
    left out, as is everything in a folder of such a name. Files that come or go meanwhile are either listed or not; a
    link that leads out of the landing zone is listed as the link it is, and refused by the reader.
    """
    if PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts:
        raise PatternOutsideLanding(f"{pattern}: write a glob relative to the landing zone, without '..'")
    found = (_look_at(landing, path) for path in landing.glob(pattern))
    return sorted((file for file in found if file), key=lambda file: (file.mtime_ns, file.path))


def leads_outside(landing: Path, path: Path) -> bool:
    """Whether a path, its links followed, is not below the landing zone."""
    zone = os.path.realpath(landing)
    return os.path.commonpath([zone, os.path.realpath(path)]) != zone


def _look_at(landing: Path, path: Path) -> LandingFile | None:
    relative = path.relative_to(landing)
    if not _is_data(relative.parts):
        return None
    try:
        outside = leads_outside(landing, path)
        found = path.lstat() if outside else path.stat()
    except OSError:
        return None
    if not (outside or stat.S_ISREG(found.st_mode)):
        return None
    return LandingFile(relative.as_posix(), found.st_size, found.st_mtime_ns)


def _is_data(parts: Sequence[str]) -> bool:
    return not any(part.startswith((".", "_")) for part in parts) and not parts[-1].endswith((".tmp", ".crc"))
