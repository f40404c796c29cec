"""``c360 run``: the run queue at the terminal; and which pipelines there are."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from cli.installation import Installation, at
from cli.options import Home, Json
from cli.output import out, print_json, reporting
from cli.recording import changing
from pipelines.runner import PIPELINES, datasets_of
from workers import queue
from workers.models import Run, RunEvent
from workers.states import FINAL, RunState

app = typer.Typer(no_args_is_help=True, help="See runs, cancel them, run them again.")

RunId = Annotated[str, typer.Argument(help="Id of the run.")]
_CHILDREN = 100
_LOOK_AGAIN = 0.5
"""Seconds between two looks at a run that is followed."""


@app.command("list")
def list_command(
    state: Annotated[list[RunState] | None, typer.Option(help="Only runs in these states.")] = None,
    pipeline: Annotated[str | None, typer.Option(help="Only runs of this pipeline.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    before: Annotated[str | None, typer.Option(help="Only runs asked for before this one: the next page.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Runs, newest first."""
    with reporting(json=json):
        with at(home).database.reading() as session:
            runs = queue.list_runs(session, limit=limit, before=before, states=state or (), pipeline=pipeline)
        if json:
            print_json({"runs": [_document(run) for run in runs]})
            return
        table = Table(
            Column("run", no_wrap=True), "pipeline", Column("as of", no_wrap=True), Column("state", no_wrap=True), "by"
        )
        for run in runs:
            table.add_row(run.id, escape(run.pipeline), str(run.as_of), run.state, run.trigger)
        out.print(table)


@app.command()
def show(run_id: RunId, home: Home = None, json: Json = False) -> None:
    """One run with its record."""
    with reporting(json=json):
        with at(home).database.reading() as session:
            run = queue.get_run(session, run_id)
            children = [child.id for child in queue.list_runs(session, parent_id=run_id, limit=_CHILDREN)]
        document = _document(run) | {"children": children}
        if run.record is not None:
            document["outcome"] = asdict(queue.outcome_of(run.record))
        _print(document, json=json)


@app.command()
def watch(
    run_id: RunId,
    after: Annotated[int, typer.Option(min=0, help="Only events after this one.")] = 0,
    home: Home = None,
    json: Json = False,
) -> None:
    """Follow a run to its end. Exit code 1 unless it succeeds; with --json one document of all events, at the end."""
    with reporting(json=json):
        told: list[RunEvent] = []

        def tell(event: RunEvent) -> None:
            told.append(event)
            if not json:
                detail = " ".join(f"{name}={value}" for name, value in event.data.items())
                out.print(f"{event.at:%H:%M:%S} {event.kind} {escape(detail)}", highlight=False, soft_wrap=True)

        run = _follow(at(home), run_id, after, tell)
        if json:
            happened = [{"seq": event.seq, "at": event.at, "kind": event.kind, "data": event.data} for event in told]
            print_json({"id": run.id, "state": run.state, "events": happened})
        if run.state != RunState.SUCCEEDED:
            raise typer.Exit(1)


@app.command()
def cancel(run_id: RunId, home: Home = None, json: Json = False) -> None:
    """Cancel a queued run; tell a running one to stop."""
    with reporting(json=json):
        with changing(at(home)) as session:
            run = queue.cancel(session, run_id)
        _print_run(run, json=json)


@app.command()
def retry(run_id: RunId, home: Home = None, json: Json = False) -> None:
    """Ask for a new run like one that has ended; have a queued one wait no longer. A worker carries it out."""
    with reporting(json=json):
        with changing(at(home)) as session:
            run = queue.retry(session, run_id, requested_by="cli")
        _print_run(run, json=json)


def list_pipelines(home: Home = None, json: Json = False) -> None:
    """Which pipelines there are, with their datasets in the order in which they feed each other."""
    with reporting(json=json):
        catalog = at(home).catalog
        listed = {name: [dataset.name for dataset in datasets_of(name, catalog)] for name in PIPELINES}
        if json:
            documents = [
                {"name": name, "description": PIPELINES[name], "datasets": datasets}
                for name, datasets in listed.items()
            ]
            print_json({"pipelines": documents})
            return
        for name, datasets in listed.items():
            out.print(
                f"{name}: {PIPELINES[name]}", *(f"  {dataset}" for dataset in datasets), sep="\n", highlight=False
            )


def _follow(installation: Installation, run_id: str, after: int, tell: Callable[[RunEvent], None]) -> Run:
    """Tell every event of a run, until it has ended; returns it."""
    while True:
        with installation.database.reading() as session:
            run = queue.get_run(session, run_id)  # before its events: when it has ended, they are all there are
            happened = queue.events(session, run_id, after)
        for event in happened:
            tell(event)
            after = event.seq
        if not happened:
            if run.state in FINAL:
                return run
            time.sleep(_LOOK_AGAIN)


def _print_run(run: Run, *, json: bool) -> None:
    _print(_document(run), json=json)


def _print(document: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(document)
        return
    for name, value in document.items():
        if value not in (None, [], {}):
            out.print(f"{name}: {escape(str(value))}", highlight=False, soft_wrap=True)


def _document(run: Run) -> dict[str, Any]:
    """A run as it is stored, but for what only the queue itself needs, and how long it took."""
    hidden = {"lease_token", "lease_expires_at", "last_event"}
    stored = {column.name: getattr(run, column.name) for column in Run.__table__.columns if column.name not in hidden}
    begin, end = run.started_at, run.finished_at
    return stored | {"duration_seconds": None if begin is None or end is None else (end - begin).total_seconds()}
