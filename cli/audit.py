"""``c360 audit``: read the trail, and prove that it is whole."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import orjson
import typer
from rich.markup import escape
from rich.table import Column, Table

from cli.installation import Installation, at
from cli.options import Home, Json
from cli.output import out, print_json, reporting
from governance.audit.models import AuditRow
from governance.audit.reading import Filter, list_events
from governance.audit.verify import Break, Verification, verify
from kit.clock import aware

app = typer.Typer(no_args_is_help=True, help="Read the audit trail, and prove that it is whole.")

Instant = typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="In UTC.")


@app.command("verify")
def verify_command(
    witness: Annotated[
        str | None,
        typer.Option(
            "--anchor",
            help="An anchor noted before (number:hash, as this command prints it): it has to be there still.",
        ),
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Check every row, in order, against its chain and the anchors. Exit code 1 if anything is not as it was written."""
    with reporting(json=json):
        installation = at(home)
        seen = Verification()
        breaks = []
        for found in verify(installation.database, installation.key_ring, seen, witness):
            breaks.append(found)
            if not json:
                out.print(f"[red]broken[/red] {found.where}: {escape(found.what)}", highlight=False, soft_wrap=True)
        if json:
            print_json({"whole": not breaks, "breaks": breaks, **_counts(seen)})
        else:
            _print_verdict(seen, breaks)
        if breaks:
            raise typer.Exit(1)


@app.command("list")
def list_command(
    since: Annotated[datetime | None, Instant] = None,
    until: Annotated[datetime | None, Instant] = None,
    principal: Annotated[str | None, typer.Option(help="Who did it.")] = None,
    action: Annotated[str | None, typer.Option(help="What was done.")] = None,
    customer: Annotated[str | None, typer.Option(help="Whose data: a customer id.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
    home: Home = None,
    json: Json = False,
) -> None:
    """Show the newest events."""
    with reporting(json=json):
        installation = at(home)
        rows = _newest(installation, Filter(aware(since), aware(until), principal, action, customer), limit)
        if json:
            print_json({"events": [_document(row) for row in rows]})
        else:
            _print_events(rows)


def _newest(installation: Installation, wanted: Filter, limit: int) -> list[AuditRow]:
    with installation.database.reading() as session:
        return list(list_events(session, installation.key_ring, wanted, limit=limit))


def _document(row: AuditRow) -> dict[str, object]:
    return {
        "id": f"{row.writer}-{row.seq}",
        "at": row.at,
        "service": row.service,
        "action": row.action,
        "principal": row.principal,
        "status": row.status,
        "error": row.error,
        "request_id": row.request_id,
        "customer_hash": row.customer,
        "source_hash": row.source,
        "params": orjson.loads(row.params),
    }


def _print_events(rows: list[AuditRow]) -> None:
    table = Table(Column("at", no_wrap=True), "who", "what", "status", "whose", "how")
    for row in rows:
        what = f"{row.service}.{row.action}"
        status = f"{row.status} {row.error or ''}".strip()
        at = row.at.isoformat(" ", "milliseconds").removesuffix("+00:00")
        table.add_row(at, *(escape(text or "") for text in (row.principal, what, status, row.customer, row.params)))
    out.print(table)


def _counts(seen: Verification) -> dict[str, object]:
    return {
        "rows": seen.rows,
        "rows_swept": seen.swept,
        "rows_not_anchored_yet": seen.unanchored,
        "writers": seen.writers,
        "anchors": seen.anchors,
        "newest_anchor": seen.anchor,
    }


def _print_verdict(seen: Verification, breaks: list[Break]) -> None:
    verdict = "[red]The trail is broken.[/red]" if breaks else "[green]The trail is whole.[/green]"
    out.print(f"{verdict} {seen.rows:,} rows of {seen.writers:,} writers, {seen.anchors:,} anchors.", highlight=False)
    if seen.swept:
        out.print(f"{seen.swept:,} older rows are in system.access.audit only.", highlight=False)
    if seen.anchor is not None and not breaks:
        out.print(f"Newest anchor, to be noted elsewhere: {seen.anchor}", highlight=False, soft_wrap=True)
