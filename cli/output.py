"""How commands speak: one JSON document on stdout with ``--json``, else text and tables; progress goes to stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from traceback import print_tb
from typing import Any

import orjson
import pyarrow as pa
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from kit.errors import C360Error, what_failed

out, err = Console(), Console(stderr=True)


def print_json(document: object) -> None:
    """Print one JSON document."""
    typer.echo(orjson.dumps(document, default=_as_json).decode())


def print_rows(rows: pa.Table) -> None:
    """Print Arrow rows as a table for people."""
    table = Table(*map(escape, rows.column_names))
    for row in _row_lists(rows):
        table.add_row(*("" if value is None else escape(str(value)) for value in row))
    out.print(table)


def as_document(rows: pa.Table) -> dict[str, object]:
    """Arrow rows as ``{"columns": [...], "rows": [[...], ...]}``; columns may share a name."""
    return {"columns": rows.column_names, "rows": _row_lists(rows)}


def _row_lists(rows: pa.Table) -> list[list[object]]:
    columns = [column.to_pylist() for column in rows.columns]
    return [list(row) for row in zip(*columns, strict=True)]


@contextmanager
def reporting(*, json: bool) -> Iterator[None]:
    """Turn an error into one line on stderr (with ``--json``: a document on stdout) and exit code 1.

    What is not an error of this project is a defect: its place is shown, its text never, since that may hold values.
    """
    try:
        yield
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise
    except Exception as failure:  # noqa: BLE001 - whatever it is, its text must not be shown
        _print_error(what_failed(failure), json=json)
        if not isinstance(failure, C360Error):
            print_tb(failure.__traceback__, file=sys.stderr)
        raise typer.Exit(1) from None


def print_usage_error(message: str) -> None:
    """What is wrong with the command line itself, as a document."""
    _print_error({"code": "cli.usage", "kind": "invalid", "message": message}, json=True)


def _print_error(error: dict[str, str], *, json: bool) -> None:
    if json:
        print_json({"error": error})
    else:
        err.print(f"[red]error[/red] {escape(error['message'])}", highlight=False, soft_wrap=True)


class Steps:
    """A line per step with its time, on a terminal a moving one; quiet with ``--json``."""

    def __init__(self, *, quiet: bool) -> None:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<28}"),
            TextColumn("{task.fields[step]}"),
            TimeElapsedColumn(),
            console=err,
            disable=quiet,
            transient=False,
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Steps:
        self._bar.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._bar.stop()

    def __call__(self, subject: str, step: str) -> None:
        """Say what is happening to ``subject`` now."""
        if subject not in self._tasks:
            self._tasks[subject] = self._bar.add_task(subject, step=step, total=1)
        done = step in ("done", "published")
        self._bar.update(self._tasks[subject], step=step, completed=1 if done else 0)

    def counted(self, subject: str, done: int, total: int) -> None:
        """Say how far a counted piece of work has come."""
        if subject not in self._tasks:
            self._tasks[subject] = self._bar.add_task(subject, step="", total=total)
        self._bar.update(self._tasks[subject], step=f"{done} of {total} files", completed=done, total=total)


def _as_json(value: object) -> object:
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))  # a number with all its digits; readers choose how to keep them
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)
