"""The ``c360`` command. Every command takes ``--home`` and, where it has a result, ``--json``."""

from __future__ import annotations

import os
import sys
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Annotated

import typer
from rich.markup import escape

from cli import (
    audit,
    checks,
    groups,
    keyring,
    keys,
    principals,
    quarantine,
    queue,
    runs,
    schedules,
    serving,
    tokens,
    working,
)
from cli.installation import Installation, at
from cli.options import AsOf, EngineName, Home, Json
from cli.output import Steps, as_document, err, out, print_json, print_rows, print_usage_error, reporting
from cli.recording import begin_command, record_command
from cli.up import up as bring_up
from kit.clock import today
from kit.errors import Invalid
from kit.logging import configure
from lakehouse.engine import MIN_RETENTION_HOURS
from lakehouse.query import run_query
from pipelines.sample import land_sample
from pipelines.stream import INTERVAL_SECONDS

_USAGE_ERROR: type[Exception] = typer.BadParameter.__bases__[0]  # Typer exports the special cases only


class NotConfirmed(Invalid):
    """A removal that nobody confirmed."""

    code = "cli.not_confirmed"


app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Customer 360 on a lakehouse."
)
land_app = typer.Typer(no_args_is_help=True, help="Put files into the landing zone.")
pipeline_app = typer.Typer(no_args_is_help=True, help="Run pipelines.")
app.add_typer(land_app, name="land")
app.add_typer(pipeline_app, name="pipeline")
pipeline_app.command("list")(queue.list_pipelines)
app.add_typer(queue.app, name="run")
app.add_typer(audit.app, name="audit")
app.add_typer(principals.app, name="principal")
app.add_typer(groups.app, name="group")
app.add_typer(tokens.app, name="token")
app.add_typer(keyring.app, name="keyring")
app.add_typer(schedules.app, name="schedule")
app.add_typer(quarantine.app, name="quarantine")


@app.command()
def init(home: Home = None, json: Json = False) -> None:
    """Create the home directory, the control database and a first admin with a key (shown once)."""
    with reporting(json=json):
        installation = at(home)
        key = keys.first_key(installation)
        if json:
            print_json({"home": str(installation.settings.home), "api_key": key})
        elif key:
            out.print(
                f"Initialised {installation.settings.home}.\nAPI key, shown this once: [bold]{key}[/bold]",
                highlight=False,
            )
        else:
            out.print(
                f"{installation.settings.home} is initialised already; nothing was changed.",
                highlight=False,
                soft_wrap=True,
            )


@land_app.command("sample")
def land_sample_command(
    customers: Annotated[int, typer.Option(min=1, help="How many customers.")] = 6000,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal files.")] = 7,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day of the history (default: yesterday).")
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Write believable, dirty sample files of the CRM, the shop and finance."""
    with reporting(json=json), Steps(quiet=json) as steps:
        settings = at(home).settings
        last = until.date() if until else today() - timedelta(days=1)
        landed = land_sample(settings.landing, customers=customers, seed=seed, until=last, progress=steps.counted)
    if json:
        print_json(landed)
    else:
        out.print(f"Landed {len(landed.written)} files in {settings.landing}.", highlight=False)


class Trigger(StrEnum):
    """How a run is triggered."""

    BATCH = "batch"
    STREAMING = "streaming"


@pipeline_app.command("run")
def run_pipeline_command(
    name: Annotated[str, typer.Argument(help="The pipeline, for example daily.")],
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Recompute silver and gold from bronze.")
    ] = False,
    as_of: AsOf = None,
    engine: EngineName = "embedded",
    buckets: Annotated[int, typer.Option(min=0, help="Pieces to compute a whole table in; 0 chooses by size.")] = 0,
    trigger: Annotated[
        Trigger, typer.Option(help="batch: once; streaming: again and again, until Ctrl-C or SIGTERM.")
    ] = Trigger.BATCH,
    interval: Annotated[
        float, typer.Option(min=0.1, help="Seconds from one micro-batch of a stream to the next.")
    ] = INTERVAL_SECONDS,
    home: Home = None,
    json: Json = False,
) -> None:
    """Run a pipeline here and now. What is up to date is left alone."""
    with reporting(json=json), Steps(quiet=json) as steps:
        if trigger is Trigger.STREAMING:
            record = runs.stream_now(
                at(home),
                name,
                as_of=_date(as_of),
                full_refresh=full_refresh,
                engine=engine,
                interval=interval,
                progress=steps,
            )
        else:
            record = runs.run_now(
                at(home),
                name,
                as_of=_date(as_of),
                full_refresh=full_refresh,
                engine=engine,
                buckets=buckets,
                progress=steps,
            )
    if json:
        print_json(record)
    else:
        runs.print_record(record)


@pipeline_app.command("resync")
def resync_command(
    dataset: Annotated[str, typer.Argument(help="A dataset with a change feed, for example bronze.support_tickets.")],
    engine: EngineName = "embedded",
    home: Home = None,
    json: Json = False,
) -> None:
    """Begin a change feed anew from a snapshot, after changes were lost; rows that vanished become deletes."""
    with reporting(json=json), Steps(quiet=json) as steps:
        record = runs.resync_now(at(home), dataset, engine=engine, progress=steps)
    if json:
        print_json(record)
    else:
        runs.print_record(record)


@app.command()
def maintain(
    vacuum: Annotated[
        bool, typer.Option("--vacuum", help="Also remove old files: their versions cannot be read any more.")
    ] = False,
    retention_hours: Annotated[
        int, typer.Option(help="Keep what versions of so many hours need; at least 168.")
    ] = MIN_RETENTION_HOURS,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before removing files.")] = False,
    engine: EngineName = "embedded",
    home: Home = None,
    json: Json = False,
) -> None:
    """Bring small files together, in the declared order, and write checkpoints; remove old files where asked."""
    with reporting(json=json):
        if vacuum and not yes:
            _ask(f"Versions older than {retention_hours} hours cannot be read afterwards. Remove their files?")
        with Steps(quiet=json) as steps:
            hours = retention_hours if vacuum else None
            record = runs.maintain_now(at(home), vacuum_hours=hours, engine=engine, progress=steps)
        if json:
            print_json(record)
        else:
            changed = [
                name for name, item in record["tables"].items() if item["version_before"] != item["version_after"]
            ]
            removed = sum(item["removed_files"] or 0 for item in record["tables"].values())
            out.print(
                f"{len(record['tables'])} tables maintained; rewritten: {', '.join(changed) or 'none'}; files removed: {removed}.",
                highlight=False,
            )


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One Spark SQL query; tables are named <layer>.<noun>.")],
    limit: Annotated[int, typer.Option(min=0, help="At most so many rows; 0 for all.")] = 0,
    as_of: AsOf = None,
    engine: EngineName = "embedded",
    home: Home = None,
    json: Json = False,
) -> None:
    """Ask the lakehouse in Spark SQL, read-only."""
    with reporting(json=json):
        installation = at(home)
        with installation.engine(engine) as opened:
            answer = run_query(opened, installation.catalog, query, _date(as_of) or today(), limit or None)
        if json:
            print_json(as_document(answer.rows))
        else:
            print_rows(answer.rows)
        if answer.note and not json:
            err.print(
                f"[dim]outside the language of declared queries, so other engines may differ in detail: {escape(answer.note)}[/dim]"
            )


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any free one.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Serve the API."""
    with reporting(json=json):
        serving.serve(at(home), host, port, announce=_url if json else _plain)


@app.command()
def worker(
    concurrency: Annotated[int | None, typer.Option(min=1, help="How many runs at a time.")] = None,
    grace_seconds: Annotated[
        float | None, typer.Option(min=0, help="How long runs may go on after SIGTERM before they are given back.")
    ] = None,
    leash: Annotated[int | None, typer.Option(hidden=True)] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Carry out runs from the queue, until SIGTERM. Start as many as there is work for, on as many machines."""
    with reporting(json=json):
        announce = _worker_document if json else _worker_line
        working.work(at(home), concurrency=concurrency, grace_seconds=grace_seconds, leash=leash, announce=announce)


@app.command()
def up(
    customers: Annotated[int, typer.Option(min=1, help="Customers of the sample, if nothing has landed yet.")] = 6000,
    home: Home = None,
    json: Json = False,
) -> None:
    """Everything on sample data: migrate, land, run the pipeline by a worker, serve."""
    with reporting(json=json):
        installation = at(home)
        key = keys.demo_key(installation)
        what_to_try = partial(_what_to_try, installation, key, json=json)
        bring_up(installation, customers, Steps(quiet=json), announce=what_to_try)


@app.command()
def check(home: Home = None, json: Json = False) -> None:
    """Is this installation healthy? Exit code 1 if not."""
    with reporting(json=json):
        findings = checks.examine(at(home))
        healthy = all(finding.ok for finding in findings)
        if json:
            print_json({"healthy": healthy, "findings": findings})
        else:
            for finding in findings:
                out.print(
                    f"{'[green]ok[/green]  ' if finding.ok else '[red]bad[/red] '} {finding.subject}: {escape(finding.detail)}",
                    highlight=False,
                )
        if not healthy:
            raise typer.Exit(1)


def _ask(question: str) -> None:
    """Raises NotConfirmed unless somebody at a terminal says yes."""
    if not sys.stdin.isatty() or not typer.confirm(question):
        raise NotConfirmed("nothing was removed; say --yes to remove old files without being asked")


def _date(value: datetime | None) -> date | None:
    return None if value is None else value.date()


def _plain(base: str) -> None:
    out.print(f"Serving on {base} (documentation: {base}/docs)", highlight=False, soft_wrap=True)


def _url(base: str) -> None:
    print_json({"url": base})


def _worker_line(name: str) -> None:
    out.print(f"Worker {name} is ready. Stop with Ctrl-C.", highlight=False, soft_wrap=True)


def _worker_document(name: str) -> None:
    print_json({"worker": name})


def _what_to_try(installation: Installation, key: str, base: str, *, json: bool) -> None:
    settings = installation.settings
    example = f"{base}/customers/{serving.example_customer(installation)}"
    if json:
        print_json({"url": base, "api_key": key, "example": example})
        return
    home = "" if str(settings.home) == ".c360" else f" --home {settings.home}"
    lines = (
        f"Customer 360 is up on {base}. Try:",
        f"  curl -H 'Authorization: Bearer {key}' {example}",
        f"  {base}/docs in a browser",
        f'  .venv/bin/c360 sql "SELECT loyalty_tier, count(*) AS customers FROM gold.customer_360 GROUP BY loyalty_tier"{home}',
        f"  .venv/bin/c360 pipeline run daily{home}",
        f"The demo key is kept in {keys.demo_file(settings)} (mode 600). Stop with Ctrl-C.",
    )
    out.print(*lines, sep="\n", highlight=False, markup=False, soft_wrap=True)


def main() -> None:
    """Entry point of the ``c360`` command. All it creates is for its user alone."""
    os.umask(0o077)
    configure("c360", level="WARNING")
    begin_command(app, sys.argv[1:])
    code = _run()
    record_command(app, sys.argv[1:], code)
    sys.exit(code)


def _run() -> int:
    try:
        code = app(standalone_mode="--json" not in sys.argv)
    except _USAGE_ERROR as error:
        print_usage_error(str(error))
        return 2
    except SystemExit as ended:
        return int(ended.code or 0)
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    main()
