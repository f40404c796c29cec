"""``c360 token``: API keys, and the principals that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cli.installation import at
from cli.options import Force, Home, Json
from cli.output import out, print_json, reporting
from cli.recording import changing
from governance.access import known_scopes
from governance.api_keys import IssuedKey, create_key, issue_key, list_keys, revoke_key, rotate_key
from governance.models import ApiKey
from governance.principals import PrincipalKind
from kit.clock import now
from kit.errors import Invalid

app = typer.Typer(no_args_is_help=True, help="API keys.")

KeyName = Annotated[str, typer.Argument(metavar="KEY", help="Id or prefix of the key, as `c360 token list` shows it.")]


class UnclearHolder(Invalid):
    """A key belongs to a principal: to one that is there, or to a new one in a group."""

    code = "cli.unclear_holder"


@app.command("create")
def create_command(
    group: Annotated[list[str] | None, typer.Option(help="Group of a new principal; several times.")] = None,
    principal: Annotated[str | None, typer.Option(help="Id of a principal that is there, in place of a group.")] = None,
    name: Annotated[
        str | None, typer.Option(help="What the key is for (default: the group, or the principal).")
    ] = None,
    kind: Annotated[PrincipalKind, typer.Option(help="What the new principal is.")] = PrincipalKind.SERVICE,
    expires_in_days: Annotated[int | None, typer.Option(min=1, max=3650, help="When it ends (default: never).")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Make a principal in a group, with a key; or issue one more key to a principal. The key is shown this once."""
    with reporting(json=json):
        expires_at = None if expires_in_days is None else now() + timedelta(days=expires_in_days)
        if bool(group) is (principal is not None):
            raise UnclearHolder("name a group of a new principal (--group), or a principal that is there (--principal)")
        with changing(at(home)) as session:
            if principal is not None:
                issued = issue_key(session, principal, name=name, expires_at=expires_at)
            else:
                groups = group or []
                named = name if name is not None else " ".join(groups)
                issued = create_key(session, name=named, groups=groups, kind=kind, expires_at=expires_at)
        _print_issued(issued, json=json)


@app.command("list")
def list_command(
    principal: Annotated[str | None, typer.Option(help="Those of one principal only.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Every key ever issued, oldest first, without secrets."""
    with reporting(json=json):
        with at(home).database.reading() as session:
            found = [_document(key) for key in list_keys(session, principal)]
        if json:
            print_json({"keys": found})
        else:
            _print_table(found)


@app.command("rotate")
def rotate_command(
    key: KeyName,
    grace_hours: Annotated[float, typer.Option(min=0, help="How long the old key goes on working.")] = 24,
    home: Home = None,
    json: Json = False,
) -> None:
    """Issue a key in the place of another one. The new key is shown this once."""
    with reporting(json=json):
        with changing(at(home)) as session:
            issued = rotate_key(session, key, grace=timedelta(hours=grace_hours))
        _print_issued(issued, json=json)


@app.command("revoke")
def revoke_command(key: KeyName, force: Force = False, home: Home = None, json: Json = False) -> None:
    """End a key for good, and the tokens that were issued for it."""
    with reporting(json=json):
        with changing(at(home)) as session:
            revoked = _document(revoke_key(session, key, force=force))
        if json:
            print_json(revoked)
        else:
            out.print(f"Revoked {revoked['id']}.", highlight=False)


def _document(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "principal_id": key.principal_id,
        "prefix": key.prefix,
        "name": key.name,
        "state": _state(key, now()),
        "scopes": sorted(known_scopes(key.scopes)),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "replaced_by": key.replaced_by,
        "last_used_at": key.last_used_at,
    }


def _state(key: ApiKey, instant: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= instant:
        return "expired"
    return "live" if key.replaced_by is None else "rotated"


def _print_table(found: Sequence[dict[str, Any]]) -> None:
    table = Table("id", "prefix", "principal", "name", "state", "ends", "last used")
    for row in found:
        instants = ["" if row[name] is None else row[name].isoformat(timespec="minutes") for name in _INSTANTS]
        table.add_row(row["id"], row["prefix"], row["principal_id"], escape(row["name"]), row["state"], *instants)
    out.print(table)


def _print_issued(issued: IssuedKey, *, json: bool) -> None:
    document = {
        "id": issued.id,
        "principal_id": issued.principal_id,
        "prefix": issued.prefix,
        "name": issued.name,
        "expires_at": issued.expires_at,
        "api_key": issued.secret,
    }
    if json:
        print_json(document)
    else:
        out.print(
            f"Key {issued.id} of principal {issued.principal_id}, shown this once: [bold]{issued.secret}[/bold]",
            highlight=False,
            soft_wrap=True,
        )


_INSTANTS = ("expires_at", "last_used_at")
