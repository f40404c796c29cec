"""What is logged can be found again, and holds nothing of the data, whoever says it and however."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from kit.logging import configure, correlate, correlated, correlation

SECRET = "ada@example.org"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging as pytest has it, afterwards."""
    root = logging.getLogger()
    before, level, hooks = root.handlers, root.level, (sys.excepthook, threading.excepthook)
    yield
    root.handlers, (sys.excepthook, threading.excepthook) = before, hooks
    root.setLevel(level)


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    configure("test", as_json=True, stream=stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_what_when_who_and_how_bad(stream: io.StringIO) -> None:
    logging.getLogger("workers.loop").warning("run %s waits", "run_1")
    (line,) = lines(stream)
    assert line.pop("at").endswith("Z")
    assert line == {"event": "run run_1 waits", "level": "warning", "logger": "workers.loop", "service": "test"}


def test_an_exception_is_told_by_type_and_place(stream: io.StringIO) -> None:
    try:
        int(SECRET)
    except ValueError:
        logging.getLogger("api.edge").exception("failed")
    (line,) = lines(stream)
    assert line["exception"] == "ValueError"
    assert line["place"].startswith("test_an_exception_is_told_by_type_and_place (")
    assert SECRET not in stream.getvalue()


@pytest.mark.parametrize("name", ["asyncio", "sqlalchemy.engine", "py.warnings", "apiary"])
def test_of_libraries_only_who_and_where_is_kept(name: str, stream: io.StringIO) -> None:
    logging.getLogger(name).warning("INSERT %s", SECRET)
    (line,) = lines(stream)
    assert (line["logger"], line["event"]) == (name, "a library said something")
    assert line["place"].startswith("test_logging:")
    assert SECRET not in stream.getvalue()


def test_of_what_is_added_only_listed_fields_are_shown(stream: io.StringIO) -> None:
    logging.getLogger("api").warning("seen", extra={"run_id": "run_1", "email": SECRET})
    (line,) = lines(stream)
    assert line["run_id"] == "run_1"
    assert SECRET not in stream.getvalue()


def test_correlation_reaches_what_is_said_within(stream: io.StringIO) -> None:
    log = logging.getLogger("workers")
    with correlated(run_id="run_1"):
        log.warning("one")
        with correlated(request_id="r1"):
            log.warning("two")
            assert correlation("request_id") == "r1"
    log.warning("three")
    one, two, three = lines(stream)
    assert (one["run_id"], two["run_id"], two["request_id"]) == ("run_1", "run_1", "r1")
    assert not {"run_id", "request_id"} & three.keys()


def test_correlation_stays_in_its_thread(stream: io.StringIO) -> None:
    def say(number: int) -> None:
        correlate(request_id=f"r{number}")
        logging.getLogger("api").warning("%d", number)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(say, range(20)))
    assert all(line["request_id"] == f"r{line['event']}" for line in lines(stream))
    assert correlation("request_id") is None


def test_what_ends_a_thread_is_said_without_its_text(stream: io.StringIO) -> None:
    def fail() -> None:
        raise RuntimeError(SECRET)

    thread = threading.Thread(target=fail, name="doomed")
    thread.start()
    thread.join()
    (line,) = lines(stream)
    assert (line["exception"], line["event"]) == ("RuntimeError", "an error that nobody caught ends the thread doomed")
    assert SECRET not in stream.getvalue()


def test_a_line_stays_one_line(stream: io.StringIO) -> None:
    logging.getLogger("api").warning("first\nsecond")
    assert len(lines(stream)) == 1


def test_on_a_terminal_it_is_readable() -> None:
    stream = io.StringIO()
    configure("test", as_json=False, stream=stream)
    with correlated(run_id="run_1"):
        logging.getLogger("uvicorn.error").warning("listening")
    text = stream.getvalue()
    assert "listening" in text
    assert "run_id=run_1" in text
    assert not text.startswith("{")
