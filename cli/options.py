"""Options that many commands take, spelled once."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[Path | None, typer.Option("--home", help="Directory of all state (default: C360_HOME or ./.c360).")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
EngineName = Annotated[str, typer.Option("--engine", help="embedded or spark.")]
AsOf = Annotated[
    datetime | None,
    typer.Option("--as-of", formats=["%Y-%m-%d"], help="Date the windows end at (default: today, UTC)."),
]
Force = Annotated[bool, typer.Option("--force", help="Do it even if nobody is left who can change who may what.")]
