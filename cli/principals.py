"""``c360 principal``: the services and people that call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from sqlalchemy.orm import Session

from cli.installation import at
from cli.options import Force, Home, Json
from cli.output import out, print_json, reporting
from cli.recording import changing
from governance.access import known_scopes
from governance.group_graph import GroupGraph
from governance.groups import add_member, groups_of
from governance.models import Principal
from governance.principals import (
    PrincipalKind,
    create_principal,
    disable_principal,
    enable_principal,
    get_principal,
    list_principals,
)

app = typer.Typer(no_args_is_help=True, help="Services and people that call.")

PrincipalId = Annotated[str, typer.Argument(help="Id of the principal, as `c360 principal list` shows it.")]


@app.command("create")
def create_command(
    name: Annotated[str, typer.Argument(help="Tells people who or what it is.")],
    kind: Annotated[PrincipalKind, typer.Option(help="What it is.")] = PrincipalKind.SERVICE,
    group: Annotated[list[str] | None, typer.Option(help="A group to put it into; may be given several times.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="What it may beside its groups; several times.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Make a principal, without a key."""
    with reporting(json=json), changing(at(home)) as session:
        principal = create_principal(session, name, kind=kind, scopes=scope or ())
        for name_of_group in group or ():
            add_member(session, name_of_group, principal.id)
        _print(session, [principal], json=json)


@app.command("list")
def list_command(home: Home = None, json: Json = False) -> None:
    """All principals, oldest first."""
    with reporting(json=json), at(home).database.reading() as session:
        found = documents(session, list_principals(session))
        if json:
            print_json({"principals": found})
        else:
            print_table(found)


@app.command("show")
def show_command(principal_id: PrincipalId, home: Home = None, json: Json = False) -> None:
    """One principal, with all that it may."""
    with reporting(json=json), at(home).database.reading() as session:
        _print(session, [get_principal(session, principal_id)], json=json)


@app.command("disable")
def disable_command(principal_id: PrincipalId, force: Force = False, home: Home = None, json: Json = False) -> None:
    """Let it in no more, with none of its keys and tokens."""
    with reporting(json=json), changing(at(home)) as session:
        _print(session, [disable_principal(session, principal_id, force=force)], json=json)


@app.command("enable")
def enable_command(principal_id: PrincipalId, home: Home = None, json: Json = False) -> None:
    """Let it in again, with the keys that it has."""
    with reporting(json=json), changing(at(home)) as session:
        _print(session, [enable_principal(session, principal_id)], json=json)


def documents(session: Session, principals: Sequence[Principal]) -> list[dict[str, Any]]:
    """Principals with their groups and what they may."""
    graph = GroupGraph.read(session)
    groups = groups_of(session, [principal.id for principal in principals])
    return [
        {
            "id": principal.id,
            "kind": principal.kind,
            "name": principal.name,
            "groups": groups[principal.id],
            "own_scopes": sorted(own := known_scopes(principal.scopes)),
            "scopes": sorted(own | graph.scopes(groups[principal.id])),
            "created_at": principal.created_at,
            "disabled_at": principal.disabled_at,
        }
        for principal in principals
    ]


def print_table(found: Sequence[dict[str, Any]]) -> None:
    """Principals for people."""
    table = Table("id", "kind", "name", "groups", "may", "disabled")
    for row in found:
        disabled = row["disabled_at"].isoformat(timespec="seconds") if row["disabled_at"] else ""
        may = " ".join(row["scopes"])
        table.add_row(row["id"], row["kind"], escape(row["name"]), " ".join(row["groups"]), may, disabled)
    out.print(table)


def _print(session: Session, principals: Sequence[Principal], *, json: bool) -> None:
    (found,) = documents(session, principals)
    if json:
        print_json(found)
    else:
        print_table([found])
