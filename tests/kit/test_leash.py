"""A process on a leash ends with its parent, with the parent's word, and with its own children."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP

from kit.leash import Leash

CHILD = """
import os, subprocess, sys
from kit.leash import stay_on_leash
stay_on_leash(int(sys.argv[1]))
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdin=subprocess.DEVNULL)
print(os.getpid(), grandchild.pid, flush=True)
grandchild.wait()
"""

PARENT = (
    """
import os, subprocess, sys, time
from kit.leash import Leash
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())], stdin=subprocess.PIPE, process_group=0)
leash = Leash(child.stdin.fileno())
while True:
    leash.extend(time.monotonic() + float(sys.argv[2]))
    time.sleep(0.1)
""",
    CHILD,
)
LONG = 600.0


@contextmanager
def family(seconds: float) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A parent that vouches for that long at a time, and the process ids of its child and grandchild."""
    command = [sys.executable, "-c", *PARENT, str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            yield parent, [int(number) for number in parent.stdout.readline().split()]
        finally:
            parent.kill()


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_dead(processes: list[int]) -> None:
    """Returns at once or hangs: a test that hangs has failed."""
    while any(map(is_alive, processes)):
        time.sleep(0.01)


def test_a_child_ends_with_a_killed_parent() -> None:
    with family(LONG) as (parent, (child, _)):
        assert is_alive(child)
        parent.send_signal(SIGKILL)
        parent.wait()
        wait_until_dead([child])


def test_a_child_ends_with_all_it_started_when_its_parent_is_stopped_beyond_its_word() -> None:
    with family(0.5) as (parent, processes):
        assert all(map(is_alive, processes))
        parent.send_signal(SIGSTOP)
        wait_until_dead(processes)
        parent.send_signal(SIGCONT)


def test_a_child_lives_as_long_as_its_parent_goes_on_vouching() -> None:
    command = [sys.executable, "-c", CHILD, str(os.getpid())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        leash = Leash(child.stdin.fileno())
        leash.extend(1e15)  # longer than the kernel would wait
        processes = [int(number) for number in child.stdout.readline().split()]
        for _ in range(10_000):  # more than a pipe holds: a child that does not read must not block its parent
            leash.extend(time.monotonic() + LONG)
        assert all(map(is_alive, processes))
        leash.extend(time.monotonic())
        assert child.wait() == -SIGKILL
        wait_until_dead(processes)
        leash.extend(time.monotonic() + LONG)  # to nobody: without effect


def test_a_child_whose_parent_is_another_does_not_begin() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CHILD, str(os.getppid())], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert ended.returncode == -SIGKILL
    assert ended.stdout == b""
