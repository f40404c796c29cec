"""Commands that change or read something are recorded in the audit trail: which, by which user of this machine, how it ended.

Beside the API this is the other way to do things. Who can run commands can also read the files themselves; that is for the machine to
guard. What changes the control database is recorded in the very transaction of the change (``changing``); any other command, and one that
fails, when it has ended: one that is killed is not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import typer
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from cli.installation import Installation, at
from governance.audit import AuditTrail, Event, RecordedChanges, store
from kit.db import Database
from pipelines.compose import writer_name
from workers.migrate import is_at_head

_NOT_RECORDED = frozenset({"check", "serve", "worker"})
"""Commands that look at the installation only, and services, which record what they do."""

_LOOKING = frozenset({"generate", "list", "show", "verify"})
"""Last words of commands that change nothing, and show what is no data of persons."""


@dataclass
class _Command:
    """The command that this process carries out, and the chain of what it changes."""

    action: str = "python"
    changes: RecordedChanges | None = None
    has_recorded: bool = False


_command = _Command()


def begin_command(app: typer.Typer, arguments: Sequence[str]) -> None:
    """Note which command it is, before it is carried out."""
    _command.action, _command.changes = " ".join(_words(app, arguments)) or "python", None
    _command.has_recorded = False


@contextmanager
def changing(installation: Installation) -> Iterator[Session]:
    """A transaction of the control database; the event of the command is there if and only if the change is."""
    with _changes_of(installation).transaction(lambda: _event(_command.action, 0)) as session:
        yield session
    _command.has_recorded = True


def record_reading(installation: Installation, customer: str | None, **what: str) -> None:
    """Call before data of a person are shown: who sees whose, and what of it, is durable when this returns, or it raises."""
    event = _event(_command.action, 0, **what)._replace(customer=customer)
    with _changes_of(installation).transaction(lambda: event):
        """Nothing but the event."""
    _command.has_recorded = True


def _changes_of(installation: Installation) -> RecordedChanges:
    database = installation.database
    if _command.changes is None or _command.changes.database is not database:
        _command.changes = RecordedChanges(database, installation.key_ring, name=f"cli {writer_name()}")
    return _command.changes


def record_command(app: typer.Typer, arguments: Sequence[str], code: int) -> None:
    """Record a command line that has ended with this exit code. Without a control database there is nothing to record it in."""
    words = _words(app, arguments)
    if _command.changes is not None:
        with _command.changes, suppress(SQLAlchemyError):  # who writes next anchors it then
            store.anchor(_command.changes.database, at(_home(arguments)).key_ring)
    if _command.has_recorded and not code:
        return
    if not words or words[-1] in _LOOKING or words[0] in _NOT_RECORDED | {"audit"}:
        return
    installation = at(_home(arguments))
    database = Database(installation.settings.control_database_url)
    try:
        if not installation.settings.home.is_dir() or not is_at_head(database):
            return
        with AuditTrail(database, installation.key_ring, name=f"cli {writer_name()}") as trail:
            trail.record(_event(" ".join(words), code))
    finally:
        database.close()


def _event(action: str, code: int, **what: str) -> Event:
    params = {"exit": str(code), **what}
    return Event("cli", action, f"user:{os.getuid()}", status=500 if code else 200, params=params)


def _words(app: typer.Typer, arguments: Sequence[str]) -> list[str]:
    """The names of groups and command at the beginning of a command line; what follows may be data."""
    words: list[str] = []
    for argument in arguments:
        groups = {group.name: group.typer_instance for group in app.registered_groups}
        commands = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
        inner = groups.get(argument)
        if inner is None:
            return [*words, argument] if argument in commands else []
        words.append(argument)
        app = inner
    return []


def _home(arguments: Sequence[str]) -> Path | None:
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, _, value = argument.partition("=")
        if name == "--home":
            return Path(value or following)
    return None
