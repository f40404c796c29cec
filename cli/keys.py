"""API keys on the command line: the first key of an installation, and the demo key of ``c360 up``."""

from __future__ import annotations

import json
import os
from pathlib import Path

from cli.installation import Installation
from cli.recording import changing
from governance.api_keys import create_key, list_keys
from governance.changes import has_admin
from kit.settings import Settings


def first_key(installation: Installation) -> str | None:
    """Make the first admin of an installation and return its key; None where there is an admin already."""
    with installation.database.reading() as session:
        if has_admin(session):
            return None
    with changing(installation) as session:
        if has_admin(session):  # another made one meanwhile
            return None
        return create_key(session, name="first admin", groups=["admin"]).secret


def demo_key(installation: Installation) -> str:
    """The demo key: kept in a file of mode 600, so that a second start can print it again. Issued anew if the file is gone, or
    the control database knows its key no more."""
    path = demo_file(installation.settings)
    with installation.database.reading() as session:
        valid = {key.prefix for key in list_keys(session) if key.revoked_at is None}
        if path.exists():
            kept = str(json.loads(path.read_text(encoding="utf-8"))["api_key"])
            if kept.split("_")[1] in valid:
                return kept
            path.unlink()
    with changing(installation) as session:
        key = create_key(session, name="demo", groups=["admin"]).secret
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"api_key": key}, file)
    return key


def demo_file(settings: Settings) -> Path:
    """Where the demo key is kept."""
    return settings.home / "demo-keys.json"
