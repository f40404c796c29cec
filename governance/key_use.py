"""When a key was last used: noted in memory, written in batches off the request path, right to within some minutes."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from sqlalchemy import bindparam, or_, update
from sqlalchemy.exc import SQLAlchemyError

from governance.models import ApiKey
from kit.db import Database

_COARSE_SECONDS = 60
_logger = logging.getLogger(__name__)


class KeyUse:
    """Collects uses; as a context manager it writes them every ``write_seconds`` in a thread of its own, and at the end."""

    def __init__(self, database: Database, *, write_seconds: float = 60.0) -> None:
        self._database = database
        self._write_seconds = write_seconds
        self._used: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._stop.clear()
        self._thread = threading.Thread(target=self._keep_writing, name="key-use", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)  # a hanging database must not keep the process from ending

    def note(self, key_id: str, instant: float) -> None:
        """A key was used at an instant (seconds since the epoch). Costs the request nothing but memory."""
        self._used[key_id] = instant

    def write(self) -> None:
        """Write what was noted since the last time; raises SQLAlchemyError, and forgets it then."""
        used, self._used = self._used, {}
        if not used:
            return
        last = bindparam("last", type_=ApiKey.last_used_at.type)
        statement = (
            update(ApiKey.__table__)  # type: ignore[arg-type]
            .where(ApiKey.id == bindparam("key"), or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < last))
            .values(last_used_at=last)
        )
        rows = [{"key": key, "last": _coarse(instant)} for key, instant in sorted(used.items())]
        with self._database.transaction() as session:
            session.connection().execute(statement, rows)

    def _keep_writing(self) -> None:
        while not self._stop.wait(self._write_seconds):
            self._write_or_log()
        self._write_or_log()

    def _write_or_log(self) -> None:
        try:
            self.write()
        except SQLAlchemyError as error:
            _logger.warning("when keys were last used could not be written (%s)", type(error).__name__)


def _coarse(instant: float) -> datetime:
    return datetime.fromtimestamp(instant // _COARSE_SECONDS * _COARSE_SECONDS, UTC)
