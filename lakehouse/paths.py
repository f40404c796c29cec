"""Where a table lies: ``<lake>/<layer>/<noun>``."""

from __future__ import annotations

import re
from pathlib import Path

from kit.errors import Invalid

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")


class InvalidTableName(Invalid):
    """Not ``<layer>.<noun>``."""

    code = "lakehouse.invalid_table_name"


def table_path(lake: Path, table: str) -> Path:
    """The folder of a table; raises InvalidTableName for anything but lower-case names joined by dots."""
    if not _NAME.fullmatch(table):
        raise InvalidTableName(f"{table!r} is not a table name; write <layer>.<noun> in lower case")
    return lake.joinpath(*table.split("."))
