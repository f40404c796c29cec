"""What a whole process took, and what it took inside from ready to done."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of wall and CPU of a process, by the operating system's account, and its resident memory at the most; ``inner`` ones
    without its start (interpreter, imports) and its end. ``told`` is what else it said."""

    wall: float
    cpu: float
    peak_mb: int
    inner_wall: float
    inner_cpu: float
    told: dict[str, Any]

    def __str__(self) -> str:
        return (
            f"{self.wall:.1f} s wall ({self.inner_wall:.1f} inside), {self.cpu:.1f} s CPU ({self.inner_cpu:.1f}), "
            f"peak {self.peak_mb} MB"
        )


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Started where a process is ready to work."""

    wall: float
    cpu: float

    @classmethod
    def start(cls) -> Stopwatch:
        return cls(time.perf_counter(), _cpu())

    def report(self, **told: Any) -> None:
        """Print what passed since, and more, as the process's last line."""
        passed = {"inner_wall": time.perf_counter() - self.wall, "inner_cpu": _cpu() - self.cpu}
        print(json.dumps({**passed, "peak_mb": memory_kb("VmHWM") >> 10, **told}), flush=True)


def measured(command: Sequence[str], environment: dict[str, str] | None = None) -> Cost:
    """Run a process that reports to its end."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, **(environment or {})}, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as output:
        printed = output.read()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command[2:4])} failed with {process.returncode}")
    told = json.loads(printed.splitlines()[-1])
    said = (told.pop(name) for name in ("peak_mb", "inner_wall", "inner_cpu"))
    return Cost(wall, used.ru_utime + used.ru_stime, *said, told)


def spread(figures: Sequence[float]) -> str:
    """The median, and between which the others lie."""
    return f"{statistics.median(figures):.2f} [{min(figures):.2f}-{max(figures):.2f}]"


def load() -> str:
    """How busy the machine has been for the last minute, by everybody."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def memory_kb(field: str, process: int | str = "self") -> int:
    """Resident memory of a process: ``VmHWM`` at the most so far, ``VmRSS`` now (proc(5)). Not ``ru_maxrss``, which begins with what the
    parent held when it started the process (Linux's exec keeps it)."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{field}:"))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
