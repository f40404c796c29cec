"""``c360 group``: what groups give, and who is in them."""

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
from cli.principals import documents as principal_documents
from cli.principals import print_table as print_principals
from cli.recording import changing
from governance.group_graph import BUILT_IN, GroupGraph, scopes_of
from governance.groups import (
    add_member,
    children_of,
    create_group,
    delete_group,
    get_group,
    list_groups,
    list_members,
    nest,
    remove_member,
    set_group_scopes,
    unnest,
)
from governance.models import Group

app = typer.Typer(no_args_is_help=True, help="Groups, and who is in them.")

GroupName = Annotated[str, typer.Argument(metavar="GROUP", help="Name of the group.")]
Member = Annotated[str, typer.Argument(help="Id of a principal, or name of a group.")]
Scopes = Annotated[list[str] | None, typer.Option("--scope", help="What its members may; several times.")]


@app.command("create")
def create_command(
    name: GroupName,
    scope: Scopes = None,
    comment: Annotated[str, typer.Option(help="What it is for.")] = "",
    home: Home = None,
    json: Json = False,
) -> None:
    """Make a group of your own, beside the built-in ones."""
    with reporting(json=json), changing(at(home)) as session:
        _print(session, create_group(session, name, comment=comment, scopes=scope or ()), json=json)


@app.command("list")
def list_command(home: Home = None, json: Json = False) -> None:
    """All groups by name."""
    with reporting(json=json), at(home).database.reading() as session:
        found = _documents(session, list_groups(session))
        if json:
            print_json({"groups": found})
        else:
            _print_table(found)


@app.command("show")
def show_command(name: GroupName, home: Home = None, json: Json = False) -> None:
    """One group, and who is directly in it."""
    with reporting(json=json), at(home).database.reading() as session:
        (found,) = _documents(session, [get_group(session, name)])
        members = principal_documents(session, list_members(session, name))
        if json:
            print_json({**found, "principals": members})
        else:
            _print_table([found])
            print_principals(members)


@app.command("scopes")
def scopes_command(
    name: GroupName, scope: Scopes = None, force: Force = False, home: Home = None, json: Json = False
) -> None:
    """Change what a group of your own gives: to these scopes, or to none."""
    with reporting(json=json), changing(at(home)) as session:
        _print(session, set_group_scopes(session, name, scope or (), force=force), json=json)


@app.command("delete")
def delete_command(name: GroupName, force: Force = False, home: Home = None, json: Json = False) -> None:
    """Delete a group of your own; its members lose what it gave."""
    with reporting(json=json):
        with changing(at(home)) as session:
            delete_group(session, name, force=force)
        _say({"deleted": name}, f"Deleted {name}.", json=json)


@app.command("add")
def add_command(name: GroupName, member: Member, home: Home = None, json: Json = False) -> None:
    """Put a principal, or a group, into a group."""
    with reporting(json=json):
        with changing(at(home)) as session:
            (add_member if _is_principal(member) else nest)(session, name, member)
        _say({"group": name, "added": member}, f"{escape(member)} is in {name}.", json=json)


@app.command("remove")
def remove_command(
    name: GroupName, member: Member, force: Force = False, home: Home = None, json: Json = False
) -> None:
    """Take a principal, or a group, out of a group."""
    with reporting(json=json):
        with changing(at(home)) as session:
            (remove_member if _is_principal(member) else unnest)(session, name, member, force=force)
        _say({"group": name, "removed": member}, f"{escape(member)} is not in {name}.", json=json)


def _is_principal(member: str) -> bool:
    return member.startswith("prn_")


def _documents(session: Session, groups: Sequence[Group]) -> list[dict[str, Any]]:
    graph = GroupGraph.read(session)
    children = children_of(session, [group.name for group in groups])
    return [
        {
            "name": group.name,
            "comment": group.comment,
            "built_in": group.name in BUILT_IN,
            "own_scopes": sorted(scopes_of(group)),
            "scopes": sorted(graph.scopes([group.name])),
            "groups": children[group.name],
        }
        for group in groups
    ]


def _print_table(found: Sequence[dict[str, Any]]) -> None:
    table = Table("group", "gives", "groups in it", "comment")
    for row in found:
        table.add_row(row["name"], " ".join(row["scopes"]), " ".join(row["groups"]), escape(row["comment"]))
    out.print(table)


def _print(session: Session, group: Group, *, json: bool) -> None:
    (found,) = _documents(session, [group])
    if json:
        print_json(found)
    else:
        _print_table([found])


def _say(document: dict[str, Any], text: str, *, json: bool) -> None:
    if json:
        print_json(document)
    else:
        out.print(text, highlight=False, soft_wrap=True)
