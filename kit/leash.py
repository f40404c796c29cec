"""A leash: a child process lives no longer than its parent vouches for it.

The parent holds the writing end of a pipe, the child's standard input, and writes on it until when the child may live, again and
again. The child kills its process group when that instant passes, or when the pipe ends because the parent has died; on Linux the
kernel kills it, too. So a parent that is killed, stopped, or has lost what it vouched with (a lease it cannot renew) leaves no
child at work behind it. Instants are of the machine's monotonic clock, which its processes share.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading
import time
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_LONGEST_LOOK = 3600.0


class Leash:
    """The parent's end: ``descriptor`` is the writing end of the child's standard input."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)

    def extend(self, until: float) -> None:
        """The child may live until then. Without effect when it is dead, or stopped for so long that the pipe is full."""
        try:
            os.write(self._descriptor, b"%.3f\n" % until)
        except (BlockingIOError, BrokenPipeError):
            return


def stay_on_leash(parent: int) -> None:
    """The child's end: from now on this process lives as long as process ``parent`` vouches for it on standard input.

    Returns once the parent has done so for the first time.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was told
        _end()
    pipe = os.dup(0)
    until = _next(pipe, b"")
    threading.Thread(target=_watch, args=(pipe, *until), name="leash", daemon=True).start()


def _watch(pipe: int, until: float, rest: bytes) -> NoReturn:
    try:
        while (left := until - time.monotonic()) > 0:
            if select.select([pipe], [], [], min(left, _LONGEST_LOOK))[0]:
                until, rest = _next(pipe, rest)
    finally:  # whatever it is: without a watch there is no leash
        _end()


def _next(pipe: int, rest: bytes) -> tuple[float, bytes]:
    """The newest instant on the pipe, and the beginning of the one after it."""
    while True:
        if not (read := os.read(pipe, 4096)):
            _end()
        *instants, rest = (rest + read).split(b"\n")
        if instants:
            return float(instants[-1]), rest


def _end() -> NoReturn:
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)  # with what it has started: a Java machine, say
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit  # never reached
