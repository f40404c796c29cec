"""``c360 quarantine``: look at what is held back, repair it, and send it on its way again."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import orjson
import typer
from rich.table import Table

from cli.installation import at
from cli.options import Home, Json
from cli.output import out, print_json, reporting
from cli.recording import record_reading
from kit.clock import today
from kit.ids import new_id
from pipelines import repair
from pipelines.compose import flow_context
from pipelines.flows.context import FlowContext

app = typer.Typer(no_args_is_help=True, help="Rows that expectations hold back: look at them, repair and replay them.")

Id = Annotated[str, typer.Argument(help="Id of the row, or its first characters.")]


@app.command("list")
def list_command(
    dataset: Annotated[str | None, typer.Option(help="Only rows meant for this dataset.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """What is held back, oldest first; what the rows say is not shown."""
    shown = ("quarantine_id", "dataset", "rules", "source", "source_file", "row_number", "quarantined_at", "repaired")
    with reporting(json=json), _context(home) as context:
        rows = [{name: row[name] for name in shown} for row in repair.held_rows(context, dataset)]
    if json:
        print_json({"rows": rows})
        return
    table = Table("id", "dataset", "rules", "file", "row", "since", "repair")
    for row in rows:
        since = f"{row['quarantined_at']:%Y-%m-%d %H:%M}"
        waits = "waits" if row["repaired"] else ""
        place = (row["source_file"] or "", "" if row["row_number"] is None else str(row["row_number"]))
        table.add_row(row["quarantine_id"][:12], row["dataset"], ", ".join(row["rules"]), *place, since, waits)
    out.print(table)


@app.command("show")
def show_command(row_id: Id, home: Home = None, json: Json = False) -> None:
    """One row, whole, and the record it comes from. This is personal data: who sees whose is recorded first."""
    with reporting(json=json):
        with _context(home) as context:
            row = repair.held_row(context, row_id)
        record = orjson.loads(row["record"])
        fields = " ".join(sorted({*record, *(row["original"] or ())}))
        record_reading(at(home), row["customer_id"], row=row["quarantine_id"], dataset=row["dataset"], fields=fields)
    print_json({**row, "record": record})


@app.command("repair")
def repair_command(
    row_id: Id,
    values: Annotated[list[str], typer.Option("--set", help="column=value, of the source; may be given again.")],
    home: Home = None,
    json: Json = False,
) -> None:
    """Note new values for the record; `replay` brings them in."""
    with reporting(json=json), _context(home) as context:
        changes = dict(_assignment(value) for value in values)
        repair_id = repair.repair(context, row_id, changes, getpass.getuser())
    if json:
        print_json({"repair_id": repair_id, "columns": sorted(changes)})
    else:
        out.print("Noted. Bring it in: c360 quarantine replay, then c360 pipeline run daily", highlight=False)


@app.command("replay")
def replay_command(home: Home = None, json: Json = False) -> None:
    """Append the correction of every repair that waits; each enters once. The next run of the pipeline takes them up."""
    with reporting(json=json), _context(home) as context:
        replayed = repair.replay(context)
    if json:
        print_json({"sources": [asdict(source) for source in replayed]})
        return
    for source in replayed:
        gone = f", {source.gone} records are gone" if source.gone else ""
        out.print(f"{source.source}: {source.corrected} corrected{gone}", highlight=False)


def _assignment(text: str) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not equals:
        raise repair.InvalidRepair("write --set column=value")
    return column.strip(), value


@contextmanager
def _context(home: Home) -> Iterator[FlowContext]:
    installation = at(home)
    with installation.engine() as engine:
        yield flow_context(
            installation.settings,
            installation.database,
            engine,
            run_id=new_id("repair"),
            as_of=today(),
            progress=lambda _dataset, _step: None,
        )
