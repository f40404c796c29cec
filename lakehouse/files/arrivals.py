"""File notification: what has come to lie in the landing zone, as the operating system tells it.

A notification says only that a look is worth its cost. It may be missed (a network share, a full queue): who relies on
arrivals lists the folders now and then all the same.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from watchfiles import watch

_log = logging.getLogger(__name__)

_GATHER_MS = 200
"""How long notifications are gathered before they are told."""


class Arrivals:
    """Watches a landing zone. ``folders`` maps a name to the folder (relative to the zone) below which its files lie."""

    def __init__(self, landing: Path, folders: Mapping[str, str]) -> None:
        self._landing = landing.resolve()
        self._folders = {name: (self._landing / folder).as_posix() + "/" for name, folder in folders.items()}
        self._arrived: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="landing-arrivals", daemon=True)
        self.is_watching = True

    def take(self) -> set[str]:
        """Names below whose folders something has changed since the last call."""
        with self._lock:
            arrived, self._arrived = self._arrived, set()
        return arrived

    def __enter__(self) -> Self:
        self._landing.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        try:
            for changes in watch(
                self._landing,
                watch_filter=None,
                stop_event=self._stop,
                debounce=_GATHER_MS,
                raise_interrupt=False,
                ignore_permission_denied=True,
            ):
                self._note([path for _, path in changes])
        except (OSError, RuntimeError):
            self.is_watching = False
            _log.warning("the landing zone cannot be watched; its folders are listed at every batch instead")

    def _note(self, paths: list[str]) -> None:
        found = {name for name, folder in self._folders.items() if any(path.startswith(folder) for path in paths)}
        with self._lock:
            self._arrived |= found
