"""``c360 keyring``: the secret keys of an installation. No command shows a secret but ``generate``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from cli.installation import at
from cli.options import Home, Json
from cli.output import out, print_json, reporting
from kit import key_document
from kit.keyring import Key, Purpose

app = typer.Typer(no_args_is_help=True, help="Secret keys of this installation.")


@app.command("list")
def list_command(home: Home = None, json: Json = False) -> None:
    """Every key by its purpose, oldest first; the last one of a purpose is its current one."""
    with reporting(json=json):
        found = [_document(key) for key in at(home).key_ring.contents()]
        if json:
            print_json({"keys": found})
            return
        table = Table("id", "purpose", "made")
        for row in found:
            table.add_row(row["id"], row["purpose"], row["created_at"])
        out.print(table)


@app.command("rotate")
def rotate_command(
    purpose: Annotated[Purpose, typer.Argument(help="What the key is for.")], home: Home = None, json: Json = False
) -> None:
    """Make a new current key; the older ones go on verifying what was made with them."""
    with reporting(json=json):
        key = at(home).key_ring.rotate(purpose)
        _say(key, f"{key.id} is the current key for {purpose}.", json=json)


@app.command("retire")
def retire_command(
    key_id: Annotated[str, typer.Argument(help="Id of an older key.")], home: Home = None, json: Json = False
) -> None:
    """Take an older key out, for good: what was made with it verifies no more."""
    with reporting(json=json):
        key = at(home).key_ring.retire(key_id)
        _say(key, f"{key.id} is out of the key ring.", json=json)


@app.command("generate")
def generate_command(home: Home = None, json: Json = True) -> None:  # noqa: ARG001 - every command takes both
    """Print a whole new key ring, for a secret store (C360_KEYRING, C360_KEYRING_FILE). It is one JSON document, kept nowhere."""
    typer.echo(key_document.generate(), nl=False)


def _document(key: Key) -> dict[str, str]:
    return {"id": key.id, "purpose": key.purpose, "created_at": key.created_at.isoformat(timespec="seconds")}


def _say(key: Key, text: str, *, json: bool) -> None:
    if json:
        print_json(_document(key))
    else:
        out.print(text, highlight=False)
