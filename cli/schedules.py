"""``c360 schedule``: list, show, create, replace, pause, resume and delete what begins runs by the clock."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cli.installation import at
from cli.options import EngineName, Home, Json
from cli.output import out, print_json, reporting
from cli.recording import changing
from pipelines.runner import check_pipeline
from workers import schedules
from workers.schedules import Kind, Plan, Schedule

app = typer.Typer(no_args_is_help=True, help="Begin runs by the clock, or keep one alive.")

Name = Annotated[str, typer.Argument(help="The schedule.")]


@app.command("list")
def list_command(home: Home = None, json: Json = False) -> None:
    """All schedules, and when they are due next."""
    with reporting(json=json):
        with at(home).database.reading() as session:
            found = [_document(schedule) for schedule in schedules.list_schedules(session)]
        if json:
            print_json({"schedules": found})
        else:
            _print_table(found)


@app.command("show")
def show_command(name: Name, home: Home = None, json: Json = False) -> None:
    """One schedule, with its next ticks."""
    with reporting(json=json):
        with at(home).database.reading() as session:
            schedule = schedules.get_schedule(session, name)
        document = _document(schedule) | {"next_ticks": schedules.due_at(schedule)}
        if json:
            print_json(document)
            return
        for field, value in document.items():
            shown = ", ".join(map(_shown, value)) if field == "next_ticks" else value
            out.print(f"{field}: {escape(str(shown))}", highlight=False, soft_wrap=True)


@app.command("create")
def create_command(
    name: Name,
    pipeline: Annotated[str, typer.Option(help="The pipeline it runs.")] = "daily",
    cron: Annotated[
        str | None, typer.Option(help="Minute, hour, day of month, month, day of week: '0 6 * * *'.")
    ] = None,
    time_zone: Annotated[str, typer.Option(help="Whose clock the expression is read by.")] = "UTC",
    continuous: Annotated[bool, typer.Option("--continuous", help="Keep one long-lived run alive instead.")] = False,
    engine: EngineName = "embedded",
    full_refresh: Annotated[bool, typer.Option("--full-refresh", help="Recompute silver and gold every time.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Change the one of this name, where there is one.")
    ] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Create a schedule; its first run is at the next tick."""
    with reporting(json=json):
        check_pipeline(pipeline)
        kind = Kind.CONTINUOUS if continuous else Kind.CRON
        plan = Plan(pipeline, kind, cron, time_zone, engine, full_refresh)
        is_new = True
        with changing(at(home)) as session:
            if replace:
                schedule, is_new = schedules.put_schedule(session, name, plan, created_by="cli")
            else:
                schedule = schedules.create_schedule(session, name, plan, created_by="cli")
        _tell(schedule, "created" if is_new else "changed", json=json)


@app.command("pause")
def pause_command(name: Name, home: Home = None, json: Json = False) -> None:
    """Begin no runs until it is resumed; a run that the schedule keeps alive is cancelled."""
    with reporting(json=json):
        with changing(at(home)) as session:
            schedule = schedules.pause_schedule(session, name)
        _tell(schedule, "paused", json=json)


@app.command("resume")
def resume_command(name: Name, home: Home = None, json: Json = False) -> None:
    """Go on with the next tick; those of the pause are not made up for."""
    with reporting(json=json):
        with changing(at(home)) as session:
            schedule = schedules.resume_schedule(session, name)
        _tell(schedule, "resumed", json=json)


@app.command("delete")
def delete_command(name: Name, home: Home = None, json: Json = False) -> None:
    """Forget a schedule; its runs stay."""
    with reporting(json=json):
        with changing(at(home)) as session:
            schedules.delete_schedule(session, name)
        if json:
            print_json({"deleted": name})
        else:
            out.print(f"Schedule {escape(name)} is deleted.", highlight=False)


def _document(schedule: Schedule) -> dict[str, Any]:
    shown = ("name", "pipeline", "kind", "cron", "time_zone", "engine", "full_refresh")
    instants = ("created_at", "paused_at", "last_tick_at", "next_tick_at")
    return {name: getattr(schedule, name) for name in (*shown, *instants)}


def _tell(schedule: Schedule, what: str, *, json: bool) -> None:
    if json:
        print_json(_document(schedule))
        return
    due = f"; next due {schedule.next_tick_at:%Y-%m-%d %H:%M:%S} UTC" if _is_ticking(schedule) else ""
    out.print(f"Schedule {escape(schedule.name)} is {what}{due}.", highlight=False)


def _is_ticking(schedule: Schedule) -> bool:
    return schedule.next_tick_at is not None and schedule.paused_at is None


def _print_table(found: list[dict[str, Any]]) -> None:
    table = Table("schedule", "pipeline", "when", "time zone", "last", "next (UTC)")
    for schedule in found:
        following = "paused" if schedule["paused_at"] else _shown(schedule["next_tick_at"])
        row = (schedule["name"], schedule["pipeline"], schedule["cron"] or schedule["kind"], schedule["time_zone"])
        table.add_row(*map(escape, row), _shown(schedule["last_tick_at"]), following)
    out.print(table)


def _shown(instant: Any) -> str:
    return "-" if instant is None else f"{instant:%Y-%m-%d %H:%M}"
