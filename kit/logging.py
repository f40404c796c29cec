"""What the processes say while they work: one line per event, JSON in services, readable on a terminal; never a value of the data.

Everything goes through one handler, whoever says it. Of what this project's own modules say the text is kept, as our own messages hold
no personal values; so is that of the few libraries listed in ``_TRUSTED``. Of any other library only who said something where is kept. An
exception is told by its type and place, never by its text. Of what is added to a line only ``FIELDS`` are shown.

``correlated(request_id=…, run_id=…)`` gives every line said within it these fields, in this thread or task and those begun in it.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor

FIELDS = frozenset(
    {"request_id", "run_id", "pipeline", "dataset", "attempt", "worker", "code", "kind", "seconds", "count"}
)
"""What may be added to a line (``extra=``, ``correlated``): names of things and numbers, never data."""

_OWN = frozenset({"alembic", "api", "cli", "governance", "kit", "lakehouse", "ml", "pipelines", "sharing", "workers"})
_TRUSTED = _OWN | {"uvicorn"}
_ALWAYS = frozenset({"at", "level", "service", "logger", "event", "exception", "place"})
_FRAMES = 12

_fields: ContextVar[Mapping[str, str]] = ContextVar("c360_log_fields", default={})  # noqa: B039 - it is never changed in place


def configure(service: str, *, level: str = "INFO", as_json: bool | None = None, stream: TextIO | None = None) -> None:
    """Let everything this process says go through here, to ``stream`` (standard error). May be called again.

    ``as_json``: None means JSON unless a person looks at a terminal.
    """
    stream = stream or sys.stderr
    if as_json is None:
        as_json = not stream.isatty()
    rendered: list[Processor] = [structlog.processors.JSONRenderer()] if as_json else [_colours(stream)]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_said, _named(service), structlog.processors.TimeStamper(fmt="iso", utc=True, key="at")],
        processors=[_redacted, *rendered],
        keep_exc_info=False,
    )
    handler = _Handler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [*(other for other in root.handlers if not isinstance(other, _Handler)), handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "alembic"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    logging.getLogger("alembic").setLevel(logging.WARNING)  # each command migrates
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


class _Handler(logging.StreamHandler[TextIO]):
    """The one that ``configure`` has set, to be told from others."""


def correlate(**fields: str) -> None:
    """Add these fields to every line of the current task from now on."""
    _fields.set({**_fields.get(), **fields})


@contextmanager
def correlated(**fields: str) -> Iterator[None]:
    """Add these fields to every line said within the block."""
    token = _fields.set({**_fields.get(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


def correlation(name: str) -> str | None:
    """The value that a field has here; None where it has none."""
    return _fields.get().get(name)


def place_of(trace: TracebackType | None) -> str:
    """Where something happened, innermost first: functions, files and lines, nothing of what they held."""
    frames = traceback.extract_tb(trace)
    return " < ".join(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in reversed(frames[-_FRAMES:]))


def _said(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """From a record of the standard library to what may be shown of it."""
    record: logging.LogRecord = event["_record"]
    event.update(_fields.get(), level=record.levelname.lower(), logger=record.name)
    if record.name.partition(".")[0] not in _TRUSTED:
        event["event"] = "a library said something"
        event["place"] = f"{record.module}:{record.lineno}"
    event.update((name, value) for name, value in vars(record).items() if name in FIELDS)
    if record.exc_info and record.exc_info[0] is not None:
        event["exception"] = record.exc_info[0].__name__
        event["place"] = place_of(record.exc_info[2])
    return event


def _named(service: str) -> Processor:
    def name(_logger: Any, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    return name


def _redacted(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """The last look before a line is written: what is not on the list does not leave."""
    return {name: value for name, value in event.items() if name in _ALWAYS or name in FIELDS}


def _colours(stream: TextIO) -> Processor:
    return structlog.dev.ConsoleRenderer(colors=stream.isatty(), timestamp_key="at", sort_keys=True)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger(__name__).critical("an error that nobody caught ends this process", exc_info=(kind, error, trace))


def _uncaught_in_thread(ended: threading.ExceptHookArgs) -> None:
    name = ended.thread.name if ended.thread is not None else "unknown"
    if ended.exc_value is not None:
        caught = (ended.exc_type, ended.exc_value, ended.exc_traceback)
        logging.getLogger(__name__).critical("an error that nobody caught ends the thread %s", name, exc_info=caught)
